"""Starts of entities that read their rows: so many at once, in the order in which they were wanted, in bounded time."""

from collections import deque
from collections.abc import Callable

import structlog

from actors.base import Cell, State, exits

log = structlog.get_logger("penpay.supervision")


class Recoveries:
    """Who waits for a start and who is at it. `is_ours` says whether the host still has this cell.

    While `held` only `launch` starts somebody: the probe of a storm.
    """

    def __init__(self, limit: int, start_timeout_s: float, is_ours: Callable[[Cell], bool]) -> None:
        self._limit = limit
        self._start_timeout_s = start_timeout_s
        self._is_ours = is_ours
        self._waiting: deque[Cell] = deque()
        self._began_s: dict[Cell, float] = {}
        self._pumping = False
        self.held = False

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many are at it."""
        return len(self._began_s)

    def __contains__(self, cell: Cell) -> bool:
        return cell in self._waiting

    def queue(self, cell: Cell) -> None:
        """Start it when a place is free: their reads must not drown the database."""
        self._waiting.append(cell)
        self.pump()

    def launch(self, cell: Cell) -> None:
        """Start it now."""
        self._began_s[cell] = cell.loop.time()
        cell.launch()

    def ended(self, cell: Cell) -> None:
        """It is ready, or broke: its place is free."""
        self._began_s.pop(cell, None)

    def next(self) -> Cell | None:
        """Whoever waits longest and is still wanted leaves the queue."""
        while self._waiting:
            cell = self._waiting.popleft()
            if self._is_ours(cell) and cell.state in (State.NEW, State.WAITING):
                return cell
        return None

    def pump(self) -> None:
        """Fill the free places."""
        if self._pumping:
            return  # an entity without `on_start` is ready inside of `launch`, and so on for each of them
        self._pumping = True
        try:
            while not self.held and len(self._began_s) < self._limit and (cell := self.next()) is not None:
                self.launch(cell)
        finally:
            self._pumping = False

    def kill_overdue(self, now_s: float) -> None:
        """Break off what does not come to an end: it would keep its place, and its askers, for ever."""
        for cell, began_s in list(self._began_s.items()):
            if now_s - began_s > self._start_timeout_s:
                log.error("not ready in time", actor=cell.address, timeout_s=self._start_timeout_s)
                cell.kill(exits.START_FAILED)
