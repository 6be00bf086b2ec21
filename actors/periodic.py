"""A job that runs again and again with a pause between: invariants, clean-ups. One at a time, never overlapping."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from actors.base import AsyncioActor
from penpay.domain.errors import Unavailable

log = structlog.get_logger()

Job = Callable[[], Awaitable[str]]
"""One run; answers one word on how it went, for the tree."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A run is over."""

    said: str
    runs: int = 1


class PeriodicActor(AsyncioActor):
    """Runs `job` every `every_s` seconds. A dependency that is away postpones the run; a bug crashes the actor."""

    KIND = "job"
    LEVEL = 6
    STALL_AFTER_S = 3600.0  # clearing up what was left for a day takes its time

    def __init__(self, name: str, job: Job, every_s: float, *, at_once: bool = False) -> None:
        super().__init__()
        self._name = name
        self._at_once = at_once
        self._job = job
        self._every_s = every_s
        self._runs = 0
        self._last = "not run yet"

    def observable_state(self) -> Mapping[str, object]:
        """How often it ran, and how the last run went."""
        return {"job": self._name, "runs": self._runs, "last": self._last}

    async def on_start(self) -> None:
        """The first run comes after one pause, a start is busy enough; or at once, when readiness hangs on it."""
        self.timers.every("run", self._every_s, "run")
        if self._at_once:
            self.actor_ref.tell("run")

    async def on_receive(self, _message: Any) -> str:
        """One run; also on request, for whoever wants it now."""
        self._note(await self._run())
        return self._last

    async def _run(self) -> Ran:
        try:
            return Ran(await self._job())
        except Unavailable as error:
            log.warning("job_postponed", job=self._name, reason=str(error))
            return Ran(f"postponed: {error}", runs=0)

    def _note(self, ran: Ran) -> None:
        self._last = ran.said
        self._runs += ran.runs


class ReadingActor(PeriodicActor):
    """A job that only reads, and takes its time over it: whoever stops the actor does not wait for it to end."""

    KIND = PeriodicActor.KIND

    def __init__(self, name: str, job: Job, every_s: float) -> None:
        super().__init__(name, job, every_s)
        self._is_reading = False

    async def on_receive(self, message: Any) -> str:
        """Begin a run, unless one goes on. Answers how the last one went."""
        if isinstance(message, Ran):
            self._is_reading = False
            self._note(message)
        elif not self._is_reading:
            self._is_reading = True
            self.spawn(self._read(), name="run")
        return self._last

    async def _read(self) -> None:
        self.report(await self._run())
