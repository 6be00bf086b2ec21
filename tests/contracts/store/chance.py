"""Random units of work, most of them legal, many not: whatever a ledger may ever be handed."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from penpay.domain.fx import exchange
from penpay.domain.ledger import Account, AccountCode, Entry, Phase, Posting
from penpay.domain.money import Currency, kes, usd
from penpay.domain.postings import Books
from penpay.domain.unit import (
    AuditRecord,
    NewOperation,
    OperationChange,
    OperationKind,
    OperationState,
    OutboxEvent,
    ProviderReference,
    ReviewClosed,
    ReviewOpened,
    StoredAnswer,
    TransactionChange,
    TransactionEvent,
    TransactionRow,
    UnitOfWork,
    UserStatusChange,
)
from tests.contracts.store.units import RATE
from tests.ledger.house import SHARD, fresh_id, transaction_row

BEGAN = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
STATES = ("STK_SENDING", "AWAITING_PAYER", "PAID", "DERIV_SENDING", "DERIV_UNKNOWN", "COMPLETED", "FAILED", "IN_REVIEW")
TEXTS = ("", "plain", 'O\'Brien \\ "x" \u20ac', "new\nline\0null", "\U0001f600" * 3, "tail ")


@dataclass
class Known:
    """What exists, as far as it was committed."""

    rows: dict[str, TransactionRow] = field(default_factory=dict)
    operations: dict[str, list[str]] = field(default_factory=dict)
    units: list[UnitOfWork] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    reviews: list[ReviewOpened] = field(default_factory=list)

    def take(self, unit: UnitOfWork) -> None:
        """A unit is durable."""
        self.units.append(unit)
        self.reviews += unit.reviews
        if unit.transaction is not None:
            row = unit.transaction.row
            self.rows[row.id] = row
            self.operations.setdefault(row.id, []).extend(new.id for new in unit.new_operations)


class Chance:
    """Makes units from a seed and from what is known."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.known = Known()
        self.users = [fresh_id() for _ in range(4)]
        self.keys = [f"{number:064d}" for number in range(6)]
        self.quotes = ["", "", "", *(fresh_id() for _ in range(4))]
        self.refs = [f"R{number}" for number in range(5)]
        self._second = 0

    def now(self) -> datetime:
        self._second += 1
        return BEGAN + timedelta(seconds=self._second, microseconds=self.dice.randrange(1_000_000))

    def unit(self) -> UnitOfWork:
        """Any unit."""
        makers: list[tuple[int, Callable[[], UnitOfWork]]] = [
            (6, self.admission), (12, self.step), (4, self.money), (2, self.replay), (1, self.other_content),
            (2, self.status), (1, self.lone_answer), (2, self.housekeeping), (1, self.misfit),
        ]  # fmt: skip
        weights, choices = zip(*makers, strict=True)
        return self.dice.choices(choices, weights)[0]()

    def maybe(self, chance: float, make: Callable[[], Any], otherwise: Any = ()) -> Any:
        return make() if self.dice.random() < chance else otherwise

    # --- whole units ---

    def admission(self) -> UnitOfWork:
        """A new transaction, sometimes with a request or quote that is taken."""
        dice, at = self.dice, self.now()
        row = transaction_row(
            user_id=dice.choice(self.users),
            key_hash=self.maybe(0.3, lambda: dice.choice(self.keys), fresh_id()),
            quote_id=dice.choice(self.quotes),
            state=dice.choice(STATES),
            data=dice.choice(TEXTS),
            next_wake_at=self.maybe(0.7, lambda: at + timedelta(seconds=dice.randrange(100)), None),
            created_at=at,
            updated_at=at,
            counts=dice.random() < 0.5,
        )
        return self._about(row, 0, at)

    def step(self) -> UnitOfWork:
        """A transaction goes on, or tries to from another version than its own."""
        if not self.known.rows:
            return self.admission()
        dice, at = self.dice, self.now()
        before = dice.choice(list(self.known.rows.values()))
        version = before.version + self.maybe(0.2, lambda: dice.choice((-1, 1)), 0)
        done = dice.random() < 0.2
        row = replace(
            before,
            version=version + 1,
            state=dice.choice(STATES),
            status=dice.choice(("PROCESSING", "COMPLETED")),
            data=dice.choice(TEXTS),
            next_wake_at=None if done else at + timedelta(seconds=dice.randrange(100)),
            updated_at=at,
            completed_at=at if done else None,
            failure_code=self.maybe(0.1, lambda: "why", ""),
            send=self.maybe(0.05, lambda: kes(100), before.send),
        )
        return self._about(row, version, at)

    def _about(self, row: TransactionRow, version: int, at: datetime) -> UnitOfWork:
        mine = self.known.operations.get(row.id, [])
        events = tuple(
            TransactionEvent(from_state="A", event="E", to_state=row.state, data={"note": self.dice.choice(TEXTS)})
            for _ in range(self.dice.randint(1, 3))
        )
        return UnitOfWork(
            unit_id=f"{row.id}:{row.version}",
            shard=SHARD,
            at=at,
            user_id=row.user_id,
            transaction=TransactionChange(row=row, expected_version=version, events=events),
            postings=self.postings(row.user_id),
            new_operations=self.maybe(0.5, lambda: (self.operation(),)),
            operations=self.maybe(0.6 if mine else 0, lambda: self.changes(mine)),
            references=self.maybe(0.2, self.references),
            consumes=self.maybe(0.2, self.some_evidence),
            quarantines=self.maybe(0.05, self.some_evidence),
            outbox=tuple(self.event(row.user_id) for _ in range(self.dice.randrange(3))),
            audit=tuple(self.record(row.id) for _ in range(self.dice.randrange(3))),
            answer=self.maybe(0.5 if not version else 0.05, lambda: self.answer(row), None),
            reviews=self.maybe(0.1, lambda: (self.review(row.id),)),
            reviews_closed=self.maybe(0.1, lambda: (self.closing(row.id),)),
            staff_resolution=self.dice.random() < 0.05,
        )

    def money(self) -> UnitOfWork:
        """A posting without a transaction, perhaps of money that is not there."""
        at, user = self.now(), self.dice.choice(self.users)
        paid = Books(SHARD, user).deposit_paid(kes(self.minor()))
        postings = (self.dice.choice((paid, self.spending(user))),)
        return UnitOfWork(unit_id=f"ref:{fresh_id()}", shard=SHARD, at=at, postings=postings, audit=(self.record("x"),))

    def replay(self) -> UnitOfWork:
        """A unit that was recorded before, once more."""
        return self.dice.choice(self.known.units) if self.known.units else self.admission()

    def other_content(self) -> UnitOfWork:
        """Its id with something else in it."""
        return replace(self.replay(), at=self.now())

    def status(self) -> UnitOfWork:
        change = UserStatusChange(
            user_id=self.dice.choice(self.users), status=self.dice.choice(("FROZEN", "ACTIVE", "ACTIVE")), reason="why"
        )
        return UnitOfWork(unit_id=f"user:{fresh_id()}", shard=SHARD, at=self.now(), user_status=change)

    def lone_answer(self) -> UnitOfWork:
        """A refusal that is remembered."""
        row = transaction_row(user_id=self.dice.choice(self.users), key_hash=self.dice.choice(self.keys))
        answer = self.answer(row, status=self.dice.choice((403, 409, 422)), transaction_id="")
        return UnitOfWork(unit_id=f"idem:{fresh_id()}", shard=SHARD, at=self.now(), answer=answer)

    def housekeeping(self) -> UnitOfWork:
        at = self.now()
        return self.dice.choice(
            (
                UnitOfWork(unit_id=f"s:{fresh_id()}", shard=SHARD, at=at, outbox_cursor=self.dice.randrange(30)),
                UnitOfWork(unit_id=f"s:{fresh_id()}", shard=SHARD, at=at, reviews=(self.review(""),)),
                UnitOfWork(unit_id=f"s:{fresh_id()}", shard=SHARD, at=at, reviews_closed=(self.closing(""),)),
                UnitOfWork(unit_id=f"s:{fresh_id()}", shard=SHARD, at=at, quarantines=self.some_evidence()),
            )
        )

    def misfit(self) -> UnitOfWork:
        """What only the database refuses."""
        unit = self.admission()
        assert unit.transaction is not None
        wrong = self.dice.choice(
            ({"phone_mask": "2" * 30}, {"deriv_loginid": "é"}, {"send": kes(0)}, {"type": "GIFT"}, {"spread_e6": -1})
        )
        row = replace(unit.transaction.row, **wrong)  # type: ignore[arg-type]
        return replace(unit, transaction=replace(unit.transaction, row=row))

    # --- parts ---

    def minor(self) -> int:
        return self.dice.choice((100, 500, 130_000, 999))

    def postings(self, user: str) -> tuple[Posting, ...]:
        books, dice = Books(SHARD, user), self.dice
        split = exchange(kes_minor=130_000, usd_minor=966, rate=RATE)
        amount = kes(self.minor())
        kinds: tuple[tuple[Posting, ...], ...] = (
            (), (), (books.deposit_paid(kes(130_000)),), (books.deposit_paid(amount), books.deposit_hold(amount)),
            (books.deposit_hold(kes(130_000)),), (books.deposit_done(split),), (books.deposit_void(kes(130_000)),),
            (books.refund_hold(amount),), (books.refund_done(amount),), (books.withdrawal_debited(usd(2_000)),),
        )  # fmt: skip
        return dice.choice(kinds)

    def spending(self, user: str) -> Posting:
        account = Account(SHARD, AccountCode.CUSTOMER, Currency.KES, user)
        asset = Account(SHARD, AccountCode.MPESA_PAYBILL, Currency.KES)
        minor = self.minor()
        return Posting("spent", Phase.POSTED, (Entry(account, minor), Entry(asset, -minor)))

    def operation(self) -> NewOperation:
        existing = [id_ for ids in self.known.operations.values() for id_ in ids]
        return NewOperation(
            id=self.maybe(0.05 if existing else 0, lambda: self.dice.choice(existing), fresh_id()),
            kind=self.dice.choice(list(OperationKind)),
            amount=self.dice.choice((kes(130_000), usd(966))),
            recipient=self.dice.choice(TEXTS),
            reference="P1",
            request={"note": self.dice.choice(TEXTS)},
            sealed_request=self.dice.randbytes(8),
        )

    def changes(self, mine: list[str]) -> tuple[OperationChange, ...]:
        everybody = [id_ for ids in self.known.operations.values() for id_ in ids]
        ids = {self.dice.choice(mine), self.maybe(0.05, lambda: self.dice.choice(everybody), mine[0])}
        return tuple(
            OperationChange(
                id=id_,
                to=self.dice.choice(list(OperationState)),
                provider_ref=self.dice.choice(("", "", "ref", "other")),
                code=self.dice.choice(("", "c1", "c2")),
                attempts_closed=self.dice.choice((None, None, 0, 1, 2)),
            )
            for id_ in sorted(ids)
        )

    def references(self) -> tuple[ProviderReference, ...]:
        everybody = [id_ for ids in self.known.operations.values() for id_ in ids] or ["none"]
        return (
            ProviderReference(
                kind="mpesa_receipt", ref=self.dice.choice(self.refs), operation_id=self.dice.choice(everybody)
            ),
        )

    def some_evidence(self) -> tuple[str, ...]:
        return (self.dice.choice([*self.known.evidence, fresh_id()]),)

    def event(self, user: str) -> OutboxEvent:
        body = self.dice.choice(TEXTS)
        return OutboxEvent(stream="transactions", event_id=fresh_id(), type="t", user_id=user, body=body)

    def record(self, subject: str) -> AuditRecord:
        return AuditRecord(actor="é'", action="a", subject=subject, detail={"note": self.dice.choice(TEXTS)})

    def answer(self, row: TransactionRow, *, status: int = 202, transaction_id: str | None = None) -> StoredAnswer:
        return StoredAnswer(
            user_id=row.user_id,
            route=row.route,
            key_hash=row.key_hash,
            fingerprint="f" * 64,
            status=status,
            location="/x",
            content_type="application/json",
            sealed_body=self.dice.randbytes(9),
            transaction_id=row.id if transaction_id is None else transaction_id,
        )

    def review(self, transaction_id: str) -> ReviewOpened:
        return ReviewOpened(
            id=fresh_id(),
            transaction_id=transaction_id,
            operation_id="",
            kind=self.dice.choice(("parked", "receipt_missing", "evidence_unusable")),
            reason=self.dice.choice((*TEXTS, "é" * 600)),
            owner_role="OPS",
            due_at=self.now(),
        )

    def closing(self, transaction_id: str) -> ReviewClosed:
        known = self.known.reviews
        if known and self.dice.random() < 0.5:
            item = self.dice.choice(known)
            return ReviewClosed(transaction_id=item.transaction_id, kind="", resolution="done", item_id=item.id)
        kind = self.dice.choice(("parked", "evidence_unusable", "*", "!receipt_missing"))
        return ReviewClosed(transaction_id=transaction_id, kind=kind, resolution="done")
