"""One batch's way into the database, and what the ledger remembers of its shard from batch to batch.

While the database works on a batch the next one is judged and written out ahead, on top of what the first will have
changed. That is used only if the first became durable exactly so; otherwise it is thrown away and done again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from actors.ledger_cache import LedgerCache
from actors.ledger_plan import REPLAYED, Plan, wanted_by
from config.limits import LEDGER_BUILD_S, LEDGER_MAILBOX_MAX
from penpay.domain.gate import RecoveryGate
from penpay.domain.incoming import Incoming
from penpay.domain.unit import RejectCode
from penpay.messages import UnitRejected
from penpay.ports_ledger import Fence, Found, Heads, LedgerBatch, LedgerStore, LedgerTransaction, Wanted

log = structlog.get_logger()

CACHE_SIZE = 50_000
GUARDED_SIZE = LEDGER_MAILBOX_MAX
"""Units, keys, quotes and references come again when an answer was lost: soon, and no more than can have waited."""
LOOK_AT_CLOCK_EVERY = 32

Verdict = UnitRejected | str
"""A rejection, `REPLAYED`, or an empty string for a unit that was recorded now."""


class LeaseLost(Exception):
    """The fence names another owner or epoch: this incarnation may write nothing more."""


def _empty_cache() -> LedgerCache:
    return LedgerCache.of_size(CACHE_SIZE, guarded=GUARDED_SIZE)


@dataclass(slots=True)
class Judged:
    """A batch that is ready to be written on top of `base`."""

    units: list[Incoming]
    plan: Plan
    verdicts: list[Verdict]
    batch: LedgerBatch
    base: Heads


@dataclass(frozen=True, slots=True)
class Outcome:
    """Verdicts of the first units of a batch; the others did not fit. `recorded`: how many of them are new."""

    verdicts: list[Verdict]
    recorded: int


class Commits:
    """Runs batches, one in flight."""

    def __init__(self, *, shard: int, store: LedgerStore, gate: RecoveryGate, fence: Fence) -> None:
        self.fence = fence
        self._shard = shard
        self._store = store
        self._gate = gate
        self._cache = _empty_cache()
        self._acknowledged = fence.heads.unit_seq
        self._under_way: Judged | None = None
        self._ahead: Judged | None = None

    async def run(self, units: list[Incoming], *, careful: bool, meanwhile: Callable[[], Awaitable[None]]) -> Outcome:
        """Record what may be recorded. `meanwhile` runs while the database writes.

        Raises `LeaseLost` and the store's errors; then nothing is remembered of this run.
        """
        ahead, self._ahead = self._ahead, None
        if careful or ahead is None or ahead.units is not units:
            ahead = None
        wanted = Wanted() if ahead is not None else wanted_by(units, self._cache, careful=careful)
        async with self._store.transaction(self._shard) as transaction:
            fence, found = await transaction.open(wanted)
            valid = self._still_valid(fence)
            if ahead is not None and ahead.base == fence.heads:
                judged = ahead
            else:
                if ahead is not None or not valid:
                    # What was asked for belongs to another history.
                    wanted = wanted_by(units, self._cache, careful=careful or not valid)
                    found = await transaction.read(wanted)
                self._cache.learn(wanted, found)
                judged = self._judge(units, self._cache, found, fence.heads)
            await self._replays(transaction, judged, looked=wanted.units)
            if judged.batch.units:
                self._under_way = judged
                try:
                    await self._write(transaction.commit(judged.batch), meanwhile)
                finally:
                    self._under_way = None
        # Durable: only now does memory change.
        self._cache.take(judged.plan.changes())
        self.fence = Fence(fence.owner, fence.epoch, judged.batch.heads, fence.server)
        self._acknowledged = judged.batch.heads.unit_seq
        return Outcome(judged.verdicts, len(judged.batch.units))

    def look_ahead(self, units: list[Incoming]) -> None:
        """Judge the next batch on top of the one under way, if that needs no question to the database."""
        before = self._under_way
        if before is None or not units:
            return
        cache = self._cache.over(before.plan.changes())
        if wanted_by(units, cache, careful=False) != Wanted():
            return
        ahead = self._judge(units, cache, Found(), before.batch.heads)
        if ahead.batch.units:
            ahead.batch.rendered = self._store.rendered(ahead.batch)
            self._ahead = ahead

    def forget(self) -> None:
        """Nobody knows what the last COMMIT did: everything is read again."""
        self._cache = _empty_cache()

    def check(self, fence: Fence) -> None:
        """For other writes under the fence. Raises `LeaseLost`."""
        self._still_valid(fence)

    async def _write(self, commit: Coroutine[Any, Any, None], meanwhile: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.get_running_loop().create_task(commit)
        try:
            await asyncio.sleep(0)  # the task has handed its statements to the kernel
            await meanwhile()
        except BaseException:
            task.cancel()
            raise
        await task

    def _judge(self, units: list[Incoming], cache: LedgerCache, found: Found, base: Heads) -> Judged:
        """Verdicts for as many units as fit into the time for building; the rest waits for the next batch."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + LEDGER_BUILD_S
        plan = Plan(cache, found, base, shard=self._shard, epoch=self.fence.epoch)
        verdicts: list[Verdict] = []
        for number, incoming in enumerate(units, 1):
            verdicts.append(plan.add(incoming))
            if number % LOOK_AT_CLOCK_EVERY == 0 and loop.time() > until_s:
                break
        return Judged(units, plan, verdicts, plan.batch(), base)

    async def _replays(self, transaction: LedgerTransaction, judged: Judged, *, looked: set[str]) -> None:
        """A unit that is rejected may have been recorded before: then it gets its first answer again."""
        doubtful = {
            number: verdict
            for number, verdict in enumerate(judged.verdicts)
            if isinstance(verdict, UnitRejected)
            and verdict.code is not RejectCode.UNIT_DIFFERS
            and verdict.unit_id not in looked
        }
        if not doubtful:
            return
        found = await transaction.read(Wanted(units={verdict.unit_id for verdict in doubtful.values()}))
        for number, verdict in doubtful.items():
            recorded = found.units.get(verdict.unit_id)
            if recorded is not None:
                same = recorded == judged.units[number].content_hash
                judged.verdicts[number] = REPLAYED if same else UnitRejected(verdict.unit_id, RejectCode.UNIT_DIFFERS)

    def _still_valid(self, fence: Fence) -> bool:
        """Whether what this ledger remembers is what the database holds. Raises `LeaseLost`."""
        mine = self.fence
        if (fence.owner, fence.epoch) != (mine.owner, mine.epoch):
            raise LeaseLost
        if fence.heads.unit_seq < self._acknowledged:
            self._gate.close(self._shard, "the database lost units that were acknowledged")
            log.error("database_went_back", shard=self._shard, at=fence.heads.unit_seq, acknowledged=self._acknowledged)
        if fence.server != mine.server:
            self._gate.close(self._shard, "the database is another server")
        if fence.heads == mine.heads:
            return True
        self._cache = _empty_cache()
        self._acknowledged = fence.heads.unit_seq
        return False
