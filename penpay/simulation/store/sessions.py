"""Sessions of the server: each holds row locks until it ends, and waits in line for those of others."""

import asyncio
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from penpay.ports import ConnectionLost, Deadlock, LockTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from penpay.simulation.store.server import MemoryServer
    from penpay.simulation.store.tables import Change

Result = TypeVar("Result")
Name = tuple[str, str]
"""Table and primary key of a locked row."""


class Session:
    """One connection in a transaction. Used as a context: what it did not commit never happened."""

    __slots__ = ("_held", "_server", "_waits_for", "active_s", "lost", "owner")

    def __init__(self, server: "MemoryServer", owner: str) -> None:
        self._server = server
        self._held: list[Name] = []
        self._waits_for: Name | None = None
        self.owner = owner
        """Boot id of the process at the other end."""
        self.lost = False
        self.active_s = server.clock.monotonic_s()

    def __enter__(self) -> Self:
        self._server.sessions[self] = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.owner not in self._server.dead:
            self.end()
        # A process that was killed sends nothing any more: the server finds out by itself.

    def alive(self, *, commit_sent: bool = False) -> None:
        """Raise `ConnectionLost` when the server has dropped this session."""
        if self.lost:
            raise ConnectionLost(commit_sent=commit_sent)
        self.active_s = self._server.clock.monotonic_s()

    async def lock(self, *names: Name) -> None:
        """Take exclusive row locks, in this order; they last until the session ends.

        Raises `LockTimeout` when a row did not become free in time, `Deadlock` when waiting would be in a circle.
        """
        self.alive()
        locks = self._server.locks
        for name in names:
            holder = locks.get(name)
            if holder is None:
                locks[name] = self
                self._held.append(name)
            elif holder is not self:
                await self._wait(name)
                self.alive()

    async def _wait(self, name: Name) -> None:
        server = self._server
        if server.is_circle(self, name):
            raise Deadlock(f"waiting for {name}")
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        server.queues.setdefault(name, deque()).append((self, granted))
        self._waits_for = name
        patience = server.patience(name, granted)
        try:
            await granted
        finally:
            for timer in patience:
                timer.cancel()
            self._waits_for = None

    @property
    def waits_for(self) -> Name | None:
        """The lock that it stands in line for."""
        return self._waits_for

    def granted(self, name: Name) -> None:
        """The server hands a lock over: it waits no more, even if its process learns that much later."""
        self._held.append(name)
        self._waits_for = None

    def commit(self, change: "Callable[[list[Change]], Result]") -> Result:
        """Run `change`, which adds what it does to the list, and make all of it durable; or nothing, when it raises.

        There is no moment in between, so nobody reads what is not committed.
        """
        self.alive(commit_sent=True)
        result = self._server.committed(change)
        self.end()
        return result

    def kill(self) -> None:
        """The connection is cut: everybody who uses it learns that at the next step."""
        if not self.lost:
            self.lost = True
            self._server.interrupt(self)
            self.end()

    def end(self) -> None:
        """Give everything back, first come first served."""
        self._server.sessions.pop(self, None)
        held, self._held = self._held, []
        for name in held:
            self._server.release(name)


def timed_out(granted: "asyncio.Future[None]") -> None:
    """1205: the row did not become free."""
    if not granted.done():
        granted.set_exception(LockTimeout("Lock wait timeout exceeded"))
