"""The rules of a withdrawal that cannot be paid out: the dollars go back to the customer's Deriv account."""

from penpay.domain import withdrawal_events as ev
from penpay.domain.draft import Draft
from penpay.domain.fx import exchange
from penpay.domain.ledger import AccountCode
from penpay.domain.money import usd
from penpay.domain.payout_codes import payout_fee
from penpay.domain.rail_end import ANOTHER_RECIPIENT
from penpay.domain.sent_dollars import no_longer_newest, paid_another
from penpay.domain.unit import OperationKind, OperationState
from penpay.domain.withdrawal import State, Withdrawal

_S = State
_O = OperationState
CONTRADICTING_RETURN = "contradicting_return"
"""The question about dollars that went back otherwise than asked."""


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
    """The dollars are back. Anything that was not asked for like this is looked at."""
    if e.transaction_id in d.now.booked_transaction_ids:
        return
    no_longer_newest(d, d.now.return_transaction_id)
    d.reference("deriv_transaction", e.transaction_id, d.now.back)
    d.operation("back", _O.CONFIRMED, provider_ref=e.transaction_id)
    evidence = {"deriv_transaction_id": e.transaction_id, "proof": e.proof}
    known = {"return_transaction_id": e.transaction_id}
    if d.now.money_at != "deriv_out" or e.amount != d.now.send:
        _unexpected(d, e)
        d.to_review(CONTRADICTING_RETURN, "FINANCE", f"Deriv executed {e.amount.text()} USD", evidence, **known)
        return
    d.post(d.books.return_done(d.now.send, d.now.returns))
    if d.contradicted():
        d.step(_S.IN_REVIEW, evidence, money_at="gone", next_wake_at=None, **known)
        return
    d.step(_S.REVERSED, evidence, money_at="gone", completed_at=d.at, next_wake_at=None, **known)
    d.close_review("*", "returned by evidence")
    d.effect("settled")


def _unexpected(d: Draft[Withdrawal], e: ev.ReturnConfirmed) -> None:
    """Given back otherwise than asked: from the dollars where they stand, or out of our own pocket."""
    d.take_back()
    if d.now.money_at in {AccountCode.DERIV_OUT, AccountCode.CUSTOMER}:
        source = AccountCode(d.now.money_at)
        d.post(d.books.returned_otherwise(d.now.send, e.amount, d.now.returns, source=source))
        d.set(money_at="gone")
        set_aside(d, d.now.send.minor - e.amount.minor)
    else:
        d.post(d.books.unasked(e.transaction_id, e.amount, asset=AccountCode.DERIV_AGENT))


def return_paid_another(d: Draft[Withdrawal], e: ev.ReturnPaidAnother) -> None:
    """Somebody else got the dollars."""

    def absent() -> None:
        back_absent(d, ANOTHER_RECIPIENT, attempts_closed=e.attempt)

    paid_another(d, e, held=d.now.back, amount=d.now.send, absent=absent, question=CONTRADICTING_RETURN)


def set_aside(d: Draft[Withdrawal], minor: int) -> None:
    """Remember dollars in suspense beside where the rest stands; nothing or less is no money."""
    known = d.now.set_aside.minor if d.now.set_aside is not None else 0
    if minor > 0:
        d.set(set_aside=usd(known + minor))


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
        _not_returned(d)


def _not_returned(d: Draft[Withdrawal]) -> None:
    """The dollars stand here again. If shillings were paid out meanwhile, they are what pays for them."""
    now = d.now
    d.post(d.books.return_void(now.send, now.returns))
    if now.receipt:
        split = exchange(kes_minor=now.receive.minor, usd_minor=now.send.minor, rate=now.rate)
        d.post(d.books.payout_covered(split, payout_fee(now.receive)))
    d.set(money_at="gone" if now.receipt else "customer")


def return_ambiguous(d: Draft[Withdrawal], e: ev.ReturnAmbiguous) -> None:
    """Nobody guesses about money."""
    d.to_review("return_ambiguous", "OPS", "more than one statement row could be this return", {"proof": e.proof})


def give_back(d: Draft[Withdrawal]) -> None:
    """What was held for an intent that was taken back, or for a payout that is known to have failed, is free again."""
    now, gone = d.now, _O.WITHDRAWN
    if now.money_at == "b2c_out" and now.payout is not None and now.payout.state in {gone, _O.REFUSED}:
        d.post(d.books.payout_void(now.send, now.payouts))
        d.set(money_at="customer")
    if now.money_at == "deriv_out" and now.back is not None and now.back.state is gone:
        _not_returned(d)
