"""What actors say to each other: frozen dataclasses grouped by receiver, the reply type beside each.

Addresses are tree paths. A shard's actors live below `shards/<k>/`, an entity below its host.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from penpay.domain.fx import Direction
from penpay.domain.money import Money
from penpay.domain.review import Approval
from penpay.domain.unit import RejectCode, TransactionRow, UnitOfWork


def ledger_of(shard: int) -> str:
    """Address of a shard's only writer of money."""
    return f"shards/{shard}/ledger"


def user_of(shard: int, user_id: str) -> str:
    """Address of a user's actor."""
    return f"shards/{shard}/users/{user_id}"


def saga_of(shard: int, transaction_id: str) -> str:
    """Address of a transaction's saga."""
    return f"shards/{shard}/sagas/{transaction_id}"


def inbox_of(shard: int) -> str:
    """Address of a shard's inbox consumer."""
    return f"shards/{shard}/inbox"


def outbox_of(shard: int) -> str:
    """Address of a shard's outbox relay."""
    return f"shards/{shard}/outbox"


# --- ledger -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CommitUnit:
    """Record one unit of work. Reply: `Committed` or `UnitRejected`; an asker may also get `OutcomeUnknown`."""

    unit: UnitOfWork


@dataclass(frozen=True, slots=True)
class Committed:
    """The unit is durable. `replayed`: it was already, with the same content. `outbox_seq` is the shard's newest."""

    unit_id: str
    replayed: bool = False
    outbox_seq: int = 0


@dataclass(frozen=True, slots=True)
class UnitRejected:
    """The unit changed nothing."""

    unit_id: str
    code: RejectCode
    detail: str = ""


# --- a user -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Identity as the edge read it in this request, passed on so that admission asks nobody.

    `phone` is E.164 digits without plus (2547…), personal: never logged. `data_key` is the user's wrapped data key.
    """

    user_id: str
    shard: int
    status: str
    phone: str = field(repr=False)
    phone_mask: str
    phone_verified: bool
    kyc_tier: int
    deriv_loginid: str
    data_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The business says no. `code` is one of `penpay.domain.problems.PROBLEMS`. `untouched`: nobody else was asked."""

    code: str
    detail: str = ""
    retry_after_s: int = 0
    field: str = ""
    untouched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateQuote:
    """Lock a rate for an amount in either currency. Reply: `Quote` or `Refusal`."""

    customer: Customer
    direction: Direction
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A locked rate: `send` is what the customer gives, `receive` what they get. Used at most once."""

    id: str
    user_id: str
    direction: Direction
    send: Money
    receive: Money
    mid_rate_e6: int
    spread_e6: int
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptDeposit:
    """Admit a deposit. Exactly one of `quote_id` and `amount` is set. Reply: `HttpAnswer`.

    Idempotent by (user, route, key_hash): the first answer again. `fingerprint` is the keyed hash of the body.
    """

    customer: Customer
    route: str
    key_hash: str
    fingerprint: str
    quote_id: str
    amount: Money | None
    phone: str = field(repr=False)
    request_id: str
    former_fingerprints: tuple[str, ...] = ()
    """The same hash under keys that are going: how the first answer may have been stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestWithdrawalCode:
    """Have Deriv e-mail the customer a code. Exactly one of `quote_id` and `amount`. Reply: `HttpAnswer`.

    What the code was asked for (amount, payee, time) is remembered; the withdrawal itself must match it.
    """

    customer: Customer
    quote_id: str
    amount: Money | None
    deriv_token: str = field(repr=False)
    email: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptWithdrawal:
    """Admit a withdrawal. The PIN was checked by the edge, with its counter, before this. Reply: `HttpAnswer`.

    `held_until` is set while withdrawals are held after a change of PIN or device. `deriv_token` was opened for this
    message: it goes sealed into the intent of the debit, or is forgotten. Idempotent as `AcceptDeposit`; `fingerprint`
    covers neither PIN nor code.
    """

    customer: Customer
    route: str
    key_hash: str
    fingerprint: str
    quote_id: str
    amount: Money | None
    verification_code: str = field(repr=False)
    deriv_token: str = field(default="", repr=False)
    request_id: str = ""
    held_until: datetime | None = None
    former_fingerprints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What the caller of an idempotent route gets. `untouched`: nothing was begun, and nobody outside was asked."""

    status: int
    body: bytes
    content_type: str
    location: str = ""
    replayed: bool = False
    retry_after_s: int = 0
    untouched: bool = False


@dataclass(frozen=True, slots=True)
class TransactionSettled:
    """A transaction of this user has ended or is open again, or a phone is free again. Tell; the row is the truth."""

    transaction_id: str


@dataclass(frozen=True, slots=True)
class ForgetUser:
    """The user's status or limits changed elsewhere: drop the cached state. Tell."""


