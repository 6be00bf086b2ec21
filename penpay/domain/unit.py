"""The unit of work: everything that changes together, handed to the ledger of one shard.

A unit is idempotent by its id. The same id with other content is a lost race: the sender reloads and decides again.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from penpay.domain.ledger import Posting
from penpay.domain.money import Money
from penpay.domain.review_kinds import ANSWERED


class OperationKind(StrEnum):
    """What is asked of a provider."""

    STK = "STK"
    DERIV_TRANSFER = "DERIV_TRANSFER"
    REVERSAL = "REVERSAL"
    DERIV_WITHDRAW = "DERIV_WITHDRAW"
    B2C = "B2C"
    DERIV_RETURN = "DERIV_RETURN"


class OperationState(StrEnum):
    """Written by the shard only; that bytes left is the rail's attempt row. The last three are final.

    `SENT`: the provider acknowledged it and the result comes later (STK, REVERSAL, B2C).
    """

    INTENT = "INTENT"
    SENT = "SENT"
    UNKNOWN = "UNKNOWN"
    CONFIRMED = "CONFIRMED"
    REFUSED = "REFUSED"
    WITHDRAWN = "WITHDRAWN"


OVER = frozenset({OperationState.CONFIRMED, OperationState.REFUSED, OperationState.WITHDRAWN})
"""How an operation ended is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOperation:
    """Intent of one provider call, committed before anything is sent. `request` is text only.

    `sealed_request` carries what is personal (the payee), sealed by the sender; the rail opens it just before the call.
    """

    id: str
    kind: OperationKind
    amount: Money
    recipient: str
    reference: str
    request: dict[str, str] = field(default_factory=dict)
    sealed_request: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationChange:
    """A new state of an existing operation. To `WITHDRAWN` only from INTENT while attempts == `attempts_closed`.

    `attempts_closed` (kept when None) is the number of the newest attempt that the shard knows to have executed nothing
    (not sent, refused, or proven absent). The rail may make an attempt only while the operation is INTENT and its
    count of attempts equals `attempts_closed`: so a retry happens only after the shard has decided it.
    """

    id: str
    to: OperationState
    provider_ref: str = ""
    code: str = ""
    attempts_closed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderReference:
    """A provider's own id (`mpesa_receipt`, `deriv_transaction`, …): unique for ever, used by one operation."""

    kind: str
    ref: str
    operation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionEvent:
    """One step of a saga. `data` is evidence for the timeline: text only, nothing personal."""

    from_state: str
    event: str
    to_state: str
    data: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionRow:
    """The row of a saga as it stands after the unit; the truth. `data` is the saga's own JSON."""

    id: str
    shard: int
    user_id: str
    type: str
    state: str
    status: str
    version: int
    send: Money
    receive: Money
    quote_id: str
    mid_rate_e6: int
    spread_e6: int
    phone_mask: str
    deriv_loginid: str
    route: str
    key_hash: str
    eat_day: str
    limit_usd_minor: int
    counts: bool
    failure_code: str
    data: str
    next_wake_at: datetime | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionChange:
    """Insert (`expected_version` 0) or replace the row, and append its events (at least one)."""

    row: TransactionRow
    expected_version: int
    events: tuple[TransactionEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEvent:
    """An event for the streams, written with the unit. `stream` is `transactions`, `balances` or `audit`."""

    stream: str
    event_id: str
    type: str
    user_id: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """Who did what. Text only, nothing personal; chained per shard."""

    actor: str
    action: str
    subject: str
    detail: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """The first answer to an idempotent request, replayed byte for byte. `sealed_body` is sealed by the sender."""

    user_id: str
    route: str
    key_hash: str
    fingerprint: str
    status: int
    location: str
    content_type: str
    sealed_body: bytes = field(repr=False)
    transaction_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewOpened:
    """A question for a person: what, why, who and until when."""

    id: str
    transaction_id: str
    operation_id: str
    kind: str
    reason: str
    owner_role: str
    due_at: datetime
    evidence: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewClosed:
    """Close the open items of `transaction_id` of this kind (evidence arrived by itself, or staff resolved it).

    Kind `*`: all that the end of a saga answers, `!kind`: those of another kind. With an `item_id` only that one, which
    may belong to no transaction.
    """

    transaction_id: str
    kind: str
    resolution: str
    item_id: str = ""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of questions about the transaction that are answered."""
        if self.kind == "*":
            return ANSWERED
        return ANSWERED - {self.kind[1:]} if self.kind.startswith("!") else frozenset({self.kind})


@dataclass(frozen=True, slots=True, kw_only=True)
class UserStatusChange:
    """Freeze or unfreeze a user of this shard. `status` is ACTIVE or FROZEN."""

    user_id: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitOfWork:
    """One indivisible change. `at` is when it was decided (UTC)."""

    unit_id: str
    shard: int
    at: datetime
    user_id: str = ""
    transaction: TransactionChange | None = None
    postings: tuple[Posting, ...] = ()
    new_operations: tuple[NewOperation, ...] = ()
    operations: tuple[OperationChange, ...] = ()
    references: tuple[ProviderReference, ...] = ()
    consumes: tuple[str, ...] = ()
    quarantines: tuple[str, ...] = ()
    outbox: tuple[OutboxEvent, ...] = ()
    audit: tuple[AuditRecord, ...] = ()
    answer: StoredAnswer | None = None
    reviews: tuple[ReviewOpened, ...] = ()
    reviews_closed: tuple[ReviewClosed, ...] = ()
    user_status: UserStatusChange | None = None
    outbox_cursor: int | None = None
    staff_resolution: bool = False
    """True when two named people decided it: such a unit may hold an intent for a frozen user."""


class RejectCode(StrEnum):
    """Why a unit was rejected, alone, as a value. Checked in this order."""

    UNIT_DIFFERS = "unit_differs"
    """The id was committed with other content."""
    VERSION_CONFLICT = "version_conflict"
    """The transaction row is at another version."""
    KEY_REUSED = "key_reused"
    """(user, route, key) already belongs to another transaction or answer."""
    QUOTE_USED = "quote_used"
    """The quote already belongs to another transaction."""
    ACCOUNT_FROZEN = "account_frozen"
    """A frozen user gets no new intent."""
    ATTEMPT_EXISTS = "attempt_exists"
    """An intent cannot be withdrawn: the rail made an attempt that is not known to have executed nothing."""
    ILLEGAL_OPERATION = "illegal_operation"
    """The operation is not in a state that allows the change."""
    DUPLICATE_REFERENCE = "duplicate_reference"
    """A provider reference was already used by another operation."""
    DUPLICATE_POSTING = "duplicate_posting"
    """A posting of this key exists, or the pending one was already resolved."""
    INSUFFICIENT_FUNDS = "insufficient_funds"
    """An account would leave its side."""
    QUARANTINED = "quarantined"
    """The database refused this unit alone, with no rule of ours behind it: a person looks at it."""
