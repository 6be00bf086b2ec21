"""What an entity host tells itself, and what it remembers of an entity that ever broke."""

import asyncio
from dataclasses import dataclass

from actors.base import Cell
from supervisors.backoff import Backoff, Intensity
from supervisors.specs import EntityHostSpec
from supervisors.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class Sweep:
    """Timer: take idle entities out of memory, look for stuck ones."""


@dataclass(frozen=True, slots=True)
class Park:
    """This entity gave up: tell whoever writes it down."""

    entity_id: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class Probe:
    """Timer: let one entity try whether the storm is over."""


@dataclass(frozen=True, slots=True)
class ProbeHeld:
    """Timer: the probing incarnation has lived long enough."""

    cell: Cell
    incarnation: int


class Trouble:
    """Crash history of one entity. Only entities that ever crashed have one."""

    __slots__ = ("away", "backoff", "intensity", "last_crash_s", "last_failure", "restarts", "timer")

    def __init__(self, spec: EntityHostSpec, surroundings: Surroundings) -> None:
        self.intensity = Intensity(spec.crashes_max - 1, spec.within_s)
        self.backoff = Backoff(spec.backoff, surroundings.randomness)
        self.restarts = 0
        self.last_failure = ""
        self.last_crash_s = float("-inf")
        self.away = False
        """It did not break: what its start needs is not there."""
        self.timer: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """Nothing is started by the clock any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
