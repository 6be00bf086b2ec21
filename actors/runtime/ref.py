"""References: the only way to reach an actor. Pykka's interface, plus what an event loop needs."""

import asyncio
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import pykka
from pykka.messages import _ActorStop

from actors.runtime.chain import chain_to
from actors.runtime.context import current_context
from actors.runtime.deadlines import deadlines_on
from actors.runtime.envelope import Letter, Question
from actors.runtime.errors import ActorGone, AskTimeout, WouldBlockLoop
from actors.runtime.future import AsyncioFuture, LoopReply
from actors.runtime.states import StoppedFlag

if TYPE_CHECKING:
    from actors.base import RuntimeActor
    from actors.runtime.cell import Cell
    from actors.runtime.mailbox import Mailbox

DEFAULT_ASK_S = 5.0


class AsyncioActorRef(pykka.ActorRef[Any]):
    """Stays valid over restarts of its actor. `tell` and `ask` may be called from any thread, the rest on the loop."""

    __slots__ = ("_cell",)

    def __init__(self, cell: "Cell") -> None:  # Pykka's constructor copies five fields that the cell has anyway
        self._cell = cell

    # --- Pykka's fields ---

    @property
    def actor_class(self) -> "type[RuntimeActor]":  # type: ignore[override]
        """See pykka.ActorRef."""
        return self._cell.actor_class

    @property
    def actor_urn(self) -> str:  # type: ignore[override]
        """See pykka.ActorRef."""
        return self._cell.urn

    @property
    def actor_inbox(self) -> "Mailbox":  # type: ignore[override]
        """See pykka.ActorRef."""
        return self._cell.mailbox

    @property
    def actor_stopped(self) -> Any:  # type: ignore[override]
        """See pykka.ActorRef."""
        return StoppedFlag(self._cell)

    def _actor_weakref(self) -> "RuntimeActor | None":  # type: ignore[override]
        return self._cell.actor

    @property
    def address(self) -> str:
        """Tree path, empty for an actor outside of any tree."""
        return self._cell.address

    @property
    def incarnation(self) -> int:
        """1 for the first, one more after each restart."""
        return self._cell.incarnation

    def __str__(self) -> str:
        return str(self._cell)

    # --- messages ---

    def tell(self, message: Any) -> None:
        """Queue and forget. Raises `MailboxFull` or `ActorGone` at once; never blocks."""
        cell = self._cell
        if cell.stopped:
            raise ActorGone(f"{self} not found")
        cell.post(Letter(message, current_context(), cell.loop.time()))

    async def aask(self, message: Any, timeout_s: float = DEFAULT_ASK_S) -> Any:
        """Ask and wait for the answer without blocking the loop.

        Raises what the receiver raised, `AskTimeout` (the message is not executed if it had not begun), `MailboxFull`,
        `ActorGone`, `ActorCrashed`, `AskCycle`.
        """
        cell = self._cell
        loop = cell.loop
        if asyncio._get_running_loop() is not loop:  # noqa: SLF001 - does not raise, unlike the public form
            return await self._ask_from_another_loop(message, timeout_s)
        chain = chain_to(cell)
        if cell.stopped:
            raise ActorGone(f"{self} not found")
        now = loop.time()
        reply = LoopReply(loop=loop)
        cell.post(Question(message, current_context(), now, reply, now + timeout_s, chain))
        due = deadlines_on(loop).of(now + timeout_s, loop)
        due[reply] = (cell, message, timeout_s)
        try:
            return await reply
        finally:
            due.pop(reply, None)

    async def _ask_from_another_loop(self, message: Any, timeout_s: float) -> Any:
        future = self._question(message, timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError as error:
            if future.done():
                raise
            raise AskTimeout(f"{type(message).__name__} to {self}: no answer in {timeout_s} s") from error

    @overload
    def ask(self, message: Any, *, block: Literal[False], timeout: float | None = None) -> pykka.Future[Any]: ...
    @overload
    def ask(self, message: Any, *, block: Literal[True], timeout: float | None = None) -> Any: ...
    @overload
    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any | pykka.Future[Any]: ...
    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any | pykka.Future[Any]:
        """See pykka.ActorRef. With `block` on a running loop it raises `WouldBlockLoop` and sends nothing."""
        if block and asyncio._get_running_loop() is not None:  # noqa: SLF001 - as above
            raise WouldBlockLoop("ask() on the event loop; await aask() instead")
        future = self._question(message, timeout if block else None)
        return future.get(timeout=timeout) if block else future

    def _question(self, message: Any, timeout_s: float | None) -> AsyncioFuture:
        cell = self._cell
        future = AsyncioFuture()
        if cell.stopped:
            future.refuse(ActorGone(f"{self} not found"))
            return future
        now = cell.loop.time()
        deadline_s = None if timeout_s is None else now + timeout_s
        try:
            cell.post(Question(message, current_context(), now, future, deadline_s))
        except ActorGone as error:
            future.refuse(error)
        return future

    # --- ending ---

    @overload
    def stop(self, *, block: Literal[True], timeout: float | None = None) -> bool: ...
    @overload
    def stop(self, *, block: Literal[False], timeout: float | None = None) -> pykka.Future[bool]: ...
    @overload
    def stop(self, *, block: bool = True, timeout: float | None = None) -> bool | pykka.Future[bool]: ...
    def stop(self, *, block: bool = True, timeout: float | None = None) -> bool | pykka.Future[bool]:
        """See pykka.ActorRef: what was sent before is handled first. The future may be awaited."""
        if block and asyncio._get_running_loop() is not None:  # noqa: SLF001 - as above
            raise WouldBlockLoop("stop() on the event loop; await shutdown() or stop(block=False) instead")
        asked = self._question(_ActorStop(), None)

        def stopped(timeout: float | None) -> bool:
            try:
                asked.get(timeout=timeout)
            except pykka.ActorDeadError:
                return False
            return True

        async def awaited() -> bool:
            try:
                await asked
            except pykka.ActorDeadError:
                return False
            return True

        future = asked.hooked(stopped, awaited)
        return cast("bool", future.get(timeout=timeout)) if block else future

    async def shutdown(self, timeout_s: float | None = 5.0) -> None:
        """End the incarnation after its current message, by force after `timeout_s`. Returns when it is over."""
        await self._cell.shutdown(timeout_s)

    def kill(self) -> None:
        """Cancel the incarnation now; `on_stop` does not run. Any thread."""
        loop = self._cell.loop
        if asyncio._get_running_loop() is loop:  # noqa: SLF001 - as above
            self._cell.kill()
        else:
            loop.call_soon_threadsafe(self._cell.kill)

    async def ready(self) -> None:
        """Wait until `on_start` is done. Raises `StartFailed`."""
        await self._cell.ready()
