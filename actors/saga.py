"""The saga of one transaction: receive evidence, decide, record, then act. Everything it knows is in its row.

Which rules apply, and what an effect says to whom, is its flow's: a deposit's or a withdrawal's.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import structlog

from actors.base import EntityActor, MailboxFull
from actors.claims import claim_credit
from actors.deposit_flow import DEPOSIT
from actors.flow import Flow, Unusable
from actors.payees import pays_out, with_payees
from actors.recording import record, unit_of
from actors.saga_meter import measure
from actors.suspects import Suspects
from actors.withdrawal_flow import WITHDRAWAL
from penpay.domain.decision import IN_REVIEW, Act, Decision, Effect, Ignored, Occasion, Rejected
from penpay.domain.errors import Unavailable
from penpay.domain.readable import UNREADABLE, Unreadable, saga_of
from penpay.domain.review import staff_event, undecidable
from penpay.domain.rules import Rules
from penpay.domain.saga_events import CancelRequested, Woke
from penpay.domain.suspicion import DELIVERIES_MAX
from penpay.domain.unit import RejectCode, ReviewOpened, TransactionRow, UnitOfWork
from penpay.messages import (
    CancelTransaction,
    Committed,
    EvidenceArrived,
    EvidenceBroke,
    InboxRow,
    ProbeAnswered,
    Refusal,
    ResolveReview,
    SagaBegan,
    WakeUp,
    inbox_of,
)
from penpay.ports import Addresses, Clock, Ids, SagaMeter, SagaRows, SagaStore, Sealer

log = structlog.get_logger()

FLOWS: Mapping[str, Flow] = {flow.type: flow for flow in (DEPOSIT, WITHDRAWAL)}
FRESH_IDS = 3
"""The most ids that one decision uses: an operation and two questions."""
RACES_MAX = 4
EVIDENCE_USED = "evidence_used"
"""What people rest their decision on belongs to something else: they are told so, and no question is put to others."""
CHANGED = "the transaction has changed since it was looked at"
REPLACED = "about an operation that was replaced"


@dataclass(frozen=True, slots=True)
class SagaParts:
    """What every saga of a shard shares."""

    shard: int
    addresses: Addresses
    store: SagaStore
    clock: Clock
    ids: Ids
    rules: Rules
    sealer: Sealer
    suspects: Suspects
    meter: SagaMeter | None = None


class SagaActor(EntityActor):
    """One transaction.

    Messages: `SagaBegan`, `EvidenceArrived`, `ProbeAnswered`, `WakeUp`, `CancelTransaction`,
    `ResolveReview`.
    """

    KIND = "saga"
    LEVEL = 4
    MAILBOX_MAX = 64
    IDLE_S = 5.0

    def __init__(self, transaction_id: str, parts: SagaParts) -> None:
        super().__init__()
        self._id = transaction_id
        self._parts = parts
        self._row: TransactionRow | None = None
        self._saga: Any = None
        self._flow = DEPOSIT
        self._consumed: set[str] = set()
        self._taken = ""
        """The row that is being applied."""
        self._read_at_start: tuple[object, SagaRows | None] | None = None
        """For which message, and what."""

    def observable_state(self) -> Mapping[str, object]:
        """Where the transaction stands; nothing personal."""
        row = self._row
        return {
            "transaction": self._id,
            "type": row.type if row else "",
            "state": row.state if row else "not loaded",
            "version": row.version if row else 0,
        }

    async def on_start(self) -> None:
        """Read the row for the message that waits: starts are few at once. One that just began brings its row along."""
        waiting = self.first_waiting
        if waiting is not None and not isinstance(waiting, SagaBegan):
            self._read_at_start = waiting, await self._parts.store.load(self._id)

    async def on_receive(self, message: Any) -> Any:
        """One message, start to end. After anything but success the memory is dropped and the row is read again."""
        if self._read_at_start is not None and self._read_at_start[0] is not message:
            self._read_at_start = None  # whoever it was read for has given up: that may be long ago
        try:
            return await self._handle(message)
        except Unavailable:
            self._taken = ""
            self._forget()
            raise
        finally:
            self._read_at_start = None

    def on_incarnation_over(self) -> None:
        """Whatever ended it in the middle of a row, the row is counted: a person sees one that always does so."""
        if self._taken:
            with suppress(MailboxFull):
                self._parts.addresses.tell(inbox_of(self._parts.shard), EvidenceBroke(self._taken))

    async def _handle(self, message: Any) -> Any:
        match message:
            case SagaBegan(row):
                if self._row is None:
                    self._remember(row)
                    self._act((Effect(self._flow.begin, self._flow.first(self._saga)),))
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
            case ResolveReview():
                return await self._resolve(message)
            case _:
                raise TypeError(f"a saga takes no {type(message).__name__}")
        return None

    # --- what is known ------------------------------------------------------------------------------------------

    def _remember(self, row: TransactionRow) -> None:
        self._flow = FLOWS[row.type]
        self._row, self._saga = row, saga_of(row)

    def _forget(self) -> None:
        self._row = self._saga = None

    async def _load(self) -> SagaRows | None:
        """Read the row unless it is known, and apply stored evidence that nobody consumed."""
        if self._row is not None:
            return None
        rows = await self._read()
        self._remember(rows.row)
        for waiting in rows.inbox:
            await self._consume(waiting)
        return rows

    async def _read(self) -> SagaRows:
        read, self._read_at_start = self._read_at_start, None
        rows = read[1] if read is not None else await self._parts.store.load(self._id)
        if rows is None:
            raise LookupError(f"no transaction {self._id}")
        return rows

    # --- receive → decide → record → act ------------------------------------------------------------------------

    async def _consume(self, row: InboxRow) -> None:
        """Apply a row once. One that broke too much is the inbox consumer's: it is about to put it aside."""
        if row.id in self._consumed or row.deliveries >= DELIVERIES_MAX:
            return
        async with self._parts.suspects.taken(row):
            self._taken = row.id
            outcome = await self._apply(lambda: self._said(row), consumes=(row.id,))
            if isinstance(outcome, Unusable):
                await self._quarantine(row, outcome.reason)
            elif not isinstance(outcome, Decision):
                await self._mark(row)
        self._consumed.add(row.id)
        self._taken = ""

    def _said(self, row: InboxRow) -> Any | Unusable | None:
        event = self._flow.event_of(self._saga, row)
        if event is not None and row.operation_id not in self._flow.known(self._saga):
            return Unusable(REPLACED)
        return event

    async def _apply(
        self, event_now: Callable[[], Any | Unusable | None], *, consumes: tuple[str, ...] = (), staff: bool = False
    ) -> Decision[Any] | Act | Ignored | Rejected | Unusable:
        """Decide and record; lost races reload and decide again, what the ledger says of a first try is a circumstance.

        `event_now` is asked anew after a lost race: whoever won it may have gone on from the attempt that it tells of.
        `staff`: two named people decided it; then a frozen customer gets an intent all the same.
        """
        frozen = attempted = False
        for _ in range(RACES_MAX):
            assert self._row is not None
            event = event_now()
            if event is None:
                return Ignored("says nothing about this saga as it stands")
            if isinstance(event, Unusable):
                return event
            fresh = tuple(self._parts.ids.ulid() for _ in range(FRESH_IDS))
            occasion = Occasion(self._parts.clock.now(), fresh, frozen=frozen, attempted=attempted)
            result = self._flow.decide(self._saga, event, occasion, self._parts.rules)
            if isinstance(result, Act):
                self._act(result.effects)
            if not isinstance(result, Decision):
                return result
            unit = unit_of(self._flow, result, self._row, actor="staff" if staff else "saga", consumes=consumes)
            unit = replace(await self._with_payees(unit), staff_resolution=staff)
            answer = await record(self._parts.addresses, unit)
            if isinstance(answer, Committed):
                assert unit.transaction is not None
                before, self._row, self._saga = self._saga, unit.transaction.row, result.saga
                measure(self._parts.meter, self._flow, before, result)
                self._log(result, event)
                self._act(result.effects)
                return result
            match answer.code:
                case RejectCode.VERSION_CONFLICT | RejectCode.UNIT_DIFFERS:
                    self._remember((await self._read()).row)
                case RejectCode.ACCOUNT_FROZEN:
                    frozen = True
                case RejectCode.ATTEMPT_EXISTS if isinstance(event, CancelRequested):
                    return Rejected("not_cancellable")
                case RejectCode.ATTEMPT_EXISTS:
                    attempted = True
                case RejectCode.DUPLICATE_REFERENCE | RejectCode.DUPLICATE_POSTING if staff:
                    return Rejected(EVIDENCE_USED)
                case RejectCode.DUPLICATE_REFERENCE:
                    return await self._reference_taken(event, answer.detail)
                case _:
                    raise RuntimeError(f"unit {answer.unit_id} rejected: {answer.code} {answer.detail}")
        raise Unavailable("ledger")

    async def _with_payees(self, unit: UnitOfWork) -> UnitOfWork:
        if not pays_out(unit):
            return unit
        data_key = next((known.data_key for known in (await self._read()).operations if known.data_key), b"")
        return with_payees(unit, self._saga, sealer=self._parts.sealer, data_key=data_key)

    async def _reference_taken(self, event: Any, detail: str) -> Ignored:
        """Evidence whose reference already belongs to another operation is never applied: a person looks at it."""
        await self._open_review("reference_taken", f"{type(event).__name__}: {detail}")
        return Ignored("reference taken")

    async def _apply_probe(self, answer: ProbeAnswered) -> None:
        await self._load()
        await self._apply(lambda: self._probed(answer))

    def _probed(self, answer: ProbeAnswered) -> Any | None:
        """Answers to reads may be old: only those about an operation that this saga still has count."""
        if answer.operation_id and answer.operation_id not in self._flow.known(self._saga):
            return None
        return self._flow.event_of_probe(self._saga, answer)

    async def _wake(self) -> None:
        rows = await self._load()
        assert self._row is not None
        due = self._row.next_wake_at
        if due is None or due > self._parts.clock.now():
            return
        first = self._flow.first(self._saga)
        operations = rows.operations if rows else ()
        attempted = any(held.id == first and held.attempts > held.attempts_closed for held in operations)
        await self._apply(lambda: Woke(attempted=attempted))

    # --- people -------------------------------------------------------------------------------------------------

    async def _cancel(self, user_id: str) -> TransactionRow | Refusal:
        await self._load()
        if self._saga.user_id != user_id:
            return Refusal("not_found")
        outcome = await self._apply(CancelRequested)
        return self._row if isinstance(outcome, Decision) and self._row is not None else Refusal("not_cancellable")

    async def _resolve(self, asked: ResolveReview) -> TransactionRow | Refusal:
        """Staff's decision. While the end of an attempt is not proven, the only one is to say how it ended.

        While its call is under way, nobody can know that it did nothing. Evidence that waited is applied first, and a
        lost race is no reason to decide about what nobody looked at.
        """
        self._forget()
        try:
            rows = await self._load()
        except Unreadable:
            return Refusal("review_not_resolvable", UNREADABLE)
        assert rows is not None
        assert self._row is not None
        looked_at = self._row.version if asked.version is None else asked.version
        if looked_at != self._row.version:
            return Refusal("review_not_resolvable", CHANGED)
        if rows.inbox:
            rows = await self._read()  # what was applied may have let a rail begin
        problem = undecidable(asked.action, rows.operations)
        if problem:
            return Refusal("review_not_resolvable", problem)
        event = staff_event(self._flow.type, asked.action, asked.approval)
        outcome = await self._apply(lambda: event if self._is_at(looked_at) else None, staff=True)
        if isinstance(outcome, Rejected) and outcome.code == EVIDENCE_USED:
            found = await claim_credit(self._parts, self._saga, event, asked.approval)
            if isinstance(found, Refusal):
                return found
            outcome = await self._apply(lambda: found if self._is_at(looked_at) else None, staff=True)
            if not isinstance(outcome, Decision):
                # Not a plain no: the credit is this debit's already, and the same decision may be told again.
                return Refusal("outcome_unknown", CHANGED, retry_after_s=2)
        if isinstance(outcome, Decision) and self._row is not None:
            return self._row
        return Refusal("review_not_resolvable", "" if self._is_at(looked_at) else CHANGED)

    def _is_at(self, version: int) -> bool:
        return self._row is not None and self._row.version == version

    # --- evidence that is not applied ---------------------------------------------------------------------------

    async def _mark(self, row: InboxRow) -> None:
        """Consume a row that changed nothing, so that no sweep brings it again."""
        await record(self._parts.addresses, self._bare(f"seen:{row.id}", consumes=(row.id,)))

    async def _quarantine(self, row: InboxRow, reason: str) -> None:
        log.warning("evidence_quarantined", transaction_id=self._id, kind=row.kind, reason=reason)
        await self._open_review("evidence_unusable", reason)
        await record(self._parts.addresses, self._bare(f"quarantine:{row.id}", quarantines=(row.id,)))

    async def _open_review(self, kind: str, reason: str) -> None:
        """Put a question beside the transaction: once a day, though each poll brings what it is about again."""
        said = hashlib.sha256(f"{kind}: {reason}".encode()).hexdigest()[:32]
        unit_id = f"review:{self._id}:{said}:{self._parts.clock.now().date()}"
        await record(self._parts.addresses, self._bare(unit_id, reviews=(self._review(kind, reason),)))

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
        now, user_id = self._parts.clock.now(), self._saga.user_id
        return UnitOfWork(unit_id=unit_id, shard=self._parts.shard, at=now, user_id=user_id, **parts)

    # --- act ----------------------------------------------------------------------------------------------------

    def _act(self, effects: Sequence[Effect]) -> None:
        """Tell the rails. A full mailbox is no loss: `next_wake_at` brings every effect again."""
        for effect in effects:
            address, message = self._flow.message(self._saga, effect)
            try:
                self._parts.addresses.tell(address, message)
            except MailboxFull:
                log.warning("effect_postponed", transaction_id=self._id, effect=effect.name)

    def _log(self, decision: Decision[Any], event: Any) -> None:
        for step in decision.steps:
            if step.from_state != step.to_state:
                log.info(
                    "transition",
                    transaction_id=self._id,
                    from_state=step.from_state,
                    because=type(event).__name__,
                    to_state=step.to_state,
                )
        if decision.saga.state == IN_REVIEW:
            log.error("in_review", transaction_id=self._id, kinds=[review.kind for review in decision.reviews])
