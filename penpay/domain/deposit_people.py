"""What people decide about a deposit in review: always two of them, named in the event with what they rest it on."""

from typing import Any

from penpay.domain import deposit_events as ev
from penpay.domain import deposit_payment as pay
from penpay.domain import deposit_transfer as move
from penpay.domain.deposit import Deposit, State
from penpay.domain.deposit_standing import STANDING
from penpay.domain.draft import Draft
from penpay.domain.ledger import AccountCode
from penpay.domain.review_kinds import code_of_end
from penpay.domain.unit import OVER, OperationState

_S = State
GIVEN_BACK = "refunded_by_review"
CLOSED = "closed_by_review"


def parked(d: Draft[Deposit], e: ev.Parked) -> None:
    """It crashed too often: a person takes over."""
    d.to_review("parked", "OPS", "the saga crashed too often", {"error": e.error})


def staff_credited(d: Draft[Deposit], e: ev.StaffCredited) -> None:
    """Two people decided to deliver. One transfer of a deposit is confirmed, also if somebody else got the dollars."""
    confirmed = d.now.transfer is not None and d.now.transfer.state is OperationState.CONFIRMED
    if d.now.money_at == AccountCode.CUSTOMER and d.now.set_aside is None and not confirmed:
        d.step(_S.IN_REVIEW, {"approval": e.approval}, failure_code="")
        move.answer_questions(d, "credited by staff")
        move.start_transfer(d)


def staff_refunded(d: Draft[Deposit], e: ev.StaffRefunded) -> None:
    """Two people decided to give back."""
    if d.now.money_at in STANDING and d.now.set_aside is None:
        d.step(_S.IN_REVIEW, {"approval": e.approval})
        move.answer_questions(d, "refunded by staff")
        move.start_refund(d, source=AccountCode(d.now.money_at), reason=GIVEN_BACK)


def staff_proved(d: Draft[Deposit], e: ev.StaffProved) -> None:
    """Two people know how the open operation ended. What they know is evidence; later evidence may contradict it."""
    slot = d.unfinished() or ("stk" if pay.claims_payment(d.now) else "")
    if not slot:
        return
    d.step(_S.IN_REVIEW, {"approval": e.approval, "operation": slot, "executed": "yes" if e.executed else "no"})
    match slot, e.executed:
        case "stk", True:
            pay.paid(d, ev.MpesaPaid(source="staff", amount=d.now.send, receipt=e.reference))
        case "stk", False:
            if d.now.stk is not None and d.now.stk.state not in OVER:
                d.operation("stk", OperationState.REFUSED, code="staff")
            d.set(**pay.NO_CLAIM)
        case "transfer", True:
            confirmed = ev.DerivConfirmed(transaction_id=e.reference, amount=d.now.receive, proof="staff")
            move.deriv_confirmed(d, confirmed)
        case "transfer", False:
            move.transfer_absent(d, "staff")
        case _, True:
            move.refund_confirmed(d, ev.RefundConfirmed(receipt=e.reference))
        case _:
            move.refund_absent(d, "staff")


def staff_settled(d: Draft[Deposit], e: ev.StaffSettled) -> None:
    """Two people gave shillings back by hand: all that stand here, or only what was set aside beside the rest.

    With the last of a payment that bought nothing, it is given back.
    """
    evidence = {"approval": e.approval, "receipt": e.reference}
    aside = d.now.set_aside
    rest = None if e.surplus_only or d.now.money_at not in STANDING else d.now.paid
    if aside is None and rest is None:
        return
    d.reference("mpesa_reversal", e.reference, d.now.stk)
    if aside is not None:
        d.post(d.books.settled_by_hand(e.reference, aside, AccountCode.SUSPENSE, aside=True))
        last = d.now.money_at == "gone" and not d.now.delivered and not d.now.refund_receipt
        d.step(_S.IN_REVIEW, evidence, set_aside=None, **({"refund_receipt": e.reference} if last else {}))
    if rest is not None:
        d.post(d.books.settled_by_hand(e.reference, rest, AccountCode(d.now.money_at)))
        code = code_of_end(d.now.failure_code, GIVEN_BACK)
        ended: dict[str, Any] = {"refund_receipt": e.reference, "completed_at": d.at, "next_wake_at": None}
        d.step(_S.REVERSED, evidence, money_at="gone", failure_code=code, **ended)
        d.close_review("*", "settled by staff")


def staff_closed(d: Draft[Deposit], e: ev.StaffClosed) -> None:
    """Two people decided that nothing is held and nothing remains to be done. A claimed payment is judged first.

    Given back is what has a receipt of it; where nothing was delivered and nothing has one, it is closed, and says so.
    """
    if pay.claims_payment(d.now):
        return
    if d.now.money_at in {"", "gone"} and d.now.set_aside is None:
        done = _S.COMPLETED if d.now.delivered else _S.REVERSED if d.now.refund_receipt else _S.FAILED
        known = d.now.failure_code
        told = {_S.REVERSED: code_of_end(known, GIVEN_BACK), _S.FAILED: code_of_end(known, CLOSED)}
        ended: dict[str, Any] = {"completed_at": d.at, "next_wake_at": None, "failure_code": told.get(done, "")}
        d.step(done, {"approval": e.approval}, **ended)
        d.close_review("*", "closed by staff")
