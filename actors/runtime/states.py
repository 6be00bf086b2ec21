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
    """Pykka's `actor_stopped`: an Event's interface without an Event's 700 bytes until a thread waits for it."""

    __slots__ = ("_event", "_set")

    def __init__(self) -> None:
        self._set = False
        self._event: threading.Event | None = None

    def is_set(self) -> bool:
        """True once the actor takes no more messages."""
        return self._set

    def set(self) -> None:
        """The actor takes no more messages."""
        self._set = True
        if self._event is not None:
            self._event.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Block a thread until it is set."""
        if self._event is None:
            self._event = threading.Event()
        if self._set:
            self._event.set()
        return self._event.wait(timeout)


current_cell: "ContextVar[Cell | None]" = ContextVar("penpay_current_cell", default=None)
"""The actor whose handler runs in this task."""
