"""The ledger actor: the single writer of its shard.

Units gather while a batch is being committed and become the next batch. Each is judged in memory and answered on its
own; all that pass share one database transaction that begins with the shard's fence.
"""

import asyncio
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from actors.base import DEFER, AsyncioActor, DeferredReply
from actors.ledger_commits import Commits, LeaseLost, Verdict
from actors.ledger_plan import REPLAYED
from actors.ledger_rules import malformed
from config.limits import LEDGER_BATCH_MAX, LEDGER_MAILBOX_MAX, UNIT_TRIES_MAX
from penpay.domain.errors import OutcomeUnknown, StoreError, Unavailable
from penpay.domain.gate import RecoveryGate
from penpay.domain.incoming import Incoming, taken_in
from penpay.domain.unit import RejectCode
from penpay.messages import Committed, CommitUnit, UnitRejected
from penpay.ports import ConnectionLost, Deadlock, Duplicate, Ids, LockTimeout
from penpay.ports_ledger import FENCE_KEYS, DeadUnit, Fence, LedgerMeter, LedgerStore, NoMeter, Wanted

log = structlog.get_logger()

ANSWER_WITHIN_S = 0.02
"""A committed unit is answered after this, even when the next batch does not come off."""
ANSWERS_PER_TURN = 32
"""Between them the loop gets to the database's socket."""
RETRY_MIN_S = 0.02
RETRY_MAX_S = 2.0
"""The longest pause between two tries while the database is away."""


@dataclass(slots=True)
class Pending:
    """A unit that waits for its batch. `asked`: somebody waited for the answer when it came."""

    incoming: Incoming
    reply: DeferredReply
    asked: bool


