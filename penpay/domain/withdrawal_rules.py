"""What follows from what happened to a withdrawal: one pure function over the table of `withdrawal.py`."""

from collections.abc import Callable, Mapping

from penpay.domain import withdrawal_debit as debit
from penpay.domain import withdrawal_events as ev
from penpay.domain import withdrawal_payout as payout
from penpay.domain import withdrawal_return as back
from penpay.domain.decision import Decision, Draft, Ignored, Occasion, Rejected, Rules
from penpay.domain.unit import OperationState
from penpay.domain.withdrawal import OPERATIONS, TRANSITIONS, State, Withdrawal
from penpay.domain.withdrawal_waiting import woke

_S = State


def decide(
    withdrawal: Withdrawal, event: ev.Event, occasion: Occasion, rules: Rules
) -> Decision[Withdrawal] | Ignored | Rejected:
    """What to record and do. An event without a place in this state is ignored, never an error."""
    allowed = TRANSITIONS[withdrawal.state].get(type(event))
    if allowed is None:
        asked = isinstance(event, ev.CancelRequested)
        return Rejected("not_cancellable") if asked else Ignored("no place in this state")
    for kinds, operation in (
        (_OF_DEBIT, withdrawal.debit),
        (_OF_PAYOUT, withdrawal.payout),
        (_OF_RETURN, withdrawal.back),
    ):
        if isinstance(event, kinds) and (operation is None or (operation.state in _OVER and not _speaks_anew(event))):
            return Ignored("no such operation, or it is over")
    draft = Draft(withdrawal, event, occasion, rules, slots=OPERATIONS, give_back=back.give_back)
    HANDLERS[type(event)](draft, event)
    if not draft.steps:
        return Ignored("nothing new")
    assert draft.now.state in allowed, (
        f"{withdrawal.state} --{type(event).__name__}--> {draft.now.state} is not in the table"
    )
    return draft.decision()


def parked(d: Draft[Withdrawal], e: ev.Parked) -> None:
    """It crashed too often: a person takes over."""
    d.to_review("parked", "OPS", "the saga crashed too often", {"error": e.error})


def staff_paid(d: Draft[Withdrawal], e: ev.StaffPaid) -> None:
    """Two people decided to pay out."""
    if d.now.money_at == "customer":
        d.step(_S.IN_REVIEW, {"approval": e.approval}, failure_code="")
        payout.start_payout(d)


def staff_returned(d: Draft[Withdrawal], e: ev.StaffReturned) -> None:
    """Two people decided to give the dollars back."""
    if d.now.money_at == "customer":
        d.step(_S.IN_REVIEW, {"approval": e.approval})
        back.start_return(d, reason="returned_by_review")


def staff_closed(d: Draft[Withdrawal], e: ev.StaffClosed) -> None:
    """Two people decided that nothing is held and nothing remains to be done."""
    if d.now.money_at in {"", "gone"}:
        done = _S.COMPLETED if d.now.receipt else _S.REVERSED if d.now.return_transaction_id else _S.FAILED
        d.step(done, {"approval": e.approval}, completed_at=d.at, next_wake_at=None)
        d.close_review("*", "closed by staff")


HANDLERS: Mapping[type[ev.Event], Callable[..., None]] = {
    ev.DebitStarted: debit.debit_started,
    ev.DebitConfirmed: debit.debit_confirmed,
    ev.DebitRefused: debit.debit_refused,
    ev.DebitNotSent: debit.debit_not_sent,
    ev.DebitOutcomeUnknown: debit.debit_unknown,
    ev.DebitAbsent: debit.debit_absent,
    ev.DebitAmbiguous: debit.debit_ambiguous,
    ev.WitnessSeen: debit.witness_seen,
    ev.CancelRequested: debit.cancel,
    ev.PayoutAccepted: payout.payout_accepted,
    ev.PayoutHeld: payout.payout_held,
    ev.PayoutOutcomeUnknown: payout.payout_unknown,
    ev.PayoutPaid: payout.payout_paid,
    ev.PayoutFailed: payout.payout_failed,
    ev.PayoutTimedOut: payout.payout_timed_out,
    ev.PayoutNotCompleted: payout.payout_not_completed,
    ev.ReturnConfirmed: back.return_confirmed,
    ev.ReturnRefused: back.return_refused,
    ev.ReturnNotSent: back.return_not_sent,
    ev.ReturnOutcomeUnknown: back.return_unknown,
    ev.ReturnAbsent: back.return_absent,
    ev.ReturnAmbiguous: back.return_ambiguous,
    ev.Woke: woke,
    ev.Parked: parked,
    ev.StaffPaid: staff_paid,
    ev.StaffReturned: staff_returned,
    ev.StaffClosed: staff_closed,
}
_OF_DEBIT = (
    ev.DebitConfirmed,
    ev.DebitRefused,
    ev.DebitNotSent,
    ev.DebitOutcomeUnknown,
    ev.DebitAbsent,
    ev.DebitAmbiguous,
)
_OF_PAYOUT = (
    ev.PayoutAccepted,
    ev.PayoutHeld,
    ev.PayoutOutcomeUnknown,
    ev.PayoutPaid,
    ev.PayoutFailed,
    ev.PayoutTimedOut,
    ev.PayoutNotCompleted,
)
_OF_RETURN = (
    ev.ReturnConfirmed,
    ev.ReturnRefused,
    ev.ReturnNotSent,
    ev.ReturnOutcomeUnknown,
    ev.ReturnAbsent,
    ev.ReturnAmbiguous,
)
_OVER = frozenset({OperationState.CONFIRMED, OperationState.REFUSED, OperationState.WITHDRAWN})


def _speaks_anew(event: ev.Event) -> bool:
    """Proof of execution, and a result that contradicts it, count whatever was believed before."""
    return isinstance(event, (ev.DebitConfirmed, ev.PayoutPaid, ev.PayoutFailed, ev.ReturnConfirmed))
