"""A deposit: what is known of it, and which states it may go through. `deposit_rules.py` decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from penpay.domain import deposit_events as ev
from penpay.domain.decision import Operation
from penpay.domain.deliveries import Delivery
from penpay.domain.fx import LockedRate
from penpay.domain.money import Money


class State(StrEnum):
    """The saga's own states, shown to customers as `stage`."""

    CREATED = "CREATED"
    STK_SENDING = "STK_SENDING"
    AWAITING_PAYER = "AWAITING_PAYER"
    STK_UNKNOWN = "STK_UNKNOWN"
    PAID = "PAID"
    DERIV_SENDING = "DERIV_SENDING"
    DERIV_HELD = "DERIV_HELD"
    DERIV_UNKNOWN = "DERIV_UNKNOWN"
    REFUND_SENDING = "REFUND_SENDING"
    COMPLETED = "COMPLETED"
    REVERSED = "REVERSED"
    FAILED = "FAILED"
    IN_REVIEW = "IN_REVIEW"


OPERATIONS = ("stk", "transfer", "refund")
"""The fields that hold provider operations, in their order."""
FINAL = frozenset({State.COMPLETED, State.REVERSED, State.FAILED})
BEFORE_MONEY = frozenset({State.STK_SENDING, State.AWAITING_PAYER, State.STK_UNKNOWN, State.FAILED})
"""States in which no shilling of the customer has been booked."""

_S = State
_MONEY_IN = (_S.DERIV_SENDING, _S.REFUND_SENDING, _S.IN_REVIEW)
"""Where a payment leads: credited, given back (paid too late), or looked at (another amount, frozen user)."""
_STAFF: Mapping[type[ev.Event], tuple[State, ...]] = {
    ev.StaffCredited: (_S.DERIV_SENDING,),
    ev.StaffRefunded: (_S.REFUND_SENDING, _S.IN_REVIEW),
    ev.StaffProved: (_S.IN_REVIEW, _S.COMPLETED, _S.REVERSED),
    ev.StaffSettled: (_S.IN_REVIEW, _S.REVERSED),
    ev.StaffClosed: (_S.FAILED, _S.COMPLETED, _S.REVERSED),
}
_ANY_OPEN: Mapping[type[ev.Event], tuple[State, ...]] = {ev.Parked: (_S.IN_REVIEW,)}

