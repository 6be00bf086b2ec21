"""The rules of a withdrawal that cannot be paid out: the dollars go back to the customer's Deriv account."""

from functools import partial

from penpay.domain import withdrawal_events as ev
from penpay.domain.deliveries import Delivery, newest_of
from penpay.domain.draft import Draft
from penpay.domain.ledger import AccountCode
from penpay.domain.money import Money
from penpay.domain.rail_end import ANOTHER_RECIPIENT
from penpay.domain.sent_dollars import no_longer_newest, paid_another
from penpay.domain.unit import OperationKind, OperationState
from penpay.domain.withdrawal import State, Withdrawal
from penpay.domain.withdrawal_standing import CONTRADICTING_PAYOUT, claims_payout, not_returned, not_theirs

_S = State
_O = OperationState
CONTRADICTING_RETURN = "contradicting_return"
"""The question about dollars that went back although that was given up, or to somebody else."""


def start_return(d: Draft[Withdrawal], *, reason: str) -> None:
    """Take the payout's hold back, hold the dollars for the way back, and record the intent."""
    if d.now.money_at == "b2c_out":
        d.post(d.books.payout_void(d.now.send, d.now.payouts))
        d.set(money_at="customer")
    if d.occasion.frozen:
        d.frozen_to_review("a return", {"reason": reason})
        return
    d.set(returns=d.now.returns + 1)
    d.post(d.books.return_hold(d.now.send, d.now.returns))
    d.open("back", OperationKind.DERIV_RETURN, d.now.send, recipient=d.now.deriv_loginid)
    d.step(
        _S.RETURN_SENDING,
        {"reason": reason},
        name="ReturnStarted",
        money_at="deriv_out",
        failure_code=reason,
        polls=0,
        next_wake_at=d.later(d.rules.resend_s),
    )
    d.effect("submit", d.now.back)


def return_confirmed(d: Draft[Withdrawal], e: ev.ReturnConfirmed) -> None:
    """The dollars are back. Those of a return that had been given up are looked at."""
    if e.transaction_id in d.now.booked_transaction_ids:
        return
    no_longer_newest(d, d.now.return_transaction_id)
    d.reference("deriv_transaction", e.transaction_id, d.now.back)
    d.operation("back", _O.CONFIRMED, provider_ref=e.transaction_id)
    evidence = {"deriv_transaction_id": e.transaction_id, "proof": e.proof}
    if d.now.money_at != "deriv_out":
        claimed = claims_payout(d.now)
        _unexpected(d, e)
        d.to_review(CONTRADICTING_RETURN, "FINANCE", f"Deriv executed {d.now.send.text()} USD", evidence)
        _still_claimed(d, claimed=claimed)
        return
    d.post(d.books.return_done(d.now.send, d.now.returns, undone=d.now.undone))
    _delivered(d, e, paid=d.now.send)
    if d.contradicted():
        d.step(_S.IN_REVIEW, evidence, money_at="gone", next_wake_at=None)
        return
    d.step(_S.REVERSED, evidence, money_at="gone", completed_at=d.at, next_wake_at=None)
    d.close_review("*", "returned by evidence")
    d.effect("settled")


def _delivered(d: Draft[Withdrawal], e: ev.ReturnConfirmed, *, paid: Money | None) -> None:
    """Remember what the customer got, and whether the dollars that stood here went for it."""
    paid_from = "" if paid is None else AccountCode.CUSTOMER.value
    remember(d, Delivery(e.transaction_id, d.now.send, paid=paid, paid_from=paid_from))


def remember(d: Draft[Withdrawal], one: Delivery) -> None:
    """Dollars are back with the customer."""
    d.set(return_transaction_id=one.transaction_id, delivered=(*d.now.delivered, one))


def _unexpected(d: Draft[Withdrawal], e: ev.ReturnConfirmed) -> None:
    """Given back after it was given up: from the dollars where they stand, or out of our own pocket."""
    d.take_back()
    if d.now.money_at == AccountCode.CUSTOMER:
        d.post(d.books.returned_otherwise(d.now.send, undone=d.now.undone))
        _delivered(d, e, paid=d.now.send)
        d.set(money_at="gone")
    else:
        d.post(d.books.unasked(e.transaction_id, d.now.send, asset=AccountCode.DERIV_AGENT))
        _delivered(d, e, paid=None)


