"""A withdrawal: what is known of it, and which states it may go through. `withdrawal_rules.py` decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from penpay.domain import withdrawal_events as ev
from penpay.domain.decision import Operation
from penpay.domain.deliveries import Delivery
from penpay.domain.fx import LockedRate
from penpay.domain.money import Money


class State(StrEnum):
    """The saga's own states, shown to customers as `stage`."""

    CREATED = "CREATED"
    DERIV_SENDING = "DERIV_SENDING"
    DERIV_UNKNOWN = "DERIV_UNKNOWN"
    DEBITED = "DEBITED"
    B2C_SENDING = "B2C_SENDING"
    B2C_HELD = "B2C_HELD"
    AWAITING_RESULT = "AWAITING_RESULT"
    B2C_UNKNOWN = "B2C_UNKNOWN"
    RETURN_SENDING = "RETURN_SENDING"
    COMPLETED = "COMPLETED"
    REVERSED = "REVERSED"
    FAILED = "FAILED"
    IN_REVIEW = "IN_REVIEW"


OPERATIONS = ("debit", "payout", "back")
"""The fields that hold provider operations, in their order."""
FINAL = frozenset({State.COMPLETED, State.REVERSED, State.FAILED})

_S = State
_DEBITED = (_S.DEBITED, _S.IN_REVIEW)
_Row = Mapping[type[ev.Event], tuple[State, ...]]
_ANY_OPEN: _Row = {ev.Parked: (_S.IN_REVIEW,)}
_PAYING: _Row = {
    ev.PayoutPaid: (_S.COMPLETED,),
    ev.PayoutFailed: (_S.B2C_UNKNOWN, _S.B2C_HELD, _S.IN_REVIEW),
    ev.PayoutTimedOut: (_S.B2C_UNKNOWN,),
    ev.PayoutClaimed: (_S.B2C_UNKNOWN,),
    ev.ReturnConfirmed: (_S.IN_REVIEW,),
    ev.ReturnPaidAnother: (_S.IN_REVIEW,),
    **_ANY_OPEN,
}
_STAFF: _Row = {
    ev.StaffPaid: (_S.B2C_SENDING, _S.IN_REVIEW),
    ev.StaffReturned: (_S.RETURN_SENDING, _S.IN_REVIEW),
    ev.StaffProved: (_S.IN_REVIEW, _S.COMPLETED, _S.REVERSED),
    ev.StaffSettled: (_S.IN_REVIEW, _S.REVERSED),
    ev.StaffClosed: (_S.FAILED, _S.COMPLETED, _S.REVERSED),
}

