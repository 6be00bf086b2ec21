"""What the core needs from outside. Adapters fulfil these; the simulation will too.

Stores raise the errors at the top; gateways raise those of `penpay.domain.errors`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from penpay.domain.errors import StoreError
from penpay.domain.money import Money
from penpay.domain.strays import Filed
from penpay.domain.unit import StoredAnswer, TransactionRow
from penpay.messages import InboxRow, Quote


class Deadlock(StoreError):
    """1213: the whole transaction is gone. Run it again."""


class LockTimeout(StoreError):
    """1205, 1020, 3572: the transaction must be rolled back and run again."""


class Duplicate(StoreError):
    """1062: a unique key exists. `key` names it."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class CheckViolated(StoreError):
    """A named CHECK or trigger said no."""


class ConnectionLost(StoreError):
    """The connection died. `commit_sent`: COMMIT may or may not have taken effect."""

    def __init__(self, *, commit_sent: bool) -> None:
        super().__init__(f"commit_sent={commit_sent}")
        self.commit_sent = commit_sent


class Clock(Protocol):
    """Time. `now` is UTC wall time for records, `monotonic_s` for durations."""

    def now(self) -> datetime: ...
    def monotonic_s(self) -> float: ...


class Ids(Protocol):
    """Fresh identifiers."""

    def ulid(self) -> str: ...


class Addresses(Protocol):
    """Actors reach each other by tree path; a restarted actor keeps its path."""

    def tell(self, address: str, message: object) -> None: ...
    async def ask(self, address: str, message: object, *, timeout_s: float = 5.0) -> Any: ...


class Sealer(Protocol):
    """AES-256-GCM over one field. `aad` is `table|column|row id`; the key id is part of the sealed bytes.

    With a `data_key` (a user's wrapped key) the field can be forgotten by deleting that key. Raises `ValueError`
    when the bytes were moved, altered or sealed under a key that is gone.
    """

    def new_data_key(self, user_id: str) -> bytes: ...
    def seal(self, plaintext: bytes, *, aad: str, user_id: str = "", data_key: bytes = b"") -> bytes: ...
    def open(self, sealed: bytes, *, aad: str, user_id: str = "", data_key: bytes = b"") -> bytes: ...
    def blind_index(self, value: str) -> bytes: ...
    def fingerprint(self, value: bytes) -> str: ...


class IndexSealer(Sealer, Protocol):
    """A sealer that also knows the former keys of indexes and fingerprints: the one in use first, then what is read."""

    def blind_indexes(self, value: str) -> tuple[bytes, ...]: ...
    def fingerprints(self, value: bytes) -> tuple[str, ...]: ...


class SessionBell(Protocol):
    """Rung when sessions of a customer ended, or their standing changed: open streams look whether they may go on."""

    def ring(self, user_id: str) -> None:
        """Never waits and never fails. What counts stands in the database already."""
        ...


class CallbackTokens(Protocol):
    """Unguessable single-purpose callback URLs (decisions, part 7)."""

    def url(self, kind: str, shard: int, operation_id: str) -> str: ...
    def verify(self, kind: str, token: str) -> tuple[int, str] | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRow:
    """A provider operation as stored. `request` and `sealed_request` are what its intent said."""

    id: str
    transaction_id: str
    shard: int
    user_id: str
    kind: str
    state: str
    amount: Money
    recipient: str
    reference: str
    request: Mapping[str, str]
    provider_ref: str
    code: str
    attempts: int
    """How many attempts rows exist."""
    attempts_closed: int
    """The newest attempt known to have executed nothing; the rail may attempt when equal to `attempts`."""
    created_at: datetime
    under_way: bool = False
    """Whether an attempt has no end: its call may still be made. What a dead rail left its next epoch ends."""
    sealed_request: bytes = field(default=b"", repr=False)
    data_key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Unwitnessed:
    """Debits of which our side was not seen: withdrawals that wait for it, and those before people, at one moment."""

    waiting: Sequence[OperationRow]
    in_review: Sequence[OperationRow]


