"""What can happen to a deposit. Facts in the past tense, with the evidence that they rest on."""

from dataclasses import dataclass
from datetime import datetime

from penpay.domain.money import Money
from penpay.domain.saga_events import CancelRequested, Event, Parked, StaffClosed, StaffProved, StaffSettled, Woke

__all__ = ["CancelRequested", "Event", "Parked", "StaffClosed", "StaffProved", "StaffSettled", "Woke"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StkStarted(Event):
    """Admission passed: the intent to push is recorded with the deposit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientChecked(Event):
    """Deriv said whether the recipient could receive this amount, before anyone was asked to pay."""

    ok: bool
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StkAccepted(Event):
    """Safaricom took the push: a prompt is on its way. Nothing is paid."""

    checkout_request_id: str
    pushed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StkRefused(Event):
    """Safaricom refused the push; no prompt was shown."""

    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StkNotSent(Event):
    """No byte of the push left. `expired`: the intent is too old to be sent at all."""

    code: str
    attempt: int
    expired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StkOutcomeUnknown(Event):
    """The push may have been taken; there is no acknowledgement."""

    code: str
    attempted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MpesaPaid(Event):
    """Money arrived. `source` is `callback`, `query`, `pull` or `staff`.

    A query names neither receipt nor time nor amount: it counts as the asked amount, paid at the push.
    `trusted` is False for a callback that must be confirmed by an authenticated query first. `payer_matches` is False
    when the visible digits of the payer's phone are not those that were asked. `checkout_request_id` is the push that a
    callback from Safaricom's own address names. `known_sender` False: it came from another address, so its receipt may
    be invented, and a query that confirms the payment knows none.
    """

    source: str
    amount: Money
    receipt: str = ""
    paid_at: datetime | None = None
    trusted: bool = True
    payer_matches: bool = True
    checkout_request_id: str = ""
    known_sender: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MpesaRefused(Event):
    """The payer's side said no. `source` is `callback` or `query`; a query is believed only after the grace."""

    source: str
    code: str
    final: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPending(Event):
    """Asked, and the provider does not know yet, or did not answer."""

    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullClean(Event):
    """The provider's list up to `until` holds no payment with our reference."""

    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivConfirmed(Event):
    """The dollars reached the customer. `proof` is `reply` or `statement`."""

    transaction_id: str
    amount: Money
    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivPaidAnother(Event):
    """Deriv says that it was done, for `loginid`, who is not the customer."""

    transaction_id: str
    loginid: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivRefused(Event):
    """Deriv refused before executing. `hold`: our side's cause (float, rate limit), so it is tried again later."""

    code: str
    attempt: int
    hold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivNotSent(Event):
    """No byte of the transfer left: it waits."""

    code: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivOutcomeUnknown(Event):
    """The transfer may have been executed."""

    code: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivAbsent(Event):
    """One attempt proven not executed: two complete statement reads after the settle window, balances continuous."""

    proof: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivAmbiguous(Event):
    """The statement holds more than one candidate: a person decides."""

    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundAccepted(Event):
    """Safaricom took the Reversal; its result comes later, under these ids."""

    conversation_id: str = ""
    originator_conversation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundConfirmed(Event):
    """The shillings went back to the payer."""

    receipt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRefused(Event):
    """The Reversal was refused for good."""

    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundNotSent(Event):
    """No byte of the Reversal left, or it was refused for a cause that passes: it waits."""

    code: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundOutcomeUnknown(Event):
    """The Reversal may have been executed."""

    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundNotCompleted(Event):
    """The status of the Reversal, read at `at`, is final and not Completed."""

    status: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundUntold(Event):
    """Safaricom never acknowledged the Reversal: its status cannot be asked for, only its result can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffCredited(Event):
    """Two named people decided: the customer gets the dollars."""

    approval: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffRefunded(Event):
    """Two named people decided: the shillings go back."""

    approval: str