class Batch:
    """Units that go into the database together. The list of units is also the name of the batch."""

    __slots__ = ("pending", "units")

    def __init__(self, pending: list[Pending]) -> None:
        self.pending = pending
        self.units = [one.incoming for one in pending]


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
        self._lane: deque[Pending] = deque()
        self._arrived = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._commits: Commits | None = None
        self._next: Batch | None = None
        self._committed: list[tuple[Pending, Verdict]] = []
        """The last committed batch, as far as it is not answered yet."""
        self._problem = ""

    def observable_state(self) -> Mapping[str, object]:
        """What waits, how far the shard is, and why nothing moves, if nothing does."""
        fence = self._commits.fence if self._commits is not None else None
        return {
            "waiting": len(self._lane),
            "epoch": fence.epoch if fence else None,
            "unit_seq": fence.heads.unit_seq if fence else None,
            "problem": self._problem,
            "gate": self._gate.reason(self._shard),
        }

    async def on_start(self) -> None:
        """Begin a new epoch: an earlier incarnation, here or elsewhere, can write nothing from now on."""
        fence = await self._take_fence()
        if fence is None:
            self.exit("lease_lost")
            return
        self._commits = Commits(shard=self._shard, store=self._store, gate=self._gate, fence=fence)
        self.spawn(self._drain(), name="commits")

    async def _take_fence(self) -> Fence | None:
        pause_s = RETRY_MIN_S
        while True:
            try:
                fence = await self._store.take_fence(self._shard)
            except (Unavailable, Deadlock, LockTimeout, ConnectionLost):
                self._problem = "database"
                await asyncio.sleep(pause_s * self._dice.uniform(0.5, 1.0))
                pause_s = min(pause_s * 2, RETRY_MAX_S)
                continue
            self._problem = ""
            return fence

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
                while self._next is not None or self._lane:
                    batch = self._next_batch()
                    if batch.pending:
                        await self._settle(batch)
                self._answer_committed()
                self._arrived.clear()
                self._quiet.set()
        except LeaseLost:
            log.warning("ledger_lease_lost", shard=self._shard)
            self._lane.clear()
            self._next = None
            self._quiet.set()
            self.exit("lease_lost")
            self.actor_ref.tell(None)

    def _next_batch(self) -> Batch:
        ready, self._next = self._next, None
        if ready is not None:
            return ready
        lane = self._lane
        return self._wanted(Batch([lane.popleft() for _ in range(min(len(lane), self._batch_max))]))

    def _wanted(self, batch: Batch) -> Batch:
        """Without those whose askers have given up: they decide anew, from rows that must not change behind them."""
        kept = [pending for pending in batch.pending if pending.reply.open or not pending.asked]
        if len(kept) == len(batch.pending):
            return batch
        self._meter.answered("given_up", len(batch.pending) - len(kept))
        return Batch(kept)

    async def _settle(self, batch: Batch) -> None:
        """Run a batch to its end, however often the database must be asked."""
        assert self._commits is not None
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
                if error.commit_sent:
                    careful = True
                    self._commits.forget()
            except Unavailable as error:
                self._away("database", error)
            except StoreError as error:
                if isinstance(error, Duplicate) and error.key in FENCE_KEYS:
                    raise
                if careful or (len(batch.pending) > 1 and not isinstance(error, Duplicate)):
                    await self._isolate(batch, error)
                    return
                # Said once, it may be of rows that we remember wrongly, or a fault of the server's that passes.
                careful = True
                continue
            self._answer_committed()
            await asyncio.sleep(pause_s * self._dice.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, RETRY_MAX_S)
            batch = self._wanted(batch)
            if not batch.pending:
                return

    def _away(self, problem: str, error: StoreError) -> None:
        if self._problem != problem:
            log.warning("ledger_waits", shard=self._shard, problem=problem, error=str(error))
        self._problem = problem

    async def _commit(self, batch: Batch, *, careful: bool) -> None:
        assert self._commits is not None
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        outcome = await self._commits.run(batch.units, careful=careful, meanwhile=self._meanwhile)
        done = len(outcome.verdicts)
        self._lane.extendleft(reversed(batch.pending[done:]))
        if outcome.recorded:
            self._meter.batch(units=outcome.recorded, seconds=loop.time() - began_s)
        self._answer_committed()
        self._committed = list(zip(batch.pending, outcome.verdicts, strict=False))
        if self._next is None and not self._lane:
            self._answer_committed()
        else:
            # Told while the next batch is being written; soon in any case.
            loop.call_later(ANSWER_WITHIN_S, self._answer_committed)

    async def _meanwhile(self) -> None:
        """While the database writes: answer the batch before, let its senders send again, and prepare the next."""
        assert self._commits is not None
        while self._committed:
            self._answer_committed(ANSWERS_PER_TURN)
            await asyncio.sleep(0)
        if self._next is None and self._lane:
            self._next = self._next_batch()
            self._commits.look_ahead(self._next.units)

    def _answer_committed(self, limit: int | None = None) -> None:
        """Tell the senders of the last committed batch, or some of them."""
        some, self._committed = self._committed[:limit], self._committed[limit:] if limit else []
        assert self._commits is not None
        outbox_seq = self._commits.fence.heads.outbox_seq
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

    async def _isolate(self, batch: Batch, error: StoreError) -> None:
        """No rule of ours explains the refusal: halve until the one unit is found, and keep it apart."""
        middle = len(batch.pending) // 2
        if middle:
            await self._settle(Batch(batch.pending[:middle]))
            await self._settle(Batch(batch.pending[middle:]))
            return
        pending = batch.pending[0]
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
        assert self._commits is not None
        pause_s = RETRY_MIN_S
        while True:
            try:
                async with self._store.transaction(self._shard) as transaction:
                    fence, _ = await transaction.open(Wanted())
                    self._commits.check(fence)
                    await transaction.bury(dead)
                return
            except (Deadlock, LockTimeout, ConnectionLost, Unavailable) as error:
                self._away("database", error)
            except Duplicate:
                return  # buried by the run whose COMMIT was not answered
            await asyncio.sleep(pause_s * self._dice.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, RETRY_MAX_S)
