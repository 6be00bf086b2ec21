"""What follows from what happened to a deposit: one pure function over the table of `deposit.py`.

`decide` never looks at a clock, asks nobody and draws no ids: all of it comes in with the `Occasion`.
"""

from collections.abc import Callable, Mapping

from penpay.domain import deposit_events as ev
from penpay.domain import deposit_payment as pay
from penpay.domain import deposit_transfer as move
from penpay.domain.decision import Decision, Draft, Ignored, Occasion, Rejected, Rules
from penpay.domain.deposit import OPERATIONS, TRANSITIONS, Deposit, State
from penpay.domain.deposit_waiting import woke
from penpay.domain.ledger import AccountCode
from penpay.domain.unit import OperationState

_S = State


def decide(
    deposit: Deposit, event: ev.Event, occasion: Occasion, rules: Rules
) -> Decision[Deposit] | Ignored | Rejected:
    """What to record and do. An event without a place in this state is ignored, never an error."""
    allowed = TRANSITIONS[deposit.state].get(type(event))
    if allowed is None:
        return (
            Rejected("not_cancellable") if isinstance(event, ev.CancelRequested) else Ignored("no place in this state")
        )
    for kinds, operation in ((_OF_TRANSFER, deposit.transfer), (_OF_REFUND, deposit.refund)):
        if isinstance(event, kinds) and (operation is None or (operation.state in _OVER and not _proves(event))):
            return Ignored("no such operation, or it is over")
    draft = Draft(deposit, event, occasion, rules, slots=OPERATIONS, give_back=move.give_back)
    HANDLERS[type(event)](draft, event)
    if not draft.steps:
        return Ignored("nothing new")
    assert draft.now.state in allowed, (
        f"{deposit.state} --{type(event).__name__}--> {draft.now.state} is not in the table"
    )
    return draft.decision()


# --- people -----------------------------------------------------------------------------------------------------


def parked(d: Draft[Deposit], e: ev.Parked) -> None:
    """It crashed too often: a person takes over."""
    d.to_review("parked", "OPS", "the saga crashed too often", {"error": e.error})


def staff_credited(d: Draft[Deposit], e: ev.StaffCredited) -> None:
    """Two people decided to deliver."""
    if d.now.money_at == "customer":
        d.step(_S.IN_REVIEW, {"approval": e.approval}, failure_code="")
        move.start_transfer(d)


def staff_refunded(d: Draft[Deposit], e: ev.StaffRefunded) -> None:
    """Two people decided to give back."""
    if d.now.money_at in {"customer", "suspense"}:
        d.step(_S.IN_REVIEW, {"approval": e.approval})
        move.start_refund(d, source=AccountCode(d.now.money_at), reason="refunded_by_review")


def staff_closed(d: Draft[Deposit], e: ev.StaffClosed) -> None:
    """Two people decided that nothing is held and nothing remains to be done."""
    if d.now.money_at in {"", "gone"}:
        done = _S.COMPLETED if d.now.deriv_transaction_id else _S.REVERSED if d.now.refund_receipt else _S.FAILED
        d.step(done, {"approval": e.approval}, completed_at=d.at, next_wake_at=None)
        d.close_review("*", "closed by staff")


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
    ev.Woke: woke,
    ev.Parked: parked,
    ev.StaffCredited: staff_credited,
    ev.StaffRefunded: staff_refunded,
    ev.StaffClosed: staff_closed,
}
_OF_TRANSFER = (
    ev.DerivConfirmed,
    ev.DerivRefused,
    ev.DerivNotSent,
    ev.DerivOutcomeUnknown,
    ev.DerivAbsent,
    ev.DerivAmbiguous,
)
_OF_REFUND = (ev.RefundAccepted, ev.RefundConfirmed, ev.RefundRefused, ev.RefundNotSent, ev.RefundOutcomeUnknown)
_OVER = frozenset({OperationState.CONFIRMED, OperationState.REFUSED, OperationState.WITHDRAWN})


def _proves(event: ev.Event) -> bool:
    """Proof of execution counts whatever was believed before."""
    return isinstance(event, (ev.DerivConfirmed, ev.RefundConfirmed))
