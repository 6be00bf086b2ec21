"""What people decide about a withdrawal in review: always two of them, named in the event with what they rest it on."""

from collections.abc import Mapping
from typing import Any

from penpay.domain import withdrawal_debit as debit
from penpay.domain import withdrawal_events as ev
from penpay.domain import withdrawal_payout as payout
from penpay.domain import withdrawal_return as back
from penpay.domain.deliveries import Delivery
from penpay.domain.draft import Draft
from penpay.domain.ledger import AccountCode
from penpay.domain.review_kinds import code_of_end
from penpay.domain.sent_dollars import no_longer_newest
from penpay.domain.unit import OperationState
from penpay.domain.withdrawal import State, Withdrawal
from penpay.domain.withdrawal_standing import claims_payout

_S = State
GIVEN_BACK = "returned_by_review"
CLOSED = "closed_by_review"


def parked(d: Draft[Withdrawal], e: ev.Parked) -> None:
    """It crashed too often: a person takes over."""
    d.to_review("parked", "OPS", "the saga crashed too often", {"error": e.error})


def _is_free(d: Draft[Withdrawal]) -> bool:
    """Whether the dollars stand here and are nobody else's. A claimed payout is judged first."""
    return d.now.money_at == AccountCode.CUSTOMER and not claims_payout(d.now)


def staff_paid(d: Draft[Withdrawal], e: ev.StaffPaid) -> None:
    """Two people decided to pay out."""
    if _is_free(d) and d.now.set_aside is None:
        d.step(_S.IN_REVIEW, {"approval": e.approval}, failure_code="")
        d.close_review("*", "paid by staff")
        payout.start_payout(d)


def staff_returned(d: Draft[Withdrawal], e: ev.StaffReturned) -> None:
    """Two people decided to give the dollars back."""
    if _is_free(d) and d.now.set_aside is None:
        d.step(_S.IN_REVIEW, {"approval": e.approval})
        d.close_review("*", "returned by staff")
        back.start_return(d, reason=GIVEN_BACK)


def staff_proved(d: Draft[Withdrawal], e: ev.StaffProved) -> None:
    """Two people know how the open operation ended. What they know is evidence; later evidence may contradict it.

    A debit whose dollars nobody has seen arrive counts as open: `executed` names the agent's credit. The id of the
    debit itself says nothing about that: it is the first telling, told again. If they never came, because Deriv gave
    them back, that is settled.
    """
    claimed = claims_payout(d.now)
    slot = "witness" if d.now.money_at == "deriv_in" else d.unfinished() or ("payout" if claimed else "")
    if not slot or (slot == "witness" and (not e.executed or e.reference == d.now.debit_transaction_id)):
        return
    d.step(_S.IN_REVIEW, {"approval": e.approval, "operation": slot, "executed": "yes" if e.executed else "no"})
    match slot, e.executed:
        case "witness", _:
            seen = ev.WitnessSeen(transaction_id=e.reference, amount=e.arrived or d.now.send)
            debit.witness_found(d, seen, was_nobodys=e.arrived is not None)
        case "debit", True:
            confirmed = ev.DebitConfirmed(transaction_id=e.reference, amount=d.now.send, proof="staff")
            debit.debit_confirmed(d, confirmed)
        case "debit", False:
            d.operation("debit", OperationState.REFUSED, code="staff")
        case "payout", True:
            payout.payout_paid(d, ev.PayoutPaid(receipt=e.reference, source="staff"))
        case "payout", False if claimed:
            d.set(failure_code="")
        case "payout", False:
            payout.payout_absent(d, "staff")
        case _, True:
            returned = ev.ReturnConfirmed(transaction_id=e.reference, proof="staff")
            back.return_confirmed(d, returned)
        case _:
            back.back_absent(d, "staff")


def staff_settled(d: Draft[Withdrawal], e: ev.StaffSettled) -> None:
    """Dollars are back, as two people know: all that stand here, or only what was set aside beside the rest.

    They gave them back by hand; or Deriv did, and the dollars of the debit never arrived here.
    """
    evidence = {"approval": e.approval, "deriv_transaction_id": e.reference}
    aside, rest = d.now.set_aside, _is_free(d) and not e.surplus_only
    if d.now.money_at == AccountCode.DERIV_IN and not e.surplus_only:
        _debit_undone(d, e, evidence)
        return
    if aside is None and not rest:
        return
    d.reference("deriv_transaction", e.reference, d.now.debit)
    if aside is not None:
        d.post(d.books.settled_by_hand(e.reference, aside, AccountCode.SUSPENSE, aside=True))
        d.step(_S.IN_REVIEW, evidence, set_aside=None)
    if rest:
        d.post(d.books.settled_by_hand(e.reference, d.now.send, AccountCode.CUSTOMER))
        _by_hand(d, e, AccountCode.CUSTOMER)
        _given_back(d, evidence, failure_code=code_of_end(d.now.failure_code, GIVEN_BACK))


def _debit_undone(d: Draft[Withdrawal], e: ev.StaffSettled, evidence: Mapping[str, str]) -> None:
    """The id of the debit itself says nothing about that. Its undoing is a movement of the customer's account, too.

    So its id is no `deriv_transaction`: those are looked for in the agent's list.
    """
    if e.reference == d.now.debit_transaction_id:
        return
    d.reference("deriv_debit", e.reference, d.now.debit)
    d.post(d.books.debit_undone(d.now.send))
    _by_hand(d, e, AccountCode.DERIV_IN)
    _given_back(d, evidence, failure_code="debit_undone")


def _by_hand(d: Draft[Withdrawal], e: ev.StaffSettled, source: AccountCode) -> None:
    """Remembered as any other: a reply may still name somebody else who got what people took for theirs."""
    no_longer_newest(d, d.now.return_transaction_id)
    back.remember(d, Delivery(e.reference, d.now.send, paid=d.now.send, paid_from=source.value))


def _given_back(d: Draft[Withdrawal], evidence: Mapping[str, str], *, failure_code: str) -> None:
    ended: dict[str, Any] = {"money_at": "gone", "completed_at": d.at, "next_wake_at": None}
    d.step(_S.REVERSED, evidence, failure_code=failure_code, **ended)
    d.close_review("*", "settled by staff")


def staff_closed(d: Draft[Withdrawal], e: ev.StaffClosed) -> None:
    """Two people decided that nothing is held and nothing remains to be done. A claimed payout is judged first.

    Given back is what has an id of it at Deriv; where nothing was paid and nothing has one, it is closed, and says so.
    """
    if claims_payout(d.now):
        return
    if d.now.money_at in {"", "gone"} and d.now.set_aside is None:
        done = _S.COMPLETED if d.now.receipt else _S.REVERSED if d.now.delivered else _S.FAILED
        known = d.now.failure_code
        told = {_S.REVERSED: code_of_end(known, GIVEN_BACK), _S.FAILED: code_of_end(known, CLOSED)}
        ended: dict[str, Any] = {"completed_at": d.at, "next_wake_at": None, "failure_code": told.get(done, "")}
        d.step(done, {"approval": e.approval}, **ended)
        d.close_review("*", "closed by staff")
