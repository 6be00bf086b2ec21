"""The saga of one deposit: receive evidence, decide, record, then act. Everything it knows is in its row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from actors.base import EntityActor, MailboxFull
from actors.recording import record, unit_of
from actors.saga_evidence import Unusable, event_of_probe, events_of
from penpay.domain import deposit_events as ev
from penpay.domain.decision import Decision, Effect, Ignored, Occasion, Rejected, Rules
from penpay.domain.deposit import Deposit, State
from penpay.domain.deposit_row import STATUS, from_row
from penpay.domain.deposit_rules import decide
from penpay.domain.errors import Unavailable
from penpay.domain.fx import Direction
from penpay.domain.ids import account_reference
from penpay.domain.unit import OperationKind, RejectCode, ReviewOpened, TransactionEvent, TransactionRow, UnitOfWork
from penpay.messages import (
    CancelTransaction,
    Committed,
    DepositSettled,
    EvidenceArrived,
    InboxRow,
    ProbeAnswered,
    Refusal,
    SagaBegan,
    WakeUp,
    user_of,
)
from penpay.messages_rails import (
    DARAJA_GATE,
    DERIV_RESOLVER,
    DERIV_TRANSFERS,
    CheckRecipient,
    ProbePull,
    ProbeReversal,
    ProbeStk,
    ResolveTransfer,
    Submit,
)
from penpay.ports import Addresses, Clock, Ids, SagaMeter, SagaRows, SagaStore

log = structlog.get_logger()

FRESH_IDS = 3
"""The most ids that one decision uses: an operation and two questions."""
RACES_MAX = 4
TYPE = Direction.DEPOSIT.value


@dataclass(frozen=True, slots=True)
class SagaParts:
    """What every saga of a shard shares."""

    shard: int
    addresses: Addresses
    store: SagaStore
    clock: Clock
    ids: Ids
    rules: Rules
    meter: SagaMeter | None = None


class DepositSagaActor(EntityActor):
    """One deposit. Messages: `SagaBegan`, `EvidenceArrived`, `ProbeAnswered`, `WakeUp`, `CancelTransaction`."""

    KIND = "saga"
    LEVEL = 4
    MAILBOX_MAX = 64
    IDLE_S = 5.0

    def __init__(self, transaction_id: str, parts: SagaParts) -> None:
        super().__init__()
        self._id = transaction_id
        self._parts = parts
        self._row: TransactionRow | None = None
        self._deposit: Deposit | None = None
        self._consumed: set[str] = set()

    def observable_state(self) -> Mapping[str, object]:
        """Where the deposit stands; nothing personal."""
        known = self._deposit
        return {
            "transaction": self._id,
            "state": known.state.value if known else "not loaded",
            "version": known.version if known else 0,
        }

    async def on_receive(self, message: Any) -> Any:
        """One message, start to end. After anything but success the memory is dropped and the row is read again."""
        try:
            return await self._handle(message)
        except Unavailable:
            self._forget()
            raise

    async def _handle(self, message: Any) -> Any:
        match message:
            case SagaBegan(row):
                if self._row is None:
                    self._remember(row)
                    self._act((Effect("check_recipient"),))
            case EvidenceArrived(row):
                await self._load()
                await self._consume(row)
            case ProbeAnswered():
                await self._apply_probe(message)
            case WakeUp():
                self._forget()
                await self._wake()
            case CancelTransaction(user_id):
                return await self._cancel(user_id)
            case _:
                raise TypeError(f"a saga takes no {type(message).__name__}")
        return None

    # --- what is known ------------------------------------------------------------------------------------------

    def _remember(self, row: TransactionRow) -> None:
        self._row, self._deposit = row, from_row(row)

    def _forget(self) -> None:
        self._row = self._deposit = None

    async def _load(self) -> SagaRows | None:
        """Read the row unless it is known, and apply stored evidence that nobody consumed."""
        if self._row is not None:
            return None
        rows = await self._parts.store.load(self._id)
        if rows is None:
            raise LookupError(f"no transaction {self._id}")
        self._remember(rows.row)
        for waiting in rows.inbox:
            await self._consume(waiting)
        return rows

    # --- receive → decide → record → act ------------------------------------------------------------------------

    async def _consume(self, row: InboxRow) -> None:
        if row.id in self._consumed:
            return
        assert self._deposit is not None
        events = events_of(self._deposit, row)
        if isinstance(events, Unusable):
            await self._quarantine(row, events.reason)
        else:
            consumed = False
            for event in events:
                consumed = isinstance(await self._apply(event, consumes=(row.id,)), Decision) or consumed
            if not consumed:
                await self._mark(row)
        self._consumed.add(row.id)

    async def _apply(
        self, event: ev.Event, *, consumes: tuple[str, ...] = ()
    ) -> Decision[Deposit] | Ignored | Rejected:
        """Decide and record; lost races reload and decide again, a frozen user is decided without an intent."""
        frozen = attempted = False
        for _ in range(RACES_MAX):
            assert self._deposit is not None
            assert self._row is not None
            fresh = tuple(self._parts.ids.ulid() for _ in range(FRESH_IDS))
            result = decide(
                self._deposit,
                event,
                Occasion(self._parts.clock.now(), fresh, frozen=frozen, attempted=attempted),
                self._parts.rules,
            )
            if not isinstance(result, Decision):
                return result
            unit = unit_of(result, self._row, actor="saga", consumes=consumes)
            answer = await record(self._parts.addresses, unit)
            if isinstance(answer, Committed):
                assert unit.transaction is not None
                before = self._deposit
                self._row, self._deposit = unit.transaction.row, result.saga
                self._measure(before, result.saga, result.steps)
                self._log(result, event)
                self._act(result.effects)
                return result
            match answer.code:
                case RejectCode.VERSION_CONFLICT | RejectCode.UNIT_DIFFERS:
                    self._forget()
                    rows = await self._parts.store.load(self._id)
                    assert rows is not None
                    self._remember(rows.row)
                case RejectCode.ACCOUNT_FROZEN:
                    frozen = True
                case RejectCode.ATTEMPT_EXISTS if isinstance(event, ev.CancelRequested):
                    return Rejected("not_cancellable")
                case RejectCode.ATTEMPT_EXISTS:
                    attempted = True
                case RejectCode.DUPLICATE_REFERENCE:
                    return await self._reference_taken(event, answer.detail)
                case _:
                    raise RuntimeError(f"unit {answer.unit_id} rejected: {answer.code} {answer.detail}")
        raise Unavailable("ledger")

    async def _reference_taken(self, event: ev.Event, detail: str) -> Ignored:
        """Evidence whose reference already belongs to another operation is never applied: a person looks at it."""
        await self._open_review("reference_taken", f"{type(event).__name__}: {detail}")
        return Ignored("reference taken")

    async def _apply_probe(self, answer: ProbeAnswered) -> None:
        await self._load()
        assert self._deposit is not None
        event = event_of_probe(self._deposit, answer)
        if event is not None and self._concerns(answer):
            await self._apply(event)

    def _concerns(self, answer: ProbeAnswered) -> bool:
        """Answers to reads may be old: only those about an operation that this deposit still has count."""
        assert self._deposit is not None
        known = {held.id for held in (self._deposit.stk, self._deposit.transfer, self._deposit.refund) if held}
        return not answer.operation_id or answer.operation_id in known

    async def _wake(self) -> None:
        rows = await self._load()
        assert self._deposit is not None
        due = self._deposit.next_wake_at
        if due is None or due > self._parts.clock.now():
            return
        stk = next((held for held in rows.operations if held.kind == OperationKind.STK), None) if rows else None
        attempted = stk is not None and stk.attempts > stk.attempts_closed
        await self._apply(ev.Woke(attempted=attempted))

    async def _cancel(self, user_id: str) -> TransactionRow | Refusal:
        await self._load()
        assert self._deposit is not None
        if self._deposit.user_id != user_id:
            return Refusal("not_found")
        outcome = await self._apply(ev.CancelRequested())
        if isinstance(outcome, Decision) and self._row is not None:
            return self._row
        return Refusal("not_cancellable")

    # --- evidence that is not applied ---------------------------------------------------------------------------

    async def _mark(self, row: InboxRow) -> None:
        """Consume a row that changed nothing, so that no sweep brings it again."""
        await record(self._parts.addresses, self._bare(f"seen:{row.id}", consumes=(row.id,)))

    async def _quarantine(self, row: InboxRow, reason: str) -> None:
        log.warning("evidence_quarantined", transaction_id=self._id, kind=row.kind, reason=reason)
        review = self._review("evidence_unusable", reason)
        await record(
            self._parts.addresses, self._bare(f"quarantine:{row.id}", quarantines=(row.id,), reviews=(review,))
        )

    async def _open_review(self, kind: str, reason: str) -> None:
        await record(
            self._parts.addresses, self._bare(f"review:{self._parts.ids.ulid()}", reviews=(self._review(kind, reason),))
        )

    def _review(self, kind: str, reason: str) -> ReviewOpened:
        due_at = self._parts.clock.now() + timedelta(seconds=self._parts.rules.review_due_s)
        return ReviewOpened(
            id=self._parts.ids.ulid(),
            transaction_id=self._id,
            operation_id="",
            kind=kind,
            reason=reason[:500],
            owner_role="OPS",
            due_at=due_at,
        )

    def _bare(self, unit_id: str, **parts: Any) -> UnitOfWork:
        assert self._deposit is not None
        return UnitOfWork(
            unit_id=unit_id, shard=self._parts.shard, at=self._parts.clock.now(), user_id=self._deposit.user_id, **parts
        )

    # --- act ----------------------------------------------------------------------------------------------------

    def _act(self, effects: tuple[Effect, ...]) -> None:
        """Tell the rails. A full mailbox is no loss: `next_wake_at` brings every effect again."""
        for effect in effects:
            address, message = self._message(effect)
            try:
                self._parts.addresses.tell(address, message)
            except MailboxFull:
                log.warning("effect_postponed", transaction_id=self._id, effect=effect.name)

    def _message(self, effect: Effect) -> tuple[str, object]:
        d = self._deposit
        assert d is not None
        shard, tx, op = d.shard, d.id, effect.operation_id
        match effect.name:
            case "check_recipient":
                check = CheckRecipient(shard=shard, transaction_id=tx, loginid=d.deriv_loginid, amount=d.receive)
                return DERIV_TRANSFERS, check
            case "submit":
                kind = self._kind_of(op)
                rail = DERIV_TRANSFERS if kind is OperationKind.DERIV_TRANSFER else DARAJA_GATE
                to, what = d.deriv_loginid, d.receive
                return rail, Submit(operation_id=op, shard=shard, transaction_id=tx, kind=kind, loginid=to, amount=what)
            case "probe_stk":
                checkout = d.checkout_request_id
                return DARAJA_GATE, ProbeStk(
                    operation_id=op, shard=shard, transaction_id=tx, checkout_request_id=checkout
                )
            case "probe_pull":
                reference = account_reference(op)
                pull = ProbePull(
                    operation_id=op, shard=shard, transaction_id=tx, reference=reference, since=d.created_at
                )
                return DARAJA_GATE, pull
            case "probe_reversal":
                return DARAJA_GATE, ProbeReversal(operation_id=op, shard=shard, transaction_id=tx, receipt=d.receipt)
            case "resolve":
                resolve = ResolveTransfer(
                    operation_id=op,
                    shard=shard,
                    transaction_id=tx,
                    reference=account_reference(op),
                    loginid=d.deriv_loginid,
                    amount=d.receive,
                )
                return DERIV_RESOLVER, resolve
            case "settled":
                return user_of(shard, d.user_id), DepositSettled(tx)
        raise ValueError(effect.name)

    def _kind_of(self, operation_id: str) -> OperationKind:
        d = self._deposit
        assert d is not None
        for held, kind in (
            (d.stk, OperationKind.STK),
            (d.transfer, OperationKind.DERIV_TRANSFER),
            (d.refund, OperationKind.REVERSAL),
        ):
            if held is not None and held.id == operation_id:
                return kind
        raise ValueError(operation_id)

    def _measure(self, before: Deposit, after: Deposit, steps: Sequence[TransactionEvent]) -> None:
        meter = self._parts.meter
        if meter is None:
            return
        since = before.state_since or before.created_at
        for step in steps:
            if step.from_state != step.to_state:
                seconds = (after.updated_at - since).total_seconds()
                meter.stage(type_=TYPE, stage=step.from_state, seconds=max(0.0, seconds))
                since = after.updated_at
        if STATUS[after.state] != STATUS[before.state]:
            meter.transaction(type_=TYPE, status=STATUS[after.state])

    def _log(self, decision: Decision[Deposit], event: ev.Event) -> None:
        for step in decision.steps:
            if step.from_state != step.to_state:
                log.info(
                    "transition",
                    transaction_id=self._id,
                    from_state=step.from_state,
                    because=type(event).__name__,
                    to_state=step.to_state,
                )
        if decision.saga.state is State.IN_REVIEW:
            log.error("in_review", transaction_id=self._id, kinds=[review.kind for review in decision.reviews])


async def park(transaction_id: str, error: BaseException, parts: SagaParts) -> None:
    """Called by the host, never by the poisoned saga: put the transaction in front of a person. Idempotent."""
    rows = await parts.store.load(transaction_id)
    if rows is None:
        return
    fresh = tuple(parts.ids.ulid() for _ in range(FRESH_IDS))
    result = decide(
        from_row(rows.row), ev.Parked(error=type(error).__name__), Occasion(parts.clock.now(), fresh), parts.rules
    )
    if isinstance(result, Decision):
        await record(parts.addresses, unit_of(result, rows.row, actor="saga_host"))