def return_paid_another(d: Draft[Withdrawal], e: ev.ReturnPaidAnother) -> None:
    """Somebody else got the dollars. Those of another return the customer has all the same."""

    def absent() -> None:
        back_absent(d, ANOTHER_RECIPIENT, attempts_closed=e.attempt)

    claimed = claims_payout(d.now)
    paid_another(
        d,
        e,
        held=d.now.back,
        amount=d.now.send,
        absent=absent,
        not_theirs=partial(not_theirs, d),
        question=CONTRADICTING_RETURN,
    )
    d.set(return_transaction_id=newest_of(d.now.delivered))
    _still_claimed(d, claimed=claimed)


def _still_claimed(d: Draft[Withdrawal], *, claimed: bool) -> None:
    """Whether shillings left is judged first, whatever became of the dollars meanwhile."""
    if claimed:
        d.set(failure_code=CONTRADICTING_PAYOUT)


def return_refused(d: Draft[Withdrawal], e: ev.ReturnRefused) -> None:
    """Wait when the cause is ours; otherwise the dollars stay visible as the customer's, and a person decides."""
    assert d.now.back is not None
    if d.now.state is _S.IN_REVIEW:
        _over_in_review(d, e)
    elif d.now.back.state is _O.UNKNOWN:
        d.step(_S.RETURN_SENDING, {"code": e.code, "note": "a refusal proves nothing about an earlier attempt"})
    elif e.hold:
        _hold(d, e.code, e.attempt)
    else:
        back_absent(d, e.code, attempts_closed=e.attempt)
        d.to_review("return_refused", "FINANCE", f"Deriv refused the return: {e.code}")


def return_not_sent(d: Draft[Withdrawal], e: ev.ReturnNotSent) -> None:
    """Nothing left: wait and try again."""
    if d.now.state is _S.IN_REVIEW:
        _over_in_review(d, e)
    else:
        _hold(d, e.code, e.attempt)


def _over_in_review(d: Draft[Withdrawal], e: ev.ReturnRefused | ev.ReturnNotSent) -> None:
    """It was under way when the question came, and did nothing: people decide about dollars that are free."""
    assert d.now.back is not None
    if d.now.back.waits_only_for(e.attempt):
        back_absent(d, e.code, attempts_closed=e.attempt)
    d.step(_S.IN_REVIEW, {"code": e.code})


def _hold(d: Draft[Withdrawal], code: str, attempt: int) -> None:
    if d.intend_again("back", code=code, attempts_closed=attempt):
        d.step(_S.RETURN_SENDING, {"code": code}, next_wake_at=d.later(d.rules.held_retry_s))
    else:
        back_absent(d, code, attempts_closed=attempt)
        d.frozen_to_review("a return", {"code": code})


def return_unknown(d: Draft[Withdrawal], e: ev.ReturnOutcomeUnknown) -> None:
    """Only the statement can say what became of it."""
    d.operation("back", _O.UNKNOWN, code=e.code, unknown_attempt=e.attempt)
    if d.now.state is _S.IN_REVIEW:
        d.step(_S.IN_REVIEW, {"code": e.code})
        return
    d.step(_S.RETURN_SENDING, {"code": e.code}, next_wake_at=d.later(d.rules.resolve_s))
    d.effect("resolve", d.now.back)


def return_absent(d: Draft[Withdrawal], e: ev.ReturnAbsent) -> None:
    """Proven not executed: one more attempt, but not a third unknown. It says nothing about a later attempt."""
    assert d.now.back is not None
    if e.attempt < d.now.back.attempt:
        return
    if d.now.back.unknowns >= d.rules.unknowns_max:
        back_absent(d, e.proof)
        d.to_review(
            "return_unknown_twice", "OPS", "two attempts without an answer; both proven absent", {"proof": e.proof}
        )
    elif d.intend_again("back", attempts_closed=d.now.back.attempt):
        d.step(_S.RETURN_SENDING, {"proof": e.proof}, next_wake_at=d.later(d.rules.resend_s))
        d.effect("submit", d.now.back)
    else:
        back_absent(d, e.proof)
        d.frozen_to_review("another return", {"proof": e.proof})


def back_absent(d: Draft[Withdrawal], proof: str, *, attempts_closed: int | None = None) -> None:
    """It is over, and did nothing: the dollars are the customer's again, here."""
    d.operation("back", _O.REFUSED, code=proof[:64], attempts_closed=attempts_closed)
    if d.now.money_at == "deriv_out":
        not_returned(d)


def return_ambiguous(d: Draft[Withdrawal], e: ev.ReturnAmbiguous) -> None:
    """Nobody guesses about money."""
    d.to_review("return_ambiguous", "OPS", "more than one statement row could be this return", {"proof": e.proof})
