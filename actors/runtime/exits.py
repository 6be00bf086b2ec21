"""How an incarnation ends, as a value, and who is told."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from actors.runtime.cell import Cell
    from actors.runtime.ref import AsyncioActorRef

NORMAL = "normal"
SHUTDOWN = "shutdown"
PASSIVATED = "passivated"
LEASE_LOST = "lease_lost"
CRASH = "crash"
START_FAILED = "start_failed"
KILLED = "killed"
STALLED = "stalled"
ORDERED = "ordered"
"""No way to end: why an operator's restart counts, though nothing broke."""

CLEAN = frozenset({NORMAL, SHUTDOWN, PASSIVATED, LEASE_LOST})
"""A transient child that ends so is not started again."""
ABNORMAL = frozenset({CRASH, START_FAILED, KILLED, STALLED})


@dataclass(frozen=True, slots=True)
class Exit:
    """Why an incarnation ended. `error` is there for `crash` and `start_failed`."""

    reason: str
    error: BaseException | None = None

    @property
    def clean(self) -> bool:
        """Nothing is wrong: the actor had finished, or was asked to end."""
        return self.reason in CLEAN

    @property
    def abnormal(self) -> bool:
        """It broke or was broken off; a reason of the actor's own making (`self.exit("reconnect")`) is neither."""
        return self.reason in ABNORMAL

    def __str__(self) -> str:
        return f"{self.reason}: {self.error!r}" if self.error is not None else self.reason


@dataclass(frozen=True, slots=True)
class Terminated:
    """To a watcher: this incarnation of `ref` has ended. The actor may come back under the same ref."""

    ref: "AsyncioActorRef"
    reason: str
    incarnation: int


class Owner(Protocol):
    """Whoever starts an actor and decides what its end means. Both calls come on the loop, outside of any handler."""

    @property
    def address(self) -> str: ...
    def child_ready(self, cell: "Cell") -> None: ...
    def child_exited(self, cell: "Cell", ending: Exit) -> None:
        """The incarnation is over and cleaned up. Now `cell.launch()` it again or `cell.finish(ending)` it."""
        ...
