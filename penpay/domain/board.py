"""What admission may look at without asking anybody: the newest immutable snapshots of the outside."""

from dataclasses import dataclass, field
from datetime import datetime

NOT_OURS = "another node runs this rail, or the database is away"
"""Why a rail of a node that stands by is down."""


@dataclass(frozen=True, slots=True)
class FxSnapshot:
    """The mid rate (KES per USD times 10**6). `problem` says why no quote may be made from it, or is empty."""

    mid_e6: int
    as_of_at: datetime
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RailHealth:
    """Whether a rail takes money calls now, and why not."""

    up: bool
    reason: str = ""
    retry_after_s: int = 5


@dataclass(frozen=True, slots=True)
class FloatSnapshot:
    """A provider's balance as last seen, and what of it is already promised. Minor units."""

    balance_minor: int
    reserved_minor: int
    as_of_at: datetime


@dataclass(slots=True)
class Board:
    """One slot per fact; writers replace a whole snapshot, readers never wait. Lost on restart, by design."""

    fx: FxSnapshot | None = None
    rails: dict[str, RailHealth] = field(default_factory=dict)
    floats: dict[str, FloatSnapshot] = field(default_factory=dict)
    dependencies: dict[str, str] = field(default_factory=dict)
    """What the last probe of the database and of Redis found wrong; empty text means well."""
    unopened: set[str] = field(default_factory=set)
    """Rails whose opening balance is not booked yet: they take no money call before."""
    untold: set[str] = field(default_factory=set)
    """Accounts that were opened without their provider's balance: nobody told it in time."""
    lacks: dict[str, set[str]] = field(default_factory=dict)
    """Optional calls that a provider did not answer when it was last asked, by rail: their evidence is missing."""
    backlogs: dict[str, float] = field(default_factory=dict)
    """Seconds of work that wait for a rail's pace, by rail: what a deposit accepted now has before it."""
    closed_shards: dict[int, str] = field(default_factory=dict)
    """Shards whose recovery gate is closed, and why: no rail sends anything for them."""

    def rail(self, name: str) -> RailHealth:
        """Health of `daraja` or `deriv`; unknown means down."""
        if name in self.unopened:
            return RailHealth(up=False, reason="opening balance not booked yet")
        return self.rails.get(name, RailHealth(up=False, reason="not started"))

    def answers(self, rail: str, call: str, *, well: bool) -> None:
        """Note whether a provider answers one of its optional calls."""
        missing = self.lacks.setdefault(rail, set())
        if well:
            missing.discard(call)
        else:
            missing.add(call)

    def without(self, rail: str) -> str:
        """Which of them it does not, in words; empty when all is answered."""
        return _without(self.lacks.get(rail, set()))

    @property
    def opened_without(self) -> str:
        """Which accounts still lack their opening balance, in words."""
        return _without(self.untold)


def _without(missing: set[str]) -> str:
    return f"without {', '.join(sorted(missing))}" if missing else ""
