"""What follows from what happened to a deposit: one pure function over the table of `deposit.py`.

`decide` never looks at a clock, asks nobody and draws no ids: all of it comes in with the `Occasion`.
"""

from collections.abc import Callable, Mapping

from penpay.domain import deposit_events as ev
from penpay.domain import deposit_payment as pay
from penpay.domain import deposit_people as people
from penpay.domain import deposit_transfer as move
from penpay.domain.decision import Act, Decision, Ignored, Occasion, Rejected
from penpay.domain.deposit import OPERATIONS, TRANSITIONS, Deposit
from penpay.domain.deposit_standing import give_back
from penpay.domain.deposit_waiting import woke
from penpay.domain.draft import Draft
from penpay.domain.rules import Rules
from penpay.domain.unit import OVER


def decide(
    deposit: Deposit, event: ev.Event, occasion: Occasion, rules: Rules
) -> Decision[Deposit] | Act | Ignored | Rejected:
    """What to record and do. An event without a place in this state is ignored, never an error."""
    allowed = TRANSITIONS[deposit.state].get(type(event))
    if allowed is None:
        return (
            Rejected("not_cancellable") if isinstance(event, ev.CancelRequested) else Ignored("no place in this state")
        )
    for kinds, operation in ((_OF_PUSH, deposit.stk), (_OF_TRANSFER, deposit.transfer), (_OF_REFUND, deposit.refund)):
        if isinstance(event, kinds) and (operation is None or (operation.state in OVER and not _proves(event))):
            return Ignored("no such operation, or it is over")
    draft = Draft(deposit, event, occasion, rules, slots=OPERATIONS, give_back=give_back)
    HANDLERS[type(event)](draft, event)
    assert not draft.steps or draft.now.state in allowed, (
        f"{deposit.state} --{type(event).__name__}--> {draft.now.state} is not in the table"
    )
    return draft.outcome()


HANDLERS: Mapping[type[ev.Event], Callable[..., None]] = {
    ev.StkStarted: pay.stk_started,
    ev.RecipientChecked: pay.recipient_checked,
    ev.StkAccepted: pay.stk_accepted,
    ev.StkRefused: pay.stk_refused,
    ev.StkNotSent: pay.stk_not_sent,
    ev.StkOutcomeUnknown: pay.stk_unknown,
    ev.CancelRequested: pay.cancel,
    ev.MpesaPaid: pay.paid,
    ev.MpesaRefused: pay.refused_by_payer,
    ev.QueryPending: pay.query_pending,
    ev.PullClean: pay.pull_clean,
    ev.DerivConfirmed: move.deriv_confirmed,
    ev.DerivPaidAnother: move.deriv_paid_another,
    ev.DerivRefused: move.deriv_refused,
    ev.DerivNotSent: move.deriv_not_sent,
    ev.DerivOutcomeUnknown: move.deriv_unknown,
    ev.DerivAbsent: move.deriv_absent,
    ev.DerivAmbiguous: move.deriv_ambiguous,
    ev.RefundAccepted: move.refund_accepted,
    ev.RefundConfirmed: move.refund_confirmed,
    ev.RefundRefused: move.refund_refused,
    ev.RefundNotSent: move.refund_not_sent,
    ev.RefundOutcomeUnknown: move.refund_unknown,
    ev.RefundNotCompleted: move.refund_not_completed,
    ev.RefundUntold: move.refund_untold,
    ev.Woke: woke,
    ev.Parked: people.parked,
    ev.StaffCredited: people.staff_credited,
    ev.StaffRefunded: people.staff_refunded,
    ev.StaffProved: people.staff_proved,
    ev.StaffSettled: people.staff_settled,
    ev.StaffClosed: people.staff_closed,
}
_OF_PUSH = (ev.StkAccepted, ev.StkRefused, ev.StkNotSent, ev.StkOutcomeUnknown, ev.MpesaRefused)
_OF_TRANSFER = (
    ev.DerivConfirmed,
    ev.DerivPaidAnother,
    ev.DerivRefused,
    ev.DerivNotSent,
    ev.DerivOutcomeUnknown,
    ev.DerivAbsent,
    ev.DerivAmbiguous,
)
_OF_REFUND = (
    ev.RefundAccepted,
    ev.RefundConfirmed,
    ev.RefundRefused,
    ev.RefundNotSent,
    ev.RefundOutcomeUnknown,
    ev.RefundNotCompleted,
    ev.RefundUntold,
)


def _proves(event: ev.Event) -> bool:
    """Proof of execution counts whatever was believed before."""
    return isinstance(event, (ev.DerivConfirmed, ev.DerivPaidAnother, ev.RefundConfirmed))
