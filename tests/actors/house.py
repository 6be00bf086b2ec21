"""A house without a database: the ledger's answers, the stores' reads and every message, held in memory.

Units are judged in the order of `RejectCode` by the few rules that users and sagas can meet.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from penpay.domain.board import Board, FxSnapshot, RailHealth
from penpay.domain.ids import ulid
from penpay.domain.review import ReviewItem
from penpay.domain.strays import CLAIMED, CREDIT, Filed
from penpay.domain.unit import OperationState, RejectCode, StoredAnswer, TransactionRow, UnitOfWork
from penpay.messages import Committed, CommitUnit, Customer, InboxRow, Quote, UnitRejected
from penpay.messages_rails import CodeSent, SendWithdrawalCode
from penpay.ports import CodeRequest, OpenDeposit, OpenWithdrawal, OperationRow, SagaRows, UserRows

T0 = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


@dataclass
class HandClock:
    """A clock that somebody turns."""

    at: datetime = T0

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return (self.at - T0).total_seconds()

    def turn(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class CountingIds:
    """ULIDs that count."""

    count: int = 0

    def ulid(self) -> str:
        self.count += 1
        return ulid(1_760_000_000_000 + self.count, self.count.to_bytes(10))


class PlainSealer:
    """Marks what would be sealed, and refuses what was moved."""

    def new_data_key(self, user_id: str) -> bytes:
        return f"key of {user_id}".encode()

    def seal(self, plaintext: bytes, *, aad: str, user_id: str = "", data_key: bytes = b"") -> bytes:
        return b"|".join((aad.encode(), user_id.encode(), plaintext))

    def open(self, sealed: bytes, *, aad: str, user_id: str = "", data_key: bytes = b"") -> bytes:
        prefix = b"|".join((aad.encode(), user_id.encode(), b""))
        if not sealed.startswith(prefix):
            raise ValueError("moved")
        return sealed[len(prefix) :]

    def blind_index(self, value: str) -> bytes:
        return value.encode()

    def fingerprint(self, value: bytes) -> str:
        return value.hex()


@dataclass
class House:
    """Ledger, stores and post office of one shard."""

    clock: HandClock = field(default_factory=HandClock)
    ids: CountingIds = field(default_factory=CountingIds)
    board: Board = field(default_factory=Board)
    units: dict[str, UnitOfWork] = field(default_factory=dict)
    rows: dict[str, TransactionRow] = field(default_factory=dict)
    answers: dict[tuple[str, str, str], StoredAnswer] = field(default_factory=dict)
    quotes: dict[str, Quote] = field(default_factory=dict)
    codes: dict[str, CodeRequest] = field(default_factory=dict)
    mailed: list[SendWithdrawalCode] = field(default_factory=list)
    references: dict[tuple[str, str], str] = field(default_factory=dict)
    attempted: set[str] = field(default_factory=set)
    calling: set[str] = field(default_factory=set)
    """Operations whose rail is inside its call."""
    consumed: set[str] = field(default_factory=set)
    quarantined: set[str] = field(default_factory=set)
    waiting: list[InboxRow] = field(default_factory=list)
    in_hand: list[tuple[str, bool]] = field(default_factory=list)
    """What was said of suspect rows, and whether each was in hand from then on."""
    reviews: list[str] = field(default_factory=list)
    items: dict[str, ReviewItem] = field(default_factory=dict)
    """Questions about what belongs to no transaction."""
    told: list[tuple[str, object]] = field(default_factory=list)
    frozen: set[str] = field(default_factory=set)
    counted: list[tuple[str, str]] = field(default_factory=list)
    """Type and status, each time a transaction came into one."""
    failing: list[BaseException] = field(default_factory=list)
    """What the next asks of the ledger raise, before anything is recorded."""
    meanwhile: list[Callable[[], Awaitable[object]]] = field(default_factory=list)
    """What happens while the next units are on their way to the ledger."""

    def __post_init__(self) -> None:
        self.board.fx = FxSnapshot(129_500_000, self.clock.now())
        self.board.rails = {"daraja": RailHealth(up=True), "deriv": RailHealth(up=True)}

    # --- Addresses ---

    def tell(self, address: str, message: object) -> None:
        self.told.append((address, message))

    async def ask(self, address: str, message: object, *, timeout_s: float = 5.0) -> Any:
        if isinstance(message, SendWithdrawalCode):
            self.mailed.append(message)
            return CodeSent()
        assert address.endswith("/ledger")
        assert isinstance(message, CommitUnit)
        if self.failing:
            raise self.failing.pop(0)
        if self.meanwhile:
            await self.meanwhile.pop(0)()
        return self.commit(message.unit)

    def told_to(self, address: str) -> list[object]:
        return [message for to, message in self.told if to == address]

    # --- SagaMeter ---

    def transaction(self, *, type_: str, status: str) -> None:
        self.counted.append((type_, status))

    def stage(self, *, type_: str, stage: str, seconds: float) -> None:
        """Nobody asks."""

    # --- the ledger ---

    def commit(self, unit: UnitOfWork) -> Committed | UnitRejected:
        if unit.unit_id in self.units:
            return (
                Committed(unit.unit_id, replayed=True)
                if self.units[unit.unit_id] == unit
                else UnitRejected(unit.unit_id, RejectCode.UNIT_DIFFERS)
            )
        code = self._problem(unit)
        if code is not None:
            return UnitRejected(unit.unit_id, code, "as said")
        self.units[unit.unit_id] = unit
        if unit.transaction is not None:
            self.rows[unit.transaction.row.id] = unit.transaction.row
        if unit.answer is not None:
            self.answers[(unit.answer.user_id, unit.answer.route, unit.answer.key_hash)] = unit.answer
        self.references |= {(reference.kind, reference.ref): reference.operation_id for reference in unit.references}
        self.consumed |= set(unit.consumes)
        self.quarantined |= set(unit.quarantines)
        self.reviews += [review.kind for review in unit.reviews]
        self._put_questions(unit)
        return Committed(unit.unit_id, outbox_seq=len(self.units))

    def _put_questions(self, unit: UnitOfWork) -> None:
        for review in unit.reviews:
            if not review.transaction_id:
                fields = {name: getattr(review, name) for name in review.__slots__}
                self.items[review.id] = ReviewItem(**fields, shard=unit.shard, opened_at=unit.at)
        for closed in unit.reviews_closed:
            if closed.item_id in self.items:
                item = self.items[closed.item_id]
                self.items[item.id] = replace(item, closed_at=unit.at, resolution=closed.resolution)

    def _problem(self, unit: UnitOfWork) -> RejectCode | None:
        change = unit.transaction
        if change is not None:
            known = self.rows.get(change.row.id)
            if (known.version if known else 0) != change.expected_version:
                return RejectCode.VERSION_CONFLICT
            if known is None and any(row.quote_id == change.row.quote_id for row in self.rows.values()):
                return RejectCode.QUOTE_USED
        if unit.answer is not None and (unit.answer.user_id, unit.answer.route, unit.answer.key_hash) in self.answers:
            return RejectCode.KEY_REUSED
        if unit.new_operations and unit.user_id in self.frozen:
            return RejectCode.ACCOUNT_FROZEN
        if any(changed.to is OperationState.WITHDRAWN and changed.id in self.attempted for changed in unit.operations):
            return RejectCode.ATTEMPT_EXISTS
        taken = [
            self.references.get((reference.kind, reference.ref), reference.operation_id) != reference.operation_id
            for reference in unit.references
        ]
        return RejectCode.DUPLICATE_REFERENCE if any(taken) else None

    # --- SagaStore ---

    async def load(self, key: str, *, eat_day: str = "") -> Any:
        if eat_day:
            return self._user_rows(key)
        row = self.rows.get(key)
        if row is None:
            return None
        inbox = tuple(waiting for waiting in self.waiting if waiting.id not in self.consumed | self.quarantined)
        return SagaRows(row, tuple(self._operations(key)), inbox)

    def _operations(self, transaction_id: str) -> Sequence[OperationRow]:
        found: list[OperationRow] = []
        for unit in self.units.values():
            if unit.transaction is None or unit.transaction.row.id != transaction_id:
                continue
            found += [
                OperationRow(
                    id=made.id,
                    transaction_id=transaction_id,
                    shard=unit.shard,
                    user_id=unit.user_id,
                    kind=made.kind.value,
                    state="INTENT",
                    amount=made.amount,
                    recipient=made.recipient,
                    reference=made.reference,
                    request=made.request,
                    provider_ref="",
                    code="",
                    attempts=int(made.id in self.attempted),
                    attempts_closed=0,
                    data_key=b"k",
                    created_at=unit.at,
                    under_way=made.id in self.calling,
                )
                for made in unit.new_operations
            ]
        return found

    async def due(self, shard: int, *, now: datetime, limit: int) -> Sequence[tuple[str, datetime]]:
        times = [(row.id, row.next_wake_at) for row in self.rows.values() if row.next_wake_at is not None]
        return [(transaction_id, due_at) for transaction_id, due_at in times if due_at <= now][:limit]

    async def filed_credit(self, ref: str) -> Filed | None:
        found = [item for item in self.items.values() if (item.kind, item.evidence["ref"]) == (CREDIT, ref)]
        return Filed(item=found[0], claimed_by=self.references.get((CLAIMED, ref), "")) if found else None

    # --- InboxStore ---

    async def suspect(self, inbox_id: str, *, in_hand: bool) -> None:
        self.in_hand.append((inbox_id, in_hand))

    # --- UserStore ---

    def _user_rows(self, user_id: str) -> UserRows:
        mine = [row for row in self.rows.values() if row.user_id == user_id and row.counts and row.type == "DEPOSIT"]
        deposits = tuple(
            OpenDeposit(
                transaction_id=row.id,
                state=row.state,
                eat_day=row.eat_day,
                usd_minor=row.receive.minor,
                kes_minor=row.send.minor,
                created_at=row.created_at,
            )
            for row in mine
        )
        gone = {"COMPLETED", "FAILED", "REVERSED"}
        withdrawals = tuple(
            OpenWithdrawal(transaction_id=row.id, status=row.status, eat_day=row.eat_day, usd_minor=row.send.minor)
            for row in self.rows.values()
            if row.user_id == user_id and row.type == "WITHDRAWAL" and (row.counts or row.status not in gone)
        )
        return UserRows(
            withdrawals=withdrawals,
            status="FROZEN" if user_id in self.frozen else "ACTIVE",
            deposits=deposits,
            last_push_at=max((row.created_at for row in mine), default=None),
        )

    async def answer(self, user_id: str, route: str, key_hash: str) -> StoredAnswer | None:
        return self.answers.get((user_id, route, key_hash))

    async def remember_code(self, request_id: str, user_id: str, code: CodeRequest) -> None:
        self.codes[user_id] = code

    async def newest_code(self, user_id: str) -> CodeRequest | None:
        return self.codes.get(user_id)

    async def add_quote(self, quote: Quote) -> None:
        self.quotes[quote.id] = quote

    async def quote(self, quote_id: str, user_id: str) -> tuple[Quote, bool] | None:
        quote = self.quotes.get(quote_id)
        used = any(row.quote_id == quote_id for row in self.rows.values())
        return (quote, used) if quote is not None and quote.user_id == user_id else None


def customer(user_id: str = "U1", **changes: Any) -> Customer:
    known = Customer(
        user_id=user_id,
        shard=3,
        status="ACTIVE",
        phone="254712345126",
        phone_mask="2547****126",
        phone_verified=True,
        kyc_tier=1,
        deriv_loginid="CR100",
        data_key=b"k",
    )
    return replace(known, **changes)
