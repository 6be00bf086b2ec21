"""The ledger actor: the single writer of its shard.

Units gather while a batch is being committed and become the next batch. Each is judged in memory and answered on its
own; all that pass share one database transaction that begins with the shard's fence.
"""

import asyncio
import random
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from actors.base import DEFER, AsyncioActor, DeferredReply
from actors.ledger_cache import LedgerCache
from actors.ledger_plan import REPLAYED, Plan, wanted_by
from actors.ledger_rules import malformed
from config.limits import LEDGER_BATCH_MAX, LEDGER_BUILD_S, LEDGER_MAILBOX_MAX, UNIT_TRIES_MAX
from penpay.domain.errors import OutcomeUnknown, StoreError, Unavailable
from penpay.domain.gate import RecoveryGate
from penpay.domain.incoming import Incoming, taken_in
from penpay.domain.unit import RejectCode
from penpay.messages import Committed, CommitUnit, UnitRejected
from penpay.ports import ConnectionLost, Deadlock, Duplicate, Ids, LockTimeout
from penpay.ports_ledger import (
    FENCE_KEYS,
    DeadUnit,
    Fence,
    LedgerMeter,
    LedgerStore,
    LedgerTransaction,
    NoMeter,
    Wanted,
)

log = structlog.get_logger()

CACHE_SIZE = 50_000
ANSWER_WITHIN_S = 0.02
"""A committed unit is answered after this, even when the next batch does not come off."""
ANSWERS_PER_TURN = 32
"""Between them the loop gets to the database's socket."""
RETRY_MIN_S = 0.02
RETRY_MAX_S = 2.0
"""The longest pause between two tries while the database is away."""


class LeaseLost(Exception):
    """The fence names another owner or epoch: this incarnation may write nothing more."""


@dataclass(slots=True)
class Pending:
    """A unit that waits for its batch. `asked`: somebody waited for the answer when it came."""

    incoming: Incoming
    reply: DeferredReply
    asked: bool


