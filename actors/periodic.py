"""A job that runs again and again with a pause between: invariants, clean-ups. One at a time, never overlapping."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from actors.base import AsyncioActor
from penpay.domain.errors import Unavailable

log = structlog.get_logger()

Job = Callable[[], Awaitable[str]]
"""One run; answers one word on how it went, for the tree."""


class PeriodicActor(AsyncioActor):
    """Runs `job` every `every_s` seconds. A dependency that is away postpones the run; a bug crashes the actor."""

    KIND = "job"
    LEVEL = 6
    STALL_AFTER_S = 3600.0  # a proof over whole tables takes its time

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
        try:
            self._last = await self._job()
            self._runs += 1
        except Unavailable as error:
            self._last = f"postponed: {error}"
            log.warning("job_postponed", job=self._name, reason=str(error))
        return self._last
