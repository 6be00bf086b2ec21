"""Where in its life an actor is, and Pykka's flag for the end of it."""

import threading
from contextvars import ContextVar
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.runtime.cell import Cell


class State(Enum):
    """Where in its life a cell is; see the module."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    ENDED = "stopped"


NEW, STARTING, RUNNING, WAITING, ENDED = State
"""The runtime's own names for them: in Python 3.11 `State.NEW` runs code, and every start asks for it several times."""


class StoppedFlag:
    """Pykka's `actor_stopped`: an Event's interface without an Event's 700 bytes until a thread waits for it.

    It shows the cell's own fields, so that an actor has no flag until somebody asks for it.
    """

    __slots__ = ("_cell",)

    def __init__(self, cell: "Cell") -> None:
        self._cell = cell

    def is_set(self) -> bool:
        """True once the actor takes no more messages."""
        return self._cell.stopped

    def wait(self, timeout: float | None = None) -> bool:
        """Block a thread until it is set."""
        with _first_waiter:
            event = self._cell.stop_event or threading.Event()
            self._cell.stop_event = event
        if self._cell.stopped:  # asked after the event is there: else the actor itself finds it and sets it
            event.set()
        return event.wait(timeout)


_first_waiter = threading.Lock()
"""All threads that wait for one actor wait for one event."""

current_cell: "ContextVar[Cell | None]" = ContextVar("penpay_current_cell", default=None)
"""The actor whose handler runs in this task."""
