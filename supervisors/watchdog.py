"""A thread that watches the event loop, because a blocked loop cannot judge itself."""

import asyncio
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from actors.base import AsyncioActor
from config.limits import EXIT_LOOP_STUCK, LOOP_LAG_EXIT_S, LOOP_LAG_LOG_S

log = structlog.get_logger("penpay.watchdog")

REPORT_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class WatchdogLimits:
    """Lag of the loop: all stacks are logged; the process ends (75) so that it is started afresh.

    In between nobody needs to be told: a blocked loop answers no probe.
    """

    warn_s: float = LOOP_LAG_LOG_S
    exit_s: float = LOOP_LAG_EXIT_S
    tick_s: float = 0.25


class Watchdog:
    """Asks the loop for a sign of life every tick. `lag_s` is how long it has owed the last one.

    `end_process` gets the exit status; the default ends at once, since nothing that needs the loop can run.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: WatchdogLimits = WatchdogLimits(),
        *,
        end_process: Callable[[int], None] = os._exit,
    ) -> None:
        self._loop = loop
        self._limits = limits
        self._end_process = end_process
        self._asked_at_s: float | None = None
        self._warned = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._lag_max_s = 0.0

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the watch and its thread."""
        self._stop.set()
        self._thread.join()

    @property
    def lag_s(self) -> float:
        """How long the loop has owed a sign of life. Any thread."""
        asked_at_s = self._asked_at_s
        return max(0.0, self._loop.time() - asked_at_s) if asked_at_s is not None else 0.0

    def take_lag_max_s(self) -> float:
        """The longest that the loop owed a sign of life since this was last asked. On the loop."""
        longest, self._lag_max_s = self._lag_max_s, 0.0
        return longest

    def _watch(self) -> None:
        while not self._stop.wait(self._limits.tick_s):
            lag_s = self.lag_s
            if lag_s > self._limits.warn_s and not self._warned:
                self._warned = True
                log.error("event loop is blocked", lag_s=round(lag_s, 1), threads=stacks())
            if lag_s > self._limits.exit_s:
                log.critical("event loop stays blocked; ending the process", lag_s=round(lag_s, 1))
                self._end_process(EXIT_LOOP_STUCK)
                return
            if self._asked_at_s is None:
                self._ask()

    def _ask(self) -> None:
        self._asked_at_s = self._loop.time()
        try:
            self._loop.call_soon_threadsafe(self._answer)
        except RuntimeError:  # the loop is closed: nothing left to watch
            self._stop.set()

    def _answer(self) -> None:
        lag_s = self.lag_s
        self._lag_max_s = max(self._lag_max_s, lag_s)
        if self._warned:
            log.warning("event loop runs again", lag_s=round(lag_s, 1))
        self._warned = False
        self._asked_at_s = None


def stacks() -> list[str]:
    """Where every thread is, innermost frame last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return [
        f"{names.get(ident, ident)}: " + "".join(traceback.format_stack(frame)[-12:])
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 - the only way to see other threads
    ]


class WatchdogActor(AsyncioActor):
    """The watchdog's place in the tree. `report` gets the longest lag of each five seconds, for the metrics."""

    KIND = "watchdog"

    def __init__(
        self,
        report: Callable[[float], None],
        limits: WatchdogLimits = WatchdogLimits(),
        end_process: Callable[[int], None] = os._exit,
    ) -> None:
        super().__init__()
        self._report = report
        self._limits = limits
        self._end_process = end_process
        self.watchdog: Watchdog | None = None

    async def on_start(self) -> None:
        """Start the thread."""
        self.timers.every("report", REPORT_EVERY_S, "report")
        self.watchdog = Watchdog(asyncio.get_running_loop(), self._limits, end_process=self._end_process)
        self.watchdog.start()

    async def on_receive(self, _message: Any) -> None:
        """The time for a report."""
        assert self.watchdog is not None
        self._report(self.watchdog.take_lag_max_s())

    def on_incarnation_over(self) -> None:
        """End the thread, however this actor ended."""
        if self.watchdog is not None:
            self.watchdog.stop()

    def observable_state(self) -> Mapping[str, Any]:
        """Lag now."""
        return {"lag_s": self.watchdog.lag_s} if self.watchdog is not None else {}