class LedgerActor(AsyncioActor):
    """Records units of work: `CommitUnit` is answered with `Committed` or `UnitRejected`.

    While the database is away units wait and are tried without end; an asker that has given up takes its unit along.
    A crash answers every open asker with `OutcomeUnknown`: the rows say what became of the unit.
    """

    KIND = "ledger"
    LEVEL = 2
    MAILBOX_MAX = LEDGER_MAILBOX_MAX
    STALL_AFTER_S = 10.0

    def __init__(
        self,
        *,
        shard: int,
        store: LedgerStore,
        ids: Ids,
        dice: random.Random,
        gate: RecoveryGate,
        meter: LedgerMeter | None = None,
        batch_max: int = LEDGER_BATCH_MAX,
    ) -> None:
        super().__init__()
        self._shard = shard
        self._store = store
        self._ids = ids
        self._dice = dice
        self._gate = gate
        self._meter = meter or NoMeter()
        self._batch_max = batch_max
        self._cache = LedgerCache(CACHE_SIZE)
        self._lane: deque[Pending] = deque()
        self._arrived = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._fence: Fence | None = None
        self._acknowledged = 0
        self._committed: list[tuple[Pending, UnitRejected | str]] = []
        """The last committed batch, as far as it is not answered yet."""
        self._problem = ""

    def observable_state(self) -> Mapping[str, object]:
        """What waits, how far the shard is, and why nothing moves, if nothing does."""
        fence = self._fence
        return {
            "waiting": len(self._lane),
            "epoch": fence.epoch if fence else None,
            "unit_seq": fence.heads.unit_seq if fence else None,
            "problem": self._problem,
            "gate": self._gate.reason(self._shard),
        }

    async def on_start(self) -> None:
        """Begin a new epoch: an earlier incarnation, here or elsewhere, can write nothing from now on."""
        pause_s = RETRY_MIN_S
        while True:
            try:
                self._fence = await self._store.take_fence(self._shard)
                break
            except (Unavailable, Deadlock, LockTimeout, ConnectionLost):
                self._problem = "database"
                await asyncio.sleep(pause_s * self._dice.uniform(0.5, 1.0))
                pause_s = min(pause_s * 2, RETRY_MAX_S)
        self._problem = ""
        if self._fence is None:
            self.exit("lease_lost")
            return
        self._acknowledged = self._fence.heads.unit_seq
        self.spawn(self._drain(), name="commits")

    async def on_stop(self) -> None:
        """What was taken in is still committed; the supervisor's time-out ends the wait when the database is away."""
        if not self._problem:
            await self._quiet.wait()

    async def on_receive(self, message: Any) -> Any:
        """Take a unit in; it is answered when its batch is durable."""
        if not isinstance(message, CommitUnit):
            return None
        unit = message.unit
        if problem := malformed(unit, self._shard):
            log.error("unit_malformed", unit_id=unit.unit_id, problem=problem)
            return UnitRejected(unit.unit_id, RejectCode.QUARANTINED, problem)
        if len(self._lane) >= LEDGER_MAILBOX_MAX:
            raise Unavailable("ledger")
        try:
            incoming = taken_in(unit)
        except UnicodeEncodeError:
            return UnitRejected(unit.unit_id, RejectCode.QUARANTINED, "a text is not Unicode")
        incoming.prepared = self._store.prepared(incoming)
        reply = self.defer()
        self._lane.append(Pending(incoming, reply, reply.open))
        if not self._arrived.is_set():
            self._arrived.set()
            self._quiet.clear()
        return DEFER

    def on_incarnation_over(self) -> None:
        """What is durable and not yet answered is answered now."""
        if self._committed:
            self._answer_committed()

    @classmethod
    def on_abandoned(cls, message: Any) -> Exception:
        """The unit of a queued ask may be recorded by a repetition; whoever asked reads the row."""
        unit_id = message.unit.unit_id if isinstance(message, CommitUnit) else ""
        return OutcomeUnknown("ledger", "the ledger was restarted", reference=unit_id)

    def on_open_replies(self, replies: Sequence[DeferredReply], error: BaseException) -> None:
        """Some of them may be durable already: nobody is told yes or no."""
        del error
        for reply in replies:
            reply.fail(self.on_abandoned(reply.message))

    # --- the drain: one batch in flight ---

    async def _drain(self) -> None:
        try:
            while True:
                await self._arrived.wait()
                while batch := self._next_batch():
                    await self._settle(batch)
                self._answer_committed()
                self._arrived.clear()
                self._quiet.set()
        except LeaseLost:
            log.warning("ledger_lease_lost", shard=self._shard)
            self._lane.clear()
            self._quiet.set()
            self.exit("lease_lost")
            self.actor_ref.tell(None)

    def _next_batch(self) -> list[Pending]:
        batch: list[Pending] = []
        lane = self._lane
        while lane and len(batch) < self._batch_max:
            pending = lane.popleft()
            if pending.asked and not pending.reply.open:
                self._meter.answered("given_up")
            else:
                batch.append(pending)
        return batch

    async def _settle(self, batch: list[Pending]) -> None:
        """Run a batch to its end, however often the database must be asked."""
        tries, pause_s, careful = 0, RETRY_MIN_S, False
        while True:
            try:
                await self._commit(batch, careful=careful)
                self._problem = ""
                return
            except (Deadlock, LockTimeout) as error:
                tries += 1
                if tries > UNIT_TRIES_MAX:
                    self._away("contention", error)
            except ConnectionLost as error:
                # Whether the last COMMIT took effect is read from the fence, and from the units' own rows.
                careful = careful or error.commit_sent
            except Unavailable as error:
                self._away("database", error)
            except StoreError as error:
                if isinstance(error, Duplicate) and error.key in FENCE_KEYS:
                    raise
                if careful or not isinstance(error, Duplicate):
                    await self._isolate(batch, error)
                    return
                careful = True
                continue
            self._answer_committed()
            await asyncio.sleep(pause_s * self._dice.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, RETRY_MAX_S)

    def _away(self, problem: str, error: StoreError) -> None:
        if self._problem != problem:
            log.warning("ledger_waits", shard=self._shard, problem=problem, error=str(error))
        self._problem = problem

    async def _commit(self, batch: list[Pending], *, careful: bool) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        units = [pending.incoming for pending in batch]
        wanted = wanted_by(units, self._cache, careful=careful)
        async with self._store.transaction(self._shard) as transaction:
            fence, found = await transaction.open(wanted)
            if not self._still_valid(fence):
                # What was remembered, and so what was asked for, belongs to another history.
                wanted = wanted_by(units, self._cache, careful=True)
                found = await transaction.read(wanted)
            self._cache.learn(wanted, found)
            plan = Plan(self._cache, found, fence.heads, shard=self._shard, epoch=fence.epoch)
            verdicts = self._judge(plan, batch)
            await self._replays(transaction, batch, verdicts, looked=wanted.units)
            planned = plan.batch()
            if planned.units:
                await self._while_answering(transaction.commit(planned))
        # Durable: only now does memory change.
        plan.merge(self._cache)
        self._fence = Fence(fence.owner, fence.epoch, planned.heads, fence.server)
        self._acknowledged = planned.heads.unit_seq
        self._lane.extendleft(reversed(batch[len(verdicts) :]))
        if planned.units:
            self._meter.batch(units=len(planned.units), seconds=loop.time() - began_s)
        self._answer_committed()
        self._committed = list(zip(batch, verdicts, strict=False))
        if not self._lane:
            self._answer_committed()
        else:
            loop.call_later(ANSWER_WITHIN_S, self._answer_committed)

    async def _while_answering(self, commit: Coroutine[Any, Any, None]) -> None:
        """Answer the batch before this one while the database works on this one."""
        task = asyncio.get_running_loop().create_task(commit)
        try:
            await asyncio.sleep(0)  # the task has handed its statements to the kernel
            while self._committed:
                self._answer_committed(ANSWERS_PER_TURN)
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            task.cancel()
            raise
        await task

    async def _replays(
        self,
        transaction: LedgerTransaction,
        batch: list[Pending],
        verdicts: list[UnitRejected | str],
        *,
        looked: set[str],
    ) -> None:
        """A unit that is rejected may have been recorded before: then it gets its first answer again."""
        doubtful = {
            number: verdict
            for number, verdict in enumerate(verdicts)
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
                same = recorded == batch[number].incoming.content_hash
                verdicts[number] = REPLAYED if same else UnitRejected(verdict.unit_id, RejectCode.UNIT_DIFFERS)

    def _still_valid(self, fence: Fence) -> bool:
        """Whether what this ledger remembers is what the database holds. Raises `LeaseLost`."""
        mine = self._fence
        assert mine is not None
        if (fence.owner, fence.epoch) != (mine.owner, mine.epoch):
            raise LeaseLost
        if fence.heads.unit_seq < self._acknowledged:
            self._gate.close(self._shard, "the database lost units that were acknowledged")
            log.error("database_went_back", shard=self._shard, at=fence.heads.unit_seq, acknowledged=self._acknowledged)
        if fence.server != mine.server:
            self._gate.close(self._shard, "the database is another server")
        if fence.heads == mine.heads:
            return True
        self._cache = LedgerCache(CACHE_SIZE)
        self._acknowledged = fence.heads.unit_seq
        return False

    def _judge(self, plan: Plan, batch: list[Pending]) -> list[UnitRejected | str]:
        """Verdicts for as many units as fit into the time for building; the rest waits for the next batch."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + LEDGER_BUILD_S
        verdicts: list[UnitRejected | str] = []
        for number, pending in enumerate(batch):
            if number % 32 == 31 and loop.time() > until_s:
                break
            verdicts.append(plan.add(pending.incoming))
        return verdicts

    def _answer_committed(self, limit: int | None = None) -> None:
        """Tell the senders of the last committed batch, or some of them."""
        some, self._committed = self._committed[:limit], self._committed[limit:] if limit else []
        assert self._fence is not None
        outbox_seq = self._fence.heads.outbox_seq
        committed = 0
        for pending, verdict in some:
            if isinstance(verdict, UnitRejected):
                self._meter.answered(verdict.code)
                if not pending.asked:
                    log.warning("unit_rejected", unit_id=verdict.unit_id, code=verdict.code, detail=verdict.detail)
                pending.reply.set(verdict)
            else:
                committed += 1
                pending.reply.set(Committed(pending.incoming.unit.unit_id, verdict == REPLAYED, outbox_seq))
        if committed:
            self._meter.answered("committed", committed)

    # --- a unit that the database refuses ---

    async def _isolate(self, batch: list[Pending], error: StoreError) -> None:
        """No rule of ours explains the refusal: halve until the one unit is found, and keep it apart."""
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._settle(batch[:middle])
            await self._settle(batch[middle:])
            return
        pending = batch[0]
        unit = pending.incoming.unit
        log.error("unit_quarantined", unit_id=unit.unit_id, error=repr(error))
        dead = DeadUnit(
            id=self._ids.ulid(),
            unit_id=unit.unit_id,
            transaction_id=unit.transaction.row.id if unit.transaction is not None else "",
            reason=repr(error)[:400],
            at=pending.incoming.at,
        )
        await self._bury(dead)
        self._meter.answered(RejectCode.QUARANTINED.value)
        pending.reply.set(UnitRejected(unit.unit_id, RejectCode.QUARANTINED, type(error).__name__))

    async def _bury(self, dead: DeadUnit) -> None:
        pause_s = RETRY_MIN_S
        while True:
            try:
                async with self._store.transaction(self._shard) as transaction:
                    fence, _ = await transaction.open(Wanted())
                    self._still_valid(fence)
                    await transaction.bury(dead)
                return
            except (Deadlock, LockTimeout, ConnectionLost, Unavailable) as error:
                self._away("database", error)
            except Duplicate:
                return  # buried by the run whose COMMIT was not answered
            await asyncio.sleep(pause_s * self._dice.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, RETRY_MAX_S)
