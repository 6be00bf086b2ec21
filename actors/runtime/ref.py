"""References: the only way to reach an actor. Pykka's interface, plus what an event loop needs."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import pykka
from pykka.messages import _ActorStop

from actors.runtime.errors import WouldBlockLoop
from actors.runtime.sending import DEFAULT_ASK_S, ask, question, tell
from actors.runtime.states import StoppedFlag

if TYPE_CHECKING:
    from actors.base import RuntimeActor
    from actors.runtime.cell import Cell
    from actors.runtime.mailbox import Mailbox


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
        tell(self._cell, message)

    def aask(self, message: Any, timeout_s: float = DEFAULT_ASK_S) -> Coroutine[Any, Any, Any]:
        """Ask and await the answer; see `sending.ask`."""
        return ask(self._cell, message, timeout_s)

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
        future = question(self._cell, message, timeout if block else None)
        return future.get(timeout=timeout) if block else future

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
        asked = question(self._cell, _ActorStop(), None)

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
