"""What the rails need from providers and stores. A call ends with a value or an error of `penpay.domain.errors`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from penpay.domain.money import Money
from penpay.domain.payments import PullRow
from penpay.ports import OperationRow

TOO_MANY_PAGES = "too_many_pages"
"""Code of a list that has more rows than one read brings: ask for less of it."""


@dataclass(frozen=True, slots=True)
class StkAck:
    """Safaricom took a push."""

    checkout_request_id: str
    merchant_request_id: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StkStatus:
    """Answer of an STK query. `result_code` is text, empty while the payment is being processed."""

    result_code: str
    description: str


@dataclass(frozen=True, slots=True)
class ReversalAck:
    """Safaricom took a Reversal. Both ids are its own; which of them its status knows it by is written nowhere."""

    conversation_id: str
    originator_conversation_id: str


@dataclass(frozen=True, slots=True)
class PullList:
    """Safaricom's list of the payments of a period.

    `complete` False: some of it says nothing that we understand. What is missing then proves nothing, and what is
    there still counts. `unreadable` holds the entries of which nobody knows what they say; they may hold a phone.
    """

    rows: tuple[PullRow, ...]
    complete: bool = True
    unreadable: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """Shillings for a phone. `originator_conversation_id` is ours, and the same in every try of the same payout."""

    originator_conversation_id: str
    amount: Money
    phone: str = field(repr=False)
    result_url: str
    timeout_url: str


class DarajaGateway(Protocol):
    """Safaricom Daraja. Every call ends with a value, `NotSent`, `Refused` or `OutcomeUnknown`."""

    async def check(self) -> None:
        """Fetch a fresh access token: the harmless question that tells whether Daraja answers again."""
        ...

    async def stk_push(self, *, amount: Money, phone: str, reference: str, callback_url: str) -> StkAck: ...
    async def stk_query(self, checkout_request_id: str) -> StkStatus: ...
    async def reverse(self, *, receipt: str, amount: Money, result_url: str, timeout_url: str) -> ReversalAck: ...

    async def pay_out(self, payout: Payout) -> str:
        """Conversation id of an accepted payout. `Refused` only by what came before it could be recorded.

        `OutcomeUnknown` with the code `duplicate`: an earlier try of this very payout was recorded.
        """
        ...

    async def transaction_status(
        self, *, receipt: str, conversation_id: str, payouts: bool, result_url: str, timeout_url: str
    ) -> str:
        """Ask about a transaction of the receiving short code, or of the one that pays out."""
        ...

    async def pull(self, *, since: datetime, until: datetime) -> PullList: ...
    async def account_balance(self, *, payouts: bool, result_url: str, timeout_url: str) -> str:
        """Of the receiving short code, or of the one that pays out."""
        ...


class RailReads(Protocol):
    """What rails look up beside their attempts. Raises `Unavailable`."""

    async def operations(self, operation_ids: Sequence[str]) -> Mapping[str, OperationRow]:
        """Operations that exist, with what their intents said."""
        ...

    async def reserved_payouts_minor(self) -> int:
        """Shillings (minor units) that are promised to customers and not yet paid."""
        ...

    async def booked_since(self, account: str) -> datetime:
        """From when on the books speak of a provider's account: what happened before is in its opening balance."""
        ...


class PaymentBooks(Protocol):
    """What the books say to Safaricom's list of payments. Raises `Unavailable`."""

    async def claims(self, references: Sequence[str]) -> Mapping[str, str]:
        """Ids of pushes to which no receipt belongs, by the reference that a payment names."""
        ...

    async def cursors(self) -> Mapping[str, datetime]:
        """How far each reader of a list has come."""
        ...

    async def move_cursor(self, source: str, until: datetime, *, at: datetime) -> None:
        """Never backwards, and never beyond the database's own time: clocks of nodes may be ahead."""
        ...


class DerivSocket(Protocol):
    """One WebSocket connection, text frames."""

    async def send(self, frame: str) -> None:
        """Returns once the frame was handed to the kernel.

        Raises `NotSent` when it was closed before the first byte, `ConnectionLost` when it broke later.
        """
        ...

    async def receive(self) -> str:
        """Next frame; raises `ConnectionLost` when the socket is gone."""
        ...

    async def close(self) -> None: ...


class DerivDialer(Protocol):
    """Opens sockets. Raises `NotSent` when no connection could be made."""

    async def connect(self) -> DerivSocket: ...


class FxSource(Protocol):
    """One source of the mid rate."""

    async def mid(self) -> tuple[Decimal, datetime]:
        """KES per USD and its time. Raises `Refused` for an absurd answer, `Unavailable` when it cannot be had."""
        ...


class MailGateway(Protocol):
    """Mail. Raises `Unavailable` (try later) or `Refused`."""

    async def send(self, *, to: str, subject: str, text: str, reference: str) -> None: ...


class SmsGateway(Protocol):
    """Text messages."""

    async def send(self, *, to: str, text: str) -> None: ...
