"""Bodies of the public API. The requests are enforced, the answers documented; both appear in `/openapi.json`.

Unknown fields and other types are refused: `"1"` is no number and `1` is no text.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from config.limits import PAGE_MAX
from penpay.domain.review import STAFF_NAME_MAX, STAFF_NAME_PATTERN

AMOUNT_PATTERN = r"^(0|[1-9][0-9]{0,11})\.[0-9]{2}$"
ULID_PATTERN = r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$"
SIX_DIGITS = r"^[0-9]{6}$"
PAGE_SIZE_PATTERN = r"^([1-9][0-9]?|100)$"
assert PAGE_MAX == 100, "the pattern says so"

Ulid = Annotated[str, Field(pattern=ULID_PATTERN, examples=["01KAF0Z3T9V5N5W6H3C8Q2YB7D"])]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-20T12:00:00.000Z"])]
PastTime = Annotated[
    str,
    Field(
        pattern=r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$",
        json_schema_extra={"format": "date-time"},
        examples=["2026-11-20T12:00:00.000Z"],
    ),
]
PhoneText = Annotated[str, Field(min_length=9, max_length=20, examples=["254712345678"])]
CodeText = Annotated[str, Field(pattern=SIX_DIGITS, examples=["123456"])]
StaffName = Annotated[str, Field(max_length=STAFF_NAME_MAX, pattern=STAFF_NAME_PATTERN, examples=["Achieng"])]
DerivCode = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{6,128}$", examples=["h7Kq2VbN"])]


class Request(BaseModel):
    """A body that a client sends."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Answer(BaseModel):
    """A body that a client gets. Fields may be added later."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Amount(Request):
    """Money: a decimal string with two digits, and its currency."""

    amount: Annotated[str, Field(pattern=AMOUNT_PATTERN, examples=["1300.00"])]
    currency: Literal["KES", "USD"]


class DollarAmount(Request):
    """Money in dollars."""

    amount: Annotated[str, Field(pattern=AMOUNT_PATTERN, examples=["20.00"])]
    currency: Literal["USD"]


class QuoteRequest(Request):
    """Ask for a locked rate. A deposit takes KES or USD, a withdrawal USD."""

    type: Literal["DEPOSIT", "WITHDRAWAL"]
    amount: Amount


class DepositRequest(Request):
    """Exactly one of `quote_id` and `amount`. `phone`, if sent, is the account's own verified number."""

    quote_id: Ulid | None = None
    amount: Amount | None = None
    phone: PhoneText | None = None


class WithdrawalCodeRequest(Request):
    """Exactly one of `quote_id` and `amount`. The code is good for this amount only."""

    quote_id: Ulid | None = None
    amount: DollarAmount | None = None


class WithdrawalRequest(Request):
    """Exactly one of `quote_id` and `amount`, as the code was asked for. The account's own phone is paid."""

    quote_id: Ulid | None = None
    amount: DollarAmount | None = None
    verification_code: DerivCode
    pin: CodeText


class ReviewDecision(Request):
    """What two people decided about a review item, and what they rest it on. Internal listener only."""

    action: Literal[
        "credit",
        "refund",
        "return",
        "pay",
        "executed",
        "absent",
        "settle",
        "surplus",
        "own",
        "lost",
        "correct",
        "approve",
        "close",
    ]
    by: Annotated[str, Field(max_length=80)]
    second: Annotated[str, Field(max_length=80)]
    evidence: Annotated[str, Field(max_length=160)]
    version: Annotated[
        int | None,
        Field(ge=0, description="Of the transaction, as the preview told it: refused when it has changed since."),
    ] = None


class UnexplainedMovement(Request):
    """A movement of a provider's list that our books do not explain, or not to the cent: which one, and when it was.

    The node looks it up in the list itself; its amount is what stands there. Internal listener only.
    """

    kind: Literal["payment", "credit", "debit"]
    ref: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
    at: PastTime
    by: StaffName


class RecoveryAccepted(Request):
    """Who says that everything was compared and agrees. Internal listener only."""

    by: StaffName


class FoundPayment(Request):
    """A payment of the provider's list that names an operation of ours: whose evidence to look for again.

    Nothing that is booked is taken from here: the node asks Safaricom itself. `receipt` is what the caller has seen,
    for the log. Internal listener only.
    """

    operation_id: Ulid
    receipt: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,64}$")]
    by: StaffName


class TransactionsQuery(Request):
    """Filters of the history. `from` and `to` are RFC 3339 times; the newest come first."""

    type: Literal["DEPOSIT", "WITHDRAWAL"] | None = None
    status: (
        Literal[
            "PENDING",
            "PROCESSING",
            "AWAITING_MPESA_CALLBACK",
            "AWAITING_DERIV_CONFIRMATION",
            "AWAITING_MPESA_DISBURSEMENT",
            "IN_REVIEW",
            "COMPLETED",
            "FAILED",
            "REVERSED",
        ]
        | None
    ) = None
    from_: Annotated[str | None, Field(alias="from", max_length=40)] = None
    to: Annotated[str | None, Field(max_length=40)] = None
    cursor: Ulid | None = None
    limit: Annotated[str | None, Field(pattern=PAGE_SIZE_PATTERN, description="1 to 100, default 20")] = None


