"""What follows from what happened to a withdrawal: one pure function over the table of `withdrawal.py`."""

from collections.abc import Callable, Mapping

from penpay.domain import withdrawal_debit as debit
from penpay.domain import withdrawal_events as ev
from penpay.domain import withdrawal_payout as payout
from penpay.domain import withdrawal_people as people
from penpay.domain import withdrawal_return as back
from penpay.domain.decision import Act, Decision, Ignored, Occasion, Rejected
from penpay.domain.draft import Draft
from penpay.domain.rules import Rules
from penpay.domain.unit import OVER
from penpay.domain.withdrawal import OPERATIONS, TRANSITIONS, Withdrawal
from penpay.domain.withdrawal_standing import give_back
from penpay.domain.withdrawal_waiting import woke


def decide(
    withdrawal: Withdrawal, event: ev.Event, occasion: Occasion, rules: Rules
) -> Decision[Withdrawal] | Act | Ignored | Rejected:
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
        if isinstance(event, kinds) and (operation is None or (operation.state in OVER and not _speaks_anew(event))):
            return Ignored("no such operation, or it is over")
    draft = Draft(withdrawal, event, occasion, rules, slots=OPERATIONS, give_back=give_back, same_id="payout")
    HANDLERS[type(event)](draft, event)
    assert not draft.steps or draft.now.state in allowed, (
        f"{withdrawal.state} --{type(event).__name__}--> {draft.now.state} is not in the table"
    )
    return draft.outcome()


HANDLERS: Mapping[type[ev.Event], Callable[..., None]] = {
    ev.DebitStarted: debit.debit_started,
    ev.DebitConfirmed: debit.debit_confirmed,
    ev.DebitRefused: debit.debit_refused,
    ev.DebitNotSent: debit.debit_not_sent,
    ev.DebitOutcomeUnknown: debit.debit_unknown,
    ev.DebitAbsent: debit.debit_absent,
    ev.DebitAmbiguous: debit.debit_ambiguous,
    ev.WitnessSeen: debit.witness_told,
    ev.CancelRequested: debit.cancel,
    ev.PayoutAccepted: payout.payout_accepted,
    ev.PayoutHeld: payout.payout_held,
    ev.PayoutOutcomeUnknown: payout.payout_unknown,
    ev.PayoutPaid: payout.payout_paid,
    ev.PayoutFailed: payout.payout_failed,
    ev.PayoutTimedOut: payout.payout_timed_out,
    ev.PayoutClaimed: payout.payout_timed_out,  # either way it may have been paid, and the status says
    ev.PayoutNotCompleted: payout.payout_not_completed,
    ev.ReturnConfirmed: back.return_confirmed,
    ev.ReturnPaidAnother: back.return_paid_another,
    ev.ReturnRefused: back.return_refused,
    ev.ReturnNotSent: back.return_not_sent,
    ev.ReturnOutcomeUnknown: back.return_unknown,
    ev.ReturnAbsent: back.return_absent,
    ev.ReturnAmbiguous: back.return_ambiguous,
    ev.Woke: woke,
    ev.Parked: people.parked,
    ev.StaffPaid: people.staff_paid,
    ev.StaffReturned: people.staff_returned,
    ev.StaffProved: people.staff_proved,
    ev.StaffSettled: people.staff_settled,
    ev.StaffClosed: people.staff_closed,
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
    ev.PayoutClaimed,
    ev.PayoutNotCompleted,
)
_OF_RETURN = (
    ev.ReturnConfirmed,
    ev.ReturnPaidAnother,
    ev.ReturnRefused,
    ev.ReturnNotSent,
    ev.ReturnOutcomeUnknown,
    ev.ReturnAbsent,
    ev.ReturnAmbiguous,
)


_NEWS = (ev.DebitConfirmed, ev.PayoutPaid, ev.PayoutFailed, ev.ReturnConfirmed, ev.ReturnPaidAnother)


def _speaks_anew(event: ev.Event) -> bool:
    """Proof of execution, and a result that contradicts it, count whatever was believed before."""
    return isinstance(event, _NEWS)
