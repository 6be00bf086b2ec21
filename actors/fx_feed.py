"""The mid rate: the first source's, checked by the second, by its age and by yesterday. Doubt means no new quotes."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog

from actors.base import AsyncioActor
from penpay.domain.board import Board, FxSnapshot
from penpay.domain.errors import Refused, Unavailable
from penpay.domain.mpesa_callbacks import EAT
from penpay.ports import Clock
from penpay.ports_rails import FxSource

log = structlog.get_logger("penpay.rails")

_E6 = 1_000_000
_PERCENT = Decimal(100)
_FUTURE = timedelta(seconds=60)
"""A source's clock may be this far ahead of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FxSettings:
    """Bounds of a believable rate. Percent figures are plain percents."""

    poll_s: float = 15.0
    max_age_s: float = 60.0
    max_divergence_percent: Decimal = Decimal(2)
    day_band_percent: Decimal = Decimal(10)
    mid_min: Decimal = Decimal(50)
    mid_max: Decimal = Decimal(500)


@dataclass(frozen=True, slots=True, kw_only=True)
class FxParts:
    """`second` only checks; without one (development, testing) nothing is compared."""

    first: FxSource
    second: FxSource | None
    board: Board
    clock: Clock
    settings: FxSettings = FxSettings()


@dataclass(frozen=True, slots=True)
class Rate:
    """What a source said."""

    mid: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class _Poll:
    """Time to ask."""


@dataclass(frozen=True, slots=True)
class _Polled:
    """What the sources said: a rate, or why not."""

    first: Rate | str
    second: Rate | str


class FxFeedActor(AsyncioActor):
    """Writes `Board.fx`. Constructor: `parts: FxParts`."""

    LEVEL = 1

    def __init__(self, parts: FxParts) -> None:
        super().__init__()
        self._parts = parts
        self._first: Rate | None = None
        self._second: Rate | None = None
        self._refused = ""
        self._day: date | None = None
        self._today: Decimal | None = None
        self._yesterday: Decimal | None = None
        self._polling = False

    async def on_start(self) -> None:
        """Ask at once."""
        self.timers.once("first", 0.0, _Poll())
        self.timers.every("poll", self._parts.settings.poll_s, _Poll())

    async def on_receive(self, message: Any) -> Any:
        """Only its own timers and answers."""
        match message:
            case _Poll():
                if not self._polling:
                    self._polling = True
                    self.spawn(self._ask(), name="ask")
            case _Polled(first, second):
                self._polling = False
                self._take(first, second)
            case _:
                raise AssertionError(f"the feed does not take {type(message).__name__}")
        self._publish()

    def observable_state(self) -> Mapping[str, object]:
        """The rate, and what is wrong with it."""
        snapshot = self._parts.board.fx
        return {"mid_e6": snapshot.mid_e6 if snapshot else 0, "problem": snapshot.problem if snapshot else "no rate"}

    async def _ask(self) -> None:
        second = self._parts.second
        answers = await asyncio.gather(_rate(self._parts.first), _rate(second) if second else _nothing())
        self.timers.once("polled", 0.0, _Polled(*answers))

    def _take(self, first: Rate | str, second: Rate | str) -> None:
        """An absurd rate is no rate: the last good one ages until it is too old."""
        self._refused = ""
        if isinstance(second, Rate):
            self._second = second
        if isinstance(first, str):
            self._refused = first
        elif self._objection(first):
            self._refused = self._objection(first)
        else:
            self._first = first
            self._remember(first)
        if self._refused:
            log.warning("rate refused", reason=self._refused)

    def _objection(self, rate: Rate) -> str:
        settings = self._parts.settings
        if rate.at > self._parts.clock.now() + _FUTURE:
            return "rate from the future"
        if self._yesterday is None:
            return "" if settings.mid_min <= rate.mid <= settings.mid_max else "rate outside its bounds"
        apart = abs(rate.mid - self._yesterday) * _PERCENT
        return "" if apart <= self._yesterday * settings.day_band_percent else "rate far from yesterday's"

    def _remember(self, rate: Rate) -> None:
        """The last rate of a Nairobi day is the next day's yardstick."""
        day = self._parts.clock.now().astimezone(EAT).date()
        if self._day is not None and day != self._day:
            self._yesterday = self._today
        self._day, self._today = day, rate.mid

    def _publish(self) -> None:
        if self._first is not None:
            mid_e6 = int(self._first.mid * _E6)
            self._parts.board.fx = FxSnapshot(mid_e6, self._first.at, self._problem(self._first))

    def _problem(self, first: Rate) -> str:
        """Why no quote may be made now, or an empty string."""
        settings, now = self._parts.settings, self._parts.clock.now()
        oldest = now - timedelta(seconds=settings.max_age_s)
        if first.at < oldest:
            return self._refused or "rate too old"
        if self._parts.second is None:
            return ""
        if self._second is None or self._second.at < oldest:
            return "the second source is silent"
        if abs(first.mid - self._second.mid) * _PERCENT > first.mid * settings.max_divergence_percent:
            return "the two sources differ"
        return ""


async def _rate(source: FxSource) -> Rate | str:
    try:
        mid, at = await source.mid()
    except Refused as error:
        return error.code
    except Unavailable:
        return "source unavailable"
    return Rate(mid, at)


async def _nothing() -> str:
    return "no second source"