class DerivReturn(BaseModel):
    """What Deriv's page brings back: up to twenty accounts, numbered. Documentation only."""

    acct1: Annotated[str, Field(examples=["CR123456"])]
    token1: Annotated[str, Field(examples=["a1-f7pnteezo4jzhpxclctizt27hyeot"])]
    cur1: Annotated[str, Field(examples=["USD"])]
    state: Annotated[str, Field(examples=["Zk3vN0"])]


class StatementQuery(Request):
    """Whole days of Nairobi, both included, until today at most; by default this month. A time stands for its day."""

    from_: Annotated[str | None, Field(alias="from", max_length=40, examples=["2026-11-01"])] = None
    to: Annotated[str | None, Field(max_length=40, examples=["2026-11-30"])] = None
    format: Literal["csv", "pdf"] | None = None


# --- answers ------------------------------------------------------------------------------------------------------


class QuoteAnswer(Answer):
    """A locked rate, for one use until `expires_at`. Rates are KES per USD."""

    id: Ulid
    type: Literal["DEPOSIT", "WITHDRAWAL"]
    send: Amount
    receive: Amount
    mid_rate: str
    spread: str
    rate: str
    fees: list[Amount]
    expires_at: Time


class LockedQuote(Answer):
    """The rate of a transaction."""

    id: Ulid | None
    mid_rate: str
    spread: str
    rate: str


class Failure(Answer):
    """Why a transaction did not simply complete."""

    code: str
    message: str
    next_action: str


class Transaction(Answer):
    """One deposit or withdrawal. `stage` is finer than `status`."""

    id: Ulid
    type: Literal["DEPOSIT", "WITHDRAWAL"]
    status: str
    stage: str
    send: Amount
    receive: Amount
    quote: LockedQuote
    phone: str
    deriv_loginid: str
    evidence: dict[str, str | None]
    failure: Failure | None
    created_at: Time
    updated_at: Time
    completed_at: Time | None


class ReceiptText(Answer):
    """What a receipt says. `version` grows when a final transaction is opened again."""

    issuer: str
    version: int
    transaction: Transaction


class Receipt(Answer):
    """Signed over `penpay receipt 1` and a line feed, then `receipt` as JSON with sorted keys and no white space."""

    receipt: ReceiptText
    algorithm: Literal["Ed25519"]
    public_key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


class ReceiptKey(Answer):
    """The public key of receipts."""

    algorithm: Literal["Ed25519"]
    public_key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class CodeSent(Answer):
    """Deriv mailed the code. It approves this amount to this phone, and nothing else."""

    amount: Amount
    receive: Amount
    phone: str


class Transactions(Answer):
    """A page of the history; `next_cursor` is null on the last one."""

    items: list[Transaction]
    next_cursor: Ulid | None


class Step(Answer):
    """One recorded step."""

    at: Time
    event: str
    from_: Annotated[str | None, Field(alias="from")]
    stage: str
    evidence: dict[str, str]


class Now(Answer):
    """Where an open transaction stands. After `deadline_at`, `then` happens."""

    known: str
    money: str
    awaited: str
    next_look_at: Time | None
    deadline_at: Time | None
    then: str | None


class Timeline(Answer):
    """Where the money is, and how it got there. `outlook` says `now` in one sentence; `now` is null at the end."""

    transaction_id: Ulid
    status: str
    stage: str
    outlook: str
    now: Now | None
    steps: list[Step]


class DerivBalanceAnswer(Answer):
    """The Deriv account's balance as last seen; `live` while Deriv keeps us told."""

    amount: str
    currency: str
    as_of: Time
    live: bool


class Balance(Answer):
    """Balances of the signed-in customer. `deriv` is null while Deriv cannot be asked."""

    deriv: DerivBalanceAnswer | None
    in_flight: list[Amount]


class LimitsLeft(Answer):
    """What may still be moved in this direction today (Nairobi day)."""

    per_transaction_min: Amount
    per_transaction_max: Amount
    today_max: Amount
    today_left: Amount


class DerivLinkAnswer(Answer):
    """State of the Deriv link. `next_action` says what to do when it is not active."""

    status: Literal["none", "active", "name_mismatch"]
    loginid: str | None
    currency: str | None
    linked_at: Time | None
    next_action: str | None


class Me(Answer):
    """The signed-in customer."""

    id: Ulid
    email: str
    email_verified: bool
    """No call asks for it."""
    phone: str
    phone_verified: bool
    full_name: str
    status: str
    kyc_tier: int
    pin_set: bool
    deriv: DerivLinkAnswer
    withdrawals_held_until: Time | None
    """Set for a while after a change of PIN, password, phone or device."""
    limits: dict[str, LimitsLeft]
    created_at: Time


class LinkStart(Answer):
    """Send the browser here."""

    authorize_url: str
    expires_at: Time


class FieldError(Answer):
    """One field that is not valid."""

    field: str
    message: str


class Problem(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    code: str
    retryable: bool
    retry_after_s: int | None = None
    next_action: str | None = None
    errors: list[FieldError] | None = None