TRANSITIONS: Mapping[State, Mapping[type[ev.Event], tuple[State, ...]]] = {
    _S.CREATED: {ev.StkStarted: (_S.STK_SENDING,)},
    _S.STK_SENDING: {
        ev.RecipientChecked: (_S.FAILED,),
        ev.StkAccepted: (_S.AWAITING_PAYER,),
        ev.StkRefused: (_S.FAILED,),
        ev.StkNotSent: (_S.STK_SENDING, _S.FAILED),
        ev.StkOutcomeUnknown: (_S.STK_UNKNOWN,),
        ev.MpesaPaid: (*_MONEY_IN, _S.STK_SENDING),
        ev.MpesaRefused: (_S.FAILED, _S.STK_SENDING),
        ev.CancelRequested: (_S.FAILED,),
        ev.Woke: (_S.STK_SENDING, _S.FAILED, _S.IN_REVIEW),
        **_ANY_OPEN,
    },
    _S.AWAITING_PAYER: {
        ev.MpesaPaid: (*_MONEY_IN, _S.AWAITING_PAYER),
        ev.MpesaRefused: (_S.FAILED, _S.AWAITING_PAYER),
        ev.QueryPending: (_S.AWAITING_PAYER,),
        ev.PullClean: (_S.AWAITING_PAYER,),
        ev.Woke: (_S.AWAITING_PAYER, _S.STK_UNKNOWN, _S.IN_REVIEW),
        **_ANY_OPEN,
    },
    _S.STK_UNKNOWN: {
        ev.StkAccepted: (_S.AWAITING_PAYER,),
        ev.MpesaPaid: (*_MONEY_IN, _S.STK_UNKNOWN),
        ev.MpesaRefused: (_S.FAILED, _S.STK_UNKNOWN),
        ev.QueryPending: (_S.STK_UNKNOWN,),
        ev.PullClean: (_S.STK_UNKNOWN, _S.FAILED),
        ev.Woke: (_S.STK_UNKNOWN, _S.IN_REVIEW),
        **_ANY_OPEN,
    },
    _S.PAID: {},
    _S.DERIV_SENDING: {
        ev.MpesaPaid: (_S.DERIV_SENDING, _S.IN_REVIEW),
        ev.DerivConfirmed: (_S.COMPLETED, _S.IN_REVIEW),
        ev.DerivPaidAnother: (_S.IN_REVIEW,),
        ev.DerivRefused: (_S.DERIV_SENDING, _S.REFUND_SENDING, _S.DERIV_HELD, _S.IN_REVIEW),
        ev.DerivNotSent: (_S.DERIV_HELD, _S.IN_REVIEW),
        ev.DerivOutcomeUnknown: (_S.DERIV_UNKNOWN,),
        ev.RefundConfirmed: (_S.IN_REVIEW,),
        ev.Woke: (_S.DERIV_SENDING, _S.IN_REVIEW),
        **_ANY_OPEN,
    },
    _S.DERIV_HELD: {
        ev.MpesaPaid: (_S.DERIV_HELD, _S.IN_REVIEW),
        # Its rail may have been asked before the pause, and make the next attempt in it.
        ev.DerivConfirmed: (_S.COMPLETED, _S.IN_REVIEW),
        ev.DerivPaidAnother: (_S.IN_REVIEW,),
        ev.DerivRefused: (_S.REFUND_SENDING, _S.DERIV_HELD, _S.IN_REVIEW),
        ev.DerivNotSent: (_S.DERIV_HELD, _S.IN_REVIEW),
        ev.DerivOutcomeUnknown: (_S.DERIV_UNKNOWN,),
        ev.RefundConfirmed: (_S.IN_REVIEW,),
        ev.Woke: (_S.DERIV_SENDING, _S.IN_REVIEW),
        **_ANY_OPEN,
    },
    _S.DERIV_UNKNOWN: {
        ev.MpesaPaid: (_S.DERIV_UNKNOWN, _S.IN_REVIEW),
        ev.DerivConfirmed: (_S.COMPLETED, _S.IN_REVIEW),
        ev.DerivPaidAnother: (_S.IN_REVIEW,),
        ev.DerivRefused: (_S.DERIV_UNKNOWN,),
        ev.DerivAbsent: (_S.DERIV_SENDING, _S.IN_REVIEW),
        ev.DerivAmbiguous: (_S.IN_REVIEW,),
        ev.RefundConfirmed: (_S.IN_REVIEW,),
        ev.Woke: (_S.DERIV_UNKNOWN, _S.IN_REVIEW),
        **_ANY_OPEN,
    },
    _S.REFUND_SENDING: {
        ev.MpesaPaid: (_S.REFUND_SENDING, _S.IN_REVIEW),
        ev.DerivConfirmed: (_S.IN_REVIEW,),
        ev.DerivPaidAnother: (_S.IN_REVIEW,),
        ev.RefundAccepted: (_S.REFUND_SENDING,),
        ev.RefundConfirmed: (_S.REVERSED, _S.IN_REVIEW),
        ev.RefundRefused: (_S.IN_REVIEW,),
        ev.RefundNotSent: (_S.REFUND_SENDING, _S.IN_REVIEW),
        ev.RefundOutcomeUnknown: (_S.REFUND_SENDING,),
        ev.RefundNotCompleted: (_S.REFUND_SENDING, _S.IN_REVIEW),
        ev.RefundUntold: (_S.REFUND_SENDING, _S.IN_REVIEW),
        ev.Woke: (_S.REFUND_SENDING, _S.IN_REVIEW),
        **_ANY_OPEN,
    },
    _S.IN_REVIEW: {
        # What was under way when the question came still ends. Reads that look for an outcome are people's now.
        ev.StkAccepted: (_S.IN_REVIEW,),
        ev.StkRefused: (_S.IN_REVIEW,),
        ev.StkNotSent: (_S.IN_REVIEW,),
        ev.StkOutcomeUnknown: (_S.IN_REVIEW,),
        ev.MpesaPaid: (_S.IN_REVIEW,),
        ev.MpesaRefused: (_S.IN_REVIEW,),
        ev.DerivConfirmed: (_S.COMPLETED, _S.IN_REVIEW),
        ev.DerivPaidAnother: (_S.IN_REVIEW,),
        ev.DerivRefused: (_S.IN_REVIEW,),
        ev.DerivNotSent: (_S.IN_REVIEW,),
        ev.DerivOutcomeUnknown: (_S.IN_REVIEW,),
        ev.RefundAccepted: (_S.IN_REVIEW,),
        ev.RefundConfirmed: (_S.REVERSED, _S.IN_REVIEW),
        ev.RefundRefused: (_S.IN_REVIEW,),
        ev.RefundNotSent: (_S.IN_REVIEW,),
        ev.RefundOutcomeUnknown: (_S.IN_REVIEW,),
        **_STAFF,
    },
    _S.COMPLETED: {
        ev.MpesaPaid: (_S.COMPLETED, _S.IN_REVIEW),
        ev.DerivConfirmed: (_S.IN_REVIEW,),
        ev.DerivPaidAnother: (_S.IN_REVIEW,),
        ev.RefundConfirmed: (_S.IN_REVIEW,),
    },
    _S.REVERSED: {
        ev.MpesaPaid: (_S.REVERSED, _S.IN_REVIEW),
        ev.DerivConfirmed: (_S.IN_REVIEW,),
        ev.DerivPaidAnother: (_S.IN_REVIEW,),
        ev.RefundConfirmed: (_S.IN_REVIEW,),
    },
    _S.FAILED: {ev.MpesaPaid: (*_MONEY_IN, _S.FAILED), ev.Woke: (_S.FAILED, _S.IN_REVIEW)},
}
assert TRANSITIONS.keys() == set(State)