TRANSITIONS: Mapping[State, _Row] = {
    _S.CREATED: {ev.DebitStarted: (_S.DERIV_SENDING,)},
    _S.DERIV_SENDING: {
        ev.DebitConfirmed: _DEBITED,
        ev.DebitRefused: (_S.FAILED,),
        ev.DebitNotSent: (_S.DERIV_SENDING, _S.FAILED),
        ev.DebitOutcomeUnknown: (_S.DERIV_UNKNOWN,),
        ev.CancelRequested: (_S.FAILED,),
        ev.Woke: (_S.DERIV_SENDING, _S.FAILED, _S.IN_REVIEW),
        **_ANY_OPEN,
    },
    _S.DERIV_UNKNOWN: {
        ev.DebitConfirmed: _DEBITED,
        ev.DebitRefused: (_S.DERIV_UNKNOWN,),
        ev.DebitAbsent: (_S.FAILED,),
        ev.DebitAmbiguous: (_S.IN_REVIEW,),
        ev.Woke: (_S.DERIV_UNKNOWN, _S.IN_REVIEW),
        **_ANY_OPEN,
    },
    _S.DEBITED: {
        ev.WitnessSeen: (_S.B2C_SENDING, _S.IN_REVIEW),
        ev.Woke: (_S.DEBITED, _S.IN_REVIEW),
        **_ANY_OPEN,
    },
    _S.B2C_SENDING: {
        ev.PayoutAccepted: (_S.AWAITING_RESULT,),
        ev.PayoutHeld: (_S.B2C_HELD, _S.IN_REVIEW),
        ev.PayoutOutcomeUnknown: (_S.B2C_UNKNOWN,),
        ev.Woke: (_S.B2C_SENDING, _S.IN_REVIEW),
        **_PAYING,
    },
    _S.B2C_HELD: {
        # Its rail may have been asked before the pause, and send the payout in it.
        ev.PayoutAccepted: (_S.AWAITING_RESULT,),
        ev.PayoutHeld: (_S.B2C_HELD, _S.IN_REVIEW),
        ev.PayoutOutcomeUnknown: (_S.B2C_UNKNOWN,),
        ev.Woke: (_S.B2C_SENDING, _S.IN_REVIEW),
        **_PAYING,
    },
    _S.AWAITING_RESULT: {
        ev.Woke: (_S.B2C_UNKNOWN,),
        **_PAYING,
    },
    _S.B2C_UNKNOWN: {
        ev.PayoutAccepted: (_S.AWAITING_RESULT, _S.B2C_UNKNOWN),
        ev.PayoutHeld: (_S.B2C_UNKNOWN,),
        ev.PayoutOutcomeUnknown: (_S.B2C_UNKNOWN,),
        ev.PayoutNotCompleted: (_S.B2C_UNKNOWN, _S.B2C_HELD, _S.RETURN_SENDING, _S.IN_REVIEW),
        ev.Woke: (_S.B2C_UNKNOWN, _S.IN_REVIEW),
        **_PAYING,
    },
    _S.RETURN_SENDING: {
        ev.PayoutPaid: (_S.IN_REVIEW,),
        ev.ReturnConfirmed: (_S.REVERSED, _S.IN_REVIEW),
        ev.ReturnPaidAnother: (_S.IN_REVIEW,),
        ev.ReturnRefused: (_S.RETURN_SENDING, _S.IN_REVIEW),
        ev.ReturnNotSent: (_S.RETURN_SENDING, _S.IN_REVIEW),
        ev.ReturnOutcomeUnknown: (_S.RETURN_SENDING,),
        ev.ReturnAbsent: (_S.RETURN_SENDING, _S.IN_REVIEW),
        ev.ReturnAmbiguous: (_S.IN_REVIEW,),
        ev.Woke: (_S.RETURN_SENDING, _S.IN_REVIEW),
        **_ANY_OPEN,
    },
    _S.IN_REVIEW: {
        # What was under way when the question came still ends. Reads that look for an outcome are people's now.
        ev.DebitConfirmed: (_S.IN_REVIEW,),
        ev.DebitRefused: (_S.IN_REVIEW,),
        ev.DebitNotSent: (_S.IN_REVIEW,),
        ev.DebitOutcomeUnknown: (_S.IN_REVIEW,),
        ev.WitnessSeen: (_S.IN_REVIEW,),
        ev.PayoutAccepted: (_S.IN_REVIEW,),
        ev.PayoutHeld: (_S.IN_REVIEW,),
        ev.PayoutOutcomeUnknown: (_S.IN_REVIEW,),
        ev.PayoutPaid: (_S.COMPLETED, _S.IN_REVIEW),
        ev.PayoutFailed: (_S.IN_REVIEW,),
        ev.PayoutTimedOut: (_S.IN_REVIEW,),
        ev.PayoutClaimed: (_S.IN_REVIEW,),
        ev.PayoutNotCompleted: (_S.IN_REVIEW,),
        ev.ReturnConfirmed: (_S.REVERSED, _S.IN_REVIEW),
        ev.ReturnPaidAnother: (_S.IN_REVIEW,),
        ev.ReturnRefused: (_S.IN_REVIEW,),
        ev.ReturnNotSent: (_S.IN_REVIEW,),
        ev.ReturnOutcomeUnknown: (_S.IN_REVIEW,),
        **_STAFF,
    },
    _S.COMPLETED: {
        ev.PayoutPaid: (_S.IN_REVIEW,),
        ev.PayoutFailed: (_S.IN_REVIEW,),
        ev.ReturnConfirmed: (_S.IN_REVIEW,),
        ev.ReturnPaidAnother: (_S.IN_REVIEW,),
    },
    _S.REVERSED: {
        ev.PayoutPaid: (_S.IN_REVIEW,),
        ev.ReturnConfirmed: (_S.IN_REVIEW,),
        ev.ReturnPaidAnother: (_S.IN_REVIEW,),
    },
    _S.FAILED: {ev.DebitConfirmed: _DEBITED},
}
assert TRANSITIONS.keys() == set(State)


def edges() -> frozenset[tuple[str, str]]:
    """Every (from, to) that a transaction event of a withdrawal may record."""
    found = {
        (source.value, target.value)
        for source, row in TRANSITIONS.items()
        for targets in row.values()
        for target in targets
    }
    return frozenset(found | {(_S.DEBITED.value, _S.B2C_SENDING.value), (_S.IN_REVIEW.value, _S.IN_REVIEW.value)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """One withdrawal: dollars from the customer's Deriv account, shillings to their phone. Times are UTC."""

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
    created_at: datetime
    updated_at: datetime
    debit: Operation | None = None
    payout: Operation | None = None
    back: Operation | None = None
    sealed_payee: str = ""
    """The payee's phone, sealed at admission, in hex: the payout's intent carries it on."""
    debit_transaction_id: str = ""
    debited_at: datetime | None = None
    witness_transaction_id: str = ""
    money_at: str = ""
    """Where the customer's dollars stand: "", `deriv_in`, `customer`, `b2c_out`, `deriv_out`, `gone`."""
    set_aside: Money | None = None
    """Dollars in suspense beside those that stand here: more arrived than were debited."""
    conversation_id: str = ""
    """What Safaricom knows the payout by, once it acknowledged it: its own id, or ours if it had it already."""
    receipt: str = ""
    failed_code: str = ""
    failed_at: datetime | None = None
    declined_at: datetime | None = None
    """When the payout's status was first read to be final and not Completed, without a failed result before."""
    return_transaction_id: str = ""
    """Deriv's id of the newest movement by which dollars went back."""
    delivered: tuple[Delivery, ...] = ()
    """All of those, the newest last; not what somebody else got."""
    misdirected_transaction_id: str = ""
    """Deriv's id of a return of ours by which somebody else got the dollars."""
    earlier_transaction_ids: tuple[str, ...] = ()
    """Deriv's ids of returns that are booked, beside the newest of each kind above."""
    payouts: int = 0
    """How many times the dollars were held for a payout, and below for a return."""
    returns: int = 0
    undone: int = 0
    """How many times dollars that had gone back stood here again, since somebody else had got them."""
    polls: int = 0
    state_since: datetime | None = None
    next_wake_at: datetime | None = None
    failure_code: str = ""
    completed_at: datetime | None = None

    @property
    def booked_transaction_ids(self) -> frozenset[str]:
        """Deriv's ids of all movements back to the customer that are in the books."""
        return frozenset({self.return_transaction_id, self.misdirected_transaction_id, *self.earlier_transaction_ids})
