"""The weather between a node and the database, from the seed: slowness, errors, lost answers, crashes in between."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from penpay.domain.errors import Unavailable
from penpay.ports import ConnectionLost, Deadlock, LockTimeout
from penpay.simulation.odds import Odds
from penpay.simulation.store.weather import POINTS, Moment

_COMMITS = {"ledger.commit"}
_FENCE = "ledger.open"
"""Whoever stands still just before it finds another owner there."""
_ROW_WRITTEN = "attempts.begin.done"
"""An attempt is a row, and the first byte of its call has not left."""
_CRASHES = {point for point, moment in POINTS.items() if moment is not Moment.BEFORE} | _COMMITS


class SeededWeather:
    """`Weather`. `crash` ends the process; what it awaits then never comes. `stand_still` pauses all of it.

    `succeed` pauses it for so long that another one does its work meanwhile.
    """

    def __init__(
        self,
        odds: Odds,
        dice: random.Random,
        crash: Callable[[], None],
        stand_still: Callable[[float], Awaitable[None]],
        succeed: Callable[[], Awaitable[None]],
        *,
        share_slow: float,
    ) -> None:
        self._odds = odds
        self._dice = dice
        self._crash = crash
        self._stand_still = stand_still
        self._succeed = succeed
        self._share_slow = share_slow

    async def at(self, point: str) -> None:
        """See `Weather`."""
        odds = self._odds
        if odds.calm:
            return
        if self._dice.random() < self._share_slow:
            await asyncio.sleep(0.002 * self._dice.random())
        if not odds.known:
            return
        moment = POINTS[point]
        if point in _CRASHES and odds.hits("node.crash_at_point", often=0.2):
            self._crash()
            await asyncio.get_running_loop().create_future()
        if (point == _FENCE or moment is not Moment.BEFORE) and odds.hits("node.pause_at_point", often=0.5):
            await self._stand_still(self._dice.choice((2.0, 20.0, 40.0)))
        if point == _ROW_WRITTEN and odds.hits("node.pause_before_call"):
            await self._succeed()
        if odds.hits("database.slow", often=0.05):
            await asyncio.sleep(self._dice.choice((0.05, 0.3, 2.0)))
        if moment is Moment.DONE:
            if odds.hits("database.commit_lost_after", often=0.3):
                raise ConnectionLost(commit_sent=True)
            return
        self._trouble(point)

    def _trouble(self, point: str) -> None:
        odds, often = self._odds, 0.15
        if odds.hits("database.deadlock", often=often):
            raise Deadlock("1213")
        if odds.hits("database.lock_timeout", often=often):
            raise LockTimeout("1205")
        if odds.hits("database.lost", often=often):
            raise ConnectionLost(commit_sent=False)
        if point in _COMMITS and odds.hits("database.commit_lost_before", often=0.5):
            raise ConnectionLost(commit_sent=True)
        if odds.hits("database.away", often=often * 0.3):
            raise Unavailable("database")