# --- a saga -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SagaBegan:
    """Admission recorded this transaction: go on from its row. Tell."""

    row: TransactionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRow:
    """Durable evidence. `kind`: `stk`, `reversal`, `txstatus`, `balance`, `timeout`, `c2b`, `credit`, `pull`, `rail`.

    `body` is the raw body, opened. `trusted_source`: the peer address was on the provider's list.
    """

    id: str
    shard: int
    kind: str
    operation_id: str
    body: bytes = field(repr=False)
    trusted_source: bool
    received_at: datetime
    deliveries: int = 0
    """How often its saga, or the process, broke over it."""
    suspicion: int = 0
    """See `penpay.domain.suspicion`."""


@dataclass(frozen=True, slots=True)
class EvidenceArrived:
    """A stored row for this saga, from the consumer or a rail. Tell; the row comes again if lost, or not taken soon."""

    row: InboxRow

    @property
    def told_once(self) -> str:
        """While one lies in the mailbox, another about the same row says nothing."""
        return self.row.id


@dataclass(frozen=True, slots=True)
class WakeUp:
    """`next_wake_at` has come. Tell; again while the row is due."""

    told_once: ClassVar[str] = "wake up"


@dataclass(frozen=True, slots=True)
class CancelTransaction:
    """The customer wants to cancel. Reply: `TransactionRow` (now FAILED) or `Refusal`."""

    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveReview:
    """Two named people decided what becomes of this transaction. Reply: `TransactionRow` or `Refusal`.

    `action` is one of `penpay.domain.review.Action`. Refused as `review_not_resolvable` when the rules have no such
    exit now, or the transaction is not in the `version` any more that people looked at (None: they do not say).
    A saga that was parked waits for this, and runs again with it.
    """

    FREES_PARKED: ClassVar[bool] = True

    item_id: str
    action: str
    approval: Approval
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswered:
    """A rail's answer to a read that this saga asked for. Nothing is lost with it: the saga asks again.

    `outcome` by probe: stk: PAID, FAILED, PENDING · pull: PAID, CLEAN · transfer: CONFIRMED, ABSENT, AMBIGUOUS, PENDING
    · recipient: OK, REFUSED · reversal, payout: PENDING · debit: as transfer · witness: CONFIRMED, PENDING, AMBIGUOUS.
    UNANSWERED when the provider could not be asked. `attempt`: which one an ABSENT of a transfer speaks of.
    `phone_tail`: what the list shows of who paid.
    """

    probe: str
    operation_id: str
    outcome: str
    code: str = ""
    reference: str = ""
    amount: Money | None = None
    paid_at: datetime | None = None
    until: datetime | None = None
    proof: str = ""
    attempt: int = 0
    phone_tail: str = ""


# --- the inbox consumer of a shard ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InboxBell:
    """Rows that were just stored, with their content. Tell; a sweep finds what no bell rang for."""

    rows: tuple[InboxRow, ...]


@dataclass(frozen=True, slots=True)
class EvidenceBroke:
    """A saga took this row, and its incarnation ended over it. Tell, to the inbox; a lost one is told the next time."""

    row_id: str


# --- the keeper of anchors and witness --------------------------------------------------------------------------

ANCHORS = "ops/anchors"


@dataclass(frozen=True, slots=True)
class MakeAnchors:
    """Anchors of all that was committed until now, before somebody verifies. Reply: how it went, as text."""


@dataclass(frozen=True, slots=True)
class AcceptRecovery:
    """Everything was compared with the providers: what the database says now is where counting begins again.

    Reply: the shards whose recovery gate was opened, as a tuple, or a `Refusal`.
    """


# --- the outbox relay of a shard --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OutboxBell:
    """Events up to `seq` are durable. Tell; the relay looks by itself every now and then."""

    seq: int