@dataclass(frozen=True, slots=True)
class SagaRows:
    """Everything a saga needs after a restart: its row, its operations, its unconsumed evidence in order."""

    row: TransactionRow
    operations: tuple[OperationRow, ...]
    inbox: tuple[InboxRow, ...]


class SagaStore(Protocol):
    """Reads of one shard's sagas."""

    async def load(self, transaction_id: str) -> SagaRows | None: ...
    async def due(self, shard: int, *, now: datetime, limit: int) -> Sequence[tuple[str, datetime]]:
        """Transactions to wake, the most urgent first, each with the time that its row names."""
        ...

    async def filed_credit(self, ref: str) -> Filed | None: ...
    async def has_open_question(self, transaction_id: str, kind: str) -> bool: ...


class SagaMeter(Protocol):
    """What sagas report about themselves. `seconds`: how long the stage that was left had lasted."""

    def transaction(self, *, type_: str, status: str) -> None: ...
    def stage(self, *, type_: str, stage: str, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDeposit:
    """A deposit of a user that still counts."""

    transaction_id: str
    state: str
    eat_day: str
    usd_minor: int
    kes_minor: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWithdrawal:
    """A withdrawal of a user that counts for its day or has not ended."""

    transaction_id: str
    status: str
    eat_day: str
    usd_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRows:
    """What admission must know of a user: status in the shard, today's counted transactions, what is open."""

    status: str
    deposits: tuple[OpenDeposit, ...]
    last_push_at: datetime | None
    withdrawals: tuple[OpenWithdrawal, ...] = ()


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """What a withdrawal's code was asked for. `payee` is the blind index of the phone."""

    amount: Money
    payee: bytes
    asked_at: datetime


class UserStore(Protocol):
    """Reads and the one write (quotes) of the users' actors."""

    async def load(self, user_id: str, *, eat_day: str) -> UserRows: ...
    async def answer(self, user_id: str, route: str, key_hash: str) -> StoredAnswer | None: ...
    async def add_quote(self, quote: Quote) -> None: ...
    async def remember_code(self, request_id: str, user_id: str, code: CodeRequest) -> None: ...
    async def newest_code(self, user_id: str) -> CodeRequest | None: ...
    async def quote(self, quote_id: str, user_id: str) -> tuple[Quote, bool] | None:
        """The quote and whether it was used."""
        ...


class InboxStore(Protocol):
    """Durable evidence. Inserts are batched by the implementation; all bodies are sealed there."""

    async def add(self, row: InboxRow, *, dedupe_key: str, source: str) -> bool:
        """Store before answering; False when the de-duplication key exists already. Raises `Unavailable`."""
        ...

    async def waiting(self, shard: int, *, older_than: datetime, limit: int) -> Sequence[InboxRow]: ...
    async def transactions_of(self, operation_ids: Sequence[str]) -> Mapping[str, str]: ...
    async def delivered(self, inbox_ids: Sequence[str]) -> None:
        """Count one more delivery of each row by which its saga broke; none of them is in hand any more."""
        ...

    async def suspect(self, inbox_id: str, *, in_hand: bool) -> None:
        """Say of a suspect row that somebody works on it from now on, or does not any more. Idempotent."""
        ...

    async def consumed_by_rail(self, inbox_ids: Sequence[str]) -> None:
        """Mark rows of rail operations (shard 0xFFFF) consumed: no shard's ledger does it for them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd:
    """How one attempt ended: `CONFIRMED`, `REFUSED`, `UNKNOWN` or `NOT_SENT`. `body` is what the provider said, raw.

    All but `body` are the fields of `penpay.domain.rail_end.RailEnd`, whose encoding is the inbox row's body.
    """

    operation_id: str
    attempt: int
    kind: str
    outcome: str
    code: str = ""
    provider_ref: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    hold: bool = False
    at: datetime
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Permission to send: the attempt row is committed under the rail's fence."""

    operation: OperationRow
    number: int


@dataclass(frozen=True, slots=True)
class SentAttempt:
    """The newest attempt of an operation: when it was allowed, and what the provider's account looked like then.

    `provider_ref` is what the provider called it, empty while its end is not known; `code` says how it ended.
    """

    number: int
    sent_at: datetime
    watermark: Mapping[str, str]
    provider_ref: str = ""
    code: str = ""


class AttemptStore(Protocol):
    """The rails' own rows. Implementations batch concurrent calls into few transactions."""

    async def begin(self, rail: str, epoch: int, operation_id: str, *, watermark: Mapping[str, str]) -> Attempt | None:
        """Insert the next attempt if INTENT, attempts == attempts_closed and the user is not frozen; else None.

        Raises `Conflict` when the rail's fence names another epoch: this rail no longer owns it.
        """
        ...

    async def end(self, rail: str, epoch: int, end: AttemptEnd, *, shard: int, transaction_id: str) -> InboxRow:
        """Store the end and the inbox row of kind `rail` in one transaction. Idempotent by (operation, attempt)."""
        ...

    async def abandoned(self, rail: str, epoch: int) -> Sequence[tuple[OperationRow, int]]:
        """Attempts without an end that an earlier epoch of this rail made: their outcome is unknown."""
        ...

    async def intents(
        self, rail: str, *, kinds: Collection[str] = (), older_than: datetime, limit: int
    ) -> Sequence[OperationRow]:
        """Operations in INTENT with attempts == attempts_closed == 0, older than the given time.

        Of these `kinds`, or of all that belong to the rail: a rail may have several senders.
        A retry (attempts_closed > 0) is asked for by its saga only, because it waits for its time.
        """
        ...

    async def unresolved(self, kind: str) -> Sequence[OperationRow]:
        """Operations that may have executed something: attempts > attempts_closed and the state not final.

        They block equal ones.
        """
        ...

    async def unwitnessed(self, since: datetime) -> Unwitnessed:
        """Of the debits recorded at `since` or later, oldest first."""
        ...

    async def newest(self, operation_ids: Sequence[str]) -> Mapping[str, SentAttempt]:
        """The newest attempt of each operation that has one."""
        ...

    async def used_references(self, kind: str, refs: Sequence[str]) -> Mapping[str, str]:
        """Which of a provider's ids are taken already, and by which operation: no evidence is used twice.

        Also by a confirmed end that its shard has not recorded yet (`MOVED_BY`).
        """
        ...


class OutboxStore(Protocol):
    """Reads of the outbox for the relay and for SSE replay."""

    async def after(self, shard: int, seq: int, *, limit: int) -> Sequence["OutboxRow"]: ...
    async def cursor(self, shard: int) -> int: ...
    async def newest(self, shard: int) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One event with its gapless place in the shard's order."""

    shard: int
    seq: int
    stream: str
    event_id: str
    type: str
    user_id: str
    body: str


class Streams(Protocol):
    """Redis Streams: at least once, in order per shard, with a marker beside the last event."""

    async def publish(self, shard: int, rows: Sequence[OutboxRow]) -> None: ...
    async def marker(self, shard: int) -> int | None:
        """The newest seq that Redis says it has for this shard; None after a flush."""
        ...

    async def forget(self, shard: int) -> None:
        """Drop what Redis has for this shard; followers begin again with what is published next."""
        ...


@dataclass(frozen=True, slots=True)
class Lease:
    """Ownership of a shard (`shard/3`) or a rail (`rail/deriv`) until `deadline_s` of the local monotonic clock."""

    name: str
    epoch: int
    deadline_s: float


class LeaseStore(Protocol):
    """Leases by database time. The owner is this process's boot id."""

    async def acquire(self, name: str) -> Lease | None:
        """Take a free, expired or own lease (epoch + 1 in the same transaction); None while another holds it."""
        ...

    async def renew(self, lease: Lease) -> Lease | None:
        """Extend; None when owner or epoch changed: lost."""
        ...

    async def release(self, lease: Lease) -> None: ...


class Gate(Protocol):
    """Whether new business is taken."""

    open: bool


class Listener(Protocol):
    """Something with sockets that is opened and closed with its actor."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...