def edges() -> frozenset[tuple[str, str]]:
    """Every (from, to) that a transaction event of a deposit may record.

    Arriving money is recorded as two steps, through PAID, although both are one unit of work.
    """
    found: set[tuple[str, str]] = set()
    for source, row in TRANSITIONS.items():
        for event, targets in row.items():
            for target in targets:
                if event is ev.MpesaPaid and target in _MONEY_IN and source in BEFORE_MONEY:
                    found |= {(source.value, State.PAID.value), (State.PAID.value, target.value)}
                found.add((source.value, target.value))
    return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """One deposit. Times are UTC; `pushed_at` is when the push was acknowledged, or attempted when that is unknown."""

    id: str
    shard: int
    user_id: str
    state: State
    version: int
    send: Money
    receive: Money
    rate: LockedRate
    quote_id: str
    phone_mask: str
    deriv_loginid: str
    verify_first: bool
    created_at: datetime
    updated_at: datetime
    stk: Operation | None = None
    transfer: Operation | None = None
    refund: Operation | None = None
    checkout_request_id: str = ""
    pushed_at: datetime | None = None
    paid: Money | None = None
    paid_at: datetime | None = None
    paid_by: str = ""
    receipt: str = ""
    held_receipt: str = ""
    held_paid_at: datetime | None = None
    held_amount: Money | None = None
    """What the claim says was paid: a query that confirms it knows no amount."""
    held_stranger: bool = False
    """The claim names a payer whose visible digits are not those that were asked."""
    held_checkout_id: str = ""
    """The push that the claim names. It is asked about while no acknowledgement has told ours."""
    asked_staff_at: datetime | None = None
    """Since when a person is told that nobody knows whether it was paid; it goes on being asked."""
    money_at: str = ""
    """Where the customer's shillings stand: "", `customer`, `suspense`, `deriv_out`, `refund_out`, `gone`."""
    set_aside: Money | None = None
    """Shillings in suspense beside that: more arrived, or fewer dollars left, than what was booked."""
    received: Money | None = None
    """What the receipt says, once it has corrected what was believed. `paid` goes on meaning what is held or left."""
    refund_from: str = ""
    """The account a refund is taken from: `customer` or `suspense`."""
    deriv_transaction_id: str = ""
    """Deriv's id of the newest transfer."""
    delivered: tuple[Delivery, ...] = ()
    """All dollars that the customer got, the newest last; not what somebody else did."""
    refund_conversation_id: str = ""
    """What Safaricom knows the Reversal by, once it acknowledged it."""
    refund_originator_conversation_id: str = ""
    """Its second id."""
    misdirected_transaction_id: str = ""
    """Deriv's id of a transfer of ours by which somebody else got the dollars."""
    earlier_transaction_ids: tuple[str, ...] = ()
    """Deriv's ids of transfers that are booked, beside the newest of each kind above."""
    doubted_at: datetime | None = None
    """Since when all that is known of the Reversal is a status that says no, or that it cannot be asked about."""
    refund_receipt: str = ""
    transfers: int = 0
    """How many times the shillings were held for a transfer, and below for a refund."""
    refunds: int = 0
    undone: int = 0
    """How many times shillings that had paid for dollars stood here again, since somebody else had got these."""
    failed_queries: int = 0
    polls: int = 0
    state_since: datetime | None = None
    next_wake_at: datetime | None = None
    failure_code: str = ""
    completed_at: datetime | None = None

    @property
    def booked_transaction_ids(self) -> frozenset[str]:
        """Deriv's ids of all movements that are in the books."""
        return frozenset({self.deriv_transaction_id, self.misdirected_transaction_id, *self.earlier_transaction_ids})

    @property
    def known_checkout_id(self) -> str:
        """The push to ask Safaricom about: ours as it was acknowledged, before that the one that a claim names."""
        return self.checkout_request_id or self.held_checkout_id
