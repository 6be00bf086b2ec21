"""A running node asks the invariants: of what is new every few seconds, of everything without payments noticing."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime

import structlog

from actors.periodic import Job
from penpay.adapters.database import Database
from penpay.adapters.metrics import Asked, Metrics
from penpay.domain.errors import Unavailable
from penpay.domain.overview import Check
from penpay.invariants import rounds
from penpay.invariants.questions import Broken
from penpay.ports import Clock

log = structlog.get_logger()

NEWS_S = 5.0
SHARE = 0.01
"""Of the time goes into questions about everything: they cost what the books have grown to, and payments wait."""
TURN_S = 50.0
"""After which a round over everything goes on in the next call: a job that never ends looks like one that hangs."""
REST_MAX_S = 900.0
"""After a question that was not answered: what kept the database away may be over long before."""


class InvariantJobs:
    """What both kinds of rounds found, together: a rule is broken as long as either says so."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        metrics: Metrics,
        *,
        every_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`every_s`: between the beginnings of rounds over everything, where they do not take longer."""
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._every_s = every_s
        self._sleep = sleep
        self._news = rounds.News(database)
        self._round: rounds.Round | None = None
        self._of_news: Mapping[str, int] = {}
        self._of_all: dict[str, int] = {}
        self._unanswered: Collection[str] = ()
        self._asked_at: dict[Asked, datetime] = {}
        self._rests_until_s = -math.inf
        self._told: Sequence[str] = ()
        self.last_check: Check | None = None

    def periodic(self) -> Sequence[tuple[str, Job, float]]:
        """Name, job, pause."""
        return [("invariants", self.of_all, self._every_s), ("invariants_of_news", self.of_news, NEWS_S)]

    async def of_all(self) -> str:
        """Every invariant over everything, in pieces with pauses. A round that takes long goes on in the next call."""
        self._round = self._round or rounds.Round(self._database)
        end_s = self._clock.monotonic_s() + min(TURN_S, self._every_s)
        while self._clock.monotonic_s() < end_s:
            await self._sleep(max(0.0, self._rests_until_s - self._clock.monotonic_s()))
            began_s = self._clock.monotonic_s()
            try:
                if not await self._round.step():
                    return self._ended(self._round)
            except Unavailable:
                self._so_far(self._round)
                self._rest(began_s, at_most_s=REST_MAX_S)  # the server may have worked on it all the same
                raise
            self._rest(began_s)
        return f"going on; {self._so_far(self._round)}"

    def _so_far(self, round_: rounds.Round) -> str:
        """What was found is told at once; that the rest holds is known when the round ends."""
        self._of_all |= {name: count for name, count in _counts(round_.broken).items() if count}
        return self._report(self._of_all)

    def _rest(self, began_s: float, *, at_most_s: float = math.inf) -> None:
        """Not here, but before the next question: how this one ended is told at once."""
        now_s = self._clock.monotonic_s()
        self._rests_until_s = now_s + min((now_s - began_s) * (1 / SHARE - 1), at_most_s)

    def _ended(self, round_: rounds.Round) -> str:
        """What was not answered is as it was known to be, if it was."""
        unknown, found = round_.unanswered, _counts(round_.broken)
        before = {name: count for name, count in self._of_all.items() if name in unknown}
        known = {name: count for name, count in found.items() if count or name not in unknown}
        self._of_all, self._unanswered, self._round = before | known, unknown, None
        self._metrics.invariants_unanswered({name: int(name in unknown) for name in found})
        self._went_through("everything")
        said = self._report(self._of_all)
        if not unknown:
            return said
        log.error("invariants_unanswered", names=sorted(unknown))
        return f"{said}; not answered: {', '.join(sorted(unknown))}"

    async def of_news(self) -> str:
        """Every invariant that can be, over what was done since the last look, and what that found broken.

        What was refused is as it was known to be.
        """
        self._of_news = {**self._of_news, **_counts(await self._news.look(within_s=NEWS_S / 2))}
        self._went_through("news")
        return self._report(self._of_news)

    def _went_through(self, of: Asked) -> None:
        self._asked_at[of] = self._clock.now()
        self._metrics.invariants_asked(of, self._asked_at[of])

    def _report(self, found: Mapping[str, int]) -> str:
        """A violation is a gauge above zero, what is broken an error in the log whenever that changes."""
        names = {*self._of_all, *self._of_news}
        counts = {name: max(self._of_all.get(name, 0), self._of_news.get(name, 0)) for name in names}
        news_at, everything_at = self._asked_at.get("news"), self._asked_at.get("everything")
        self.last_check = Check(counts, self._unanswered, news_at=news_at, everything_at=everything_at)
        self._metrics.violations(counts)
        told, self._told = self._told, _broken(counts)
        if self._told and self._told != told:
            log.error("invariants_broken", names=self._told)
        broken = _broken(found)
        return f"broken: {', '.join(broken)}" if broken else f"{len(found)} hold"


def _broken(counts: Mapping[str, int]) -> Sequence[str]:
    return sorted(name for name, count in counts.items() if count)


def _counts(found: Broken) -> dict[str, int]:
    return {name: len(rows) for name, rows in found.items()}
