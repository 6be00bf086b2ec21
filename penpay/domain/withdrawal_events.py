"""What can happen to a withdrawal. Facts in the past tense, with the evidence that they rest on."""

from dataclasses import dataclass
from datetime import datetime

from penpay.domain.money import Money
from penpay.domain.saga_events import CancelRequested, Event, Parked, StaffClosed, StaffProved, StaffSettled, Woke

__all__ = ["CancelRequested", "Event", "Parked", "StaffClosed", "StaffProved", "StaffSettled", "Woke"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DebitStarted(Event):
    """Admission passed: the intent to debit is recorded with the withdrawal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DebitConfirmed(Event):
    """The dollars left the customer's account. `proof` is `reply` or `statement`."""

    transaction_id: str
    amount: Money
    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DebitRefused(Event):
    """Deriv refused before executing."""

    code: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DebitNotSent(Event):
    """No byte of the request left."""

    code: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DebitOutcomeUnknown(Event):
    """The debit may have been executed."""

    code: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DebitAbsent(Event):
    """Proven not executed, on both sides."""

    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DebitAmbiguous(Event):
    """The two sides do not tell one story, for instance an agent's credit without the customer's debit."""

    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessSeen(Event):
    """The agent's account shows a credit of this debit. Each credit is used once."""

    transaction_id: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutAccepted(Event):
    """Safaricom took the payout, or says that it had taken it before and gives no id of its own. Nothing is paid."""

    conversation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutHeld(Event):
    """Not sent, or refused before it was recorded, for a cause of our side: it waits, with the same id."""

    code: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutOutcomeUnknown(Event):
    """The payout may have been taken."""

    code: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutPaid(Event):
    """The customer has the shillings. `source` is `result` or `status`."""

    receipt: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutFailed(Event):
    """A final result says no. `at` is when it arrived: the status that confirms it must be asked later."""

    code: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutTimedOut(Event):
    """Safaricom's queue gave up waiting. It may still be paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutClaimed(Event):
    """A result that does not show whose it is: before the acknowledgement, or without an id. The status says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutNotCompleted(Event):
    """The status of the payout, asked at `at`, is final and not Completed."""

    status: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnConfirmed(Event):
    """The dollars are back in the customer's account: those that were asked for, since no provider tells of others."""

    transaction_id: str
    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnPaidAnother(Event):
    """Deriv says that they were given to `loginid`, who is not the customer."""

    transaction_id: str
    loginid: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnRefused(Event):
    """Deriv refused the return. `hold`: our side's cause, tried again later."""

    code: str
    attempt: int
    hold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnNotSent(Event):
    """No byte of the return left: it waits."""

    code: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnOutcomeUnknown(Event):
    """The return may have been executed."""

    code: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnAbsent(Event):
    """One attempt proven not executed."""

    proof: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnAmbiguous(Event):
    """More than one statement row could be it."""

    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffPaid(Event):
    """Two named people decided: pay out again."""

    approval: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffReturned(Event):
    """Two named people decided: the dollars go back."""

    approval: str
