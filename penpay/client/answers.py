"""What the API answers, as far as a client needs to name it. Fields may be added to the API later."""

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

JSON = Mapping[str, Any]
Direction = Literal["DEPOSIT", "WITHDRAWAL"]
Currency = Literal["KES", "USD"]


class Amount(TypedDict):
    """A decimal string with two digits, and its currency."""

    amount: str
    currency: str


class Tokens(TypedDict):
    """A signed-in session."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: NotRequired[str]
    refresh_expires_in: int


class Quote(TypedDict):
    """A locked rate, for one use until `expires_at`."""

    id: str
    type: Direction
    send: Amount
    receive: Amount
    mid_rate: str
    spread: str
    rate: str
    fees: list[Amount]
    expires_at: str


class LockedQuote(TypedDict):
    """The rate of a transaction."""

    id: str | None
    mid_rate: str
    spread: str
    rate: str


class Failure(TypedDict):
    """Why a transaction did not simply complete, and what to do about it."""

    code: str
    message: str
    next_action: str


class Transaction(TypedDict):
    """One deposit or withdrawal."""

    id: str
    type: Direction
    status: str
    stage: str
    send: Amount
    receive: Amount
    quote: LockedQuote
    phone: str
    deriv_loginid: str
    evidence: dict[str, str | None]
    failure: Failure | None
    created_at: str
    updated_at: str
    completed_at: str | None


class Page(TypedDict):
    """A page of the history."""

    items: list[Transaction]
    next_cursor: str | None


class ReceiptText(TypedDict):
    """What a receipt says."""

    issuer: str
    version: int
    transaction: Transaction


class Receipt(TypedDict):
    """A receipt with its signature."""

    receipt: ReceiptText
    algorithm: str
    public_key: str
    signature: str
