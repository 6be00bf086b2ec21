"""The rules of a withdrawal behind the debit: shillings to the customer's phone, or the dollars back.

Safaricom de-duplicates the id of a payout, so the same payout may be sent again; another one only after two pieces of
evidence that lie apart: a final failed result, and a status that is not Completed.
"""

from datetime import timedelta

from penpay.domain import withdrawal_events as ev
from penpay.domain.draft import Draft
from penpay.domain.fx import Exchange, exchange
from penpay.domain.ids import uuid_text
from penpay.domain.ledger import AccountCode
from penpay.domain.payout_codes import Verdict, payout_fee, verdict
from penpay.domain.unit import OVER, OperationKind, OperationState
from penpay.domain.withdrawal import State, Withdrawal
from penpay.domain.withdrawal_return import start_return
from penpay.domain.withdrawal_standing import CONTRADICTING_PAYOUT, not_paid_out

_S = State
_O = OperationState


def start_payout(d: Draft[Withdrawal]) -> None:
    """Hold the dollars and record the intent to pay the shillings."""
    d.set(payouts=d.now.payouts + 1)
    d.post(d.books.payout_hold(d.now.send, d.now.payouts))
    d.set(money_at="b2c_out")
    open_payout(d)


def open_payout(d: Draft[Withdrawal]) -> None:
    """A payout with an id of its own, under the hold that stands."""
    d.open("payout", OperationKind.B2C, d.now.receive, recipient=d.now.phone_mask, request=_payout_request)
    d.step(
        _S.B2C_SENDING,
        name="PayoutStarted",
        conversation_id="",
        failed_code="",
        failed_at=None,
        declined_at=None,
        polls=0,
        next_wake_at=d.later(d.rules.resend_s),
    )
    d.effect("submit", d.now.payout)


def _payout_request(operation_id: str) -> dict[str, str]:
    return {"originator_conversation_id": uuid_text(operation_id)}


def payout_accepted(d: Draft[Withdrawal], e: ev.PayoutAccepted) -> None:
    """The result comes later. What a failed result said meanwhile still stands."""
    assert d.now.payout is not None
    known_as = e.conversation_id or uuid_text(d.now.payout.id)
    if d.now.failed_at is not None:
        d.step(d.now.state, conversation_id=known_as)
        return
    d.operation("payout", _O.SENT)
    if d.now.state is _S.IN_REVIEW:
        d.step(_S.IN_REVIEW, conversation_id=known_as)
        return
    d.step(_S.AWAITING_RESULT, conversation_id=known_as, next_wake_at=d.later(d.rules.status_after_s))


def payout_held(d: Draft[Withdrawal], e: ev.PayoutHeld) -> None:
    """Wait and send the same payout again. While an earlier try is unknown, a refusal says nothing about it."""
    if d.now.state is _S.IN_REVIEW:
        _held_in_review(d, e)
    elif d.now.state is _S.B2C_UNKNOWN:
        d.operation("payout", _O.UNKNOWN, code=e.code, unknown_attempt=e.attempt)
        d.step(_S.B2C_UNKNOWN, {"code": e.code}, next_wake_at=d.later(d.rules.refund_probe_s))
    elif d.intend_again("payout", code=e.code, attempts_closed=e.attempt):
        d.step(_S.B2C_HELD, {"code": e.code}, next_wake_at=d.later(d.rules.held_retry_s))
    else:
        payout_absent(d, e.code, attempts_closed=e.attempt)
        d.frozen_to_review("a payout", {"code": e.code})


def _held_in_review(d: Draft[Withdrawal], e: ev.PayoutHeld) -> None:
    """It was under way when the question came. If it was the only try, nothing was paid: the dollars are free.

    What was sent again has closed its attempts without knowing what they did.
    """
    assert d.now.payout is not None
    if d.now.payout.waits_only_for(e.attempt) and not d.now.payout.unknowns:
        payout_absent(d, e.code, attempts_closed=e.attempt)
    d.step(_S.IN_REVIEW, {"code": e.code})


def payout_unknown(d: Draft[Withdrawal], e: ev.PayoutOutcomeUnknown) -> None:
    """It may have been taken: the same id may be sent again, another one may not."""
    d.operation("payout", _O.UNKNOWN, code=e.code, unknown_attempt=e.attempt)
    if d.now.state is _S.IN_REVIEW:
        d.step(_S.IN_REVIEW, {"code": e.code})
        return
    d.step(_S.B2C_UNKNOWN, {"code": e.code}, next_wake_at=d.later(d.rules.refund_probe_s))


def payout_timed_out(d: Draft[Withdrawal], e: ev.PayoutTimedOut | ev.PayoutClaimed) -> None:
    """Safaricom's queue gave up waiting, which is no failure: the status says.

    A question about the status may time out just so, at the same address. What is asked about already keeps its pace:
    otherwise each answer would bring the next question, and the wake that calls a person would never come.
    """
    assert d.now.payout is not None
    if d.now.state is _S.IN_REVIEW:
        _doubted_in_review(d, e)
        return
    asked = d.now.state is _S.B2C_UNKNOWN
    if asked and d.now.payout.state is _O.UNKNOWN:
        return
    d.operation("payout", _O.UNKNOWN)
    if asked:
        d.step(_S.B2C_UNKNOWN)
        return
    d.step(_S.B2C_UNKNOWN, next_wake_at=d.later(d.rules.refund_probe_s))
    d.effect("probe_payout", d.now.payout)


def _doubted_in_review(d: Draft[Withdrawal], e: ev.PayoutTimedOut | ev.PayoutClaimed) -> None:
    """No wake asks there: this does, once, and after each claim. A question's own time-out is no claim."""
    assert d.now.payout is not None
    if d.now.payout.state is not _O.UNKNOWN:
        d.operation("payout", _O.UNKNOWN)
        d.step(_S.IN_REVIEW)
    elif isinstance(e, ev.PayoutTimedOut):
        return
    d.effect("probe_payout", d.now.payout)


def payout_paid(d: Draft[Withdrawal], e: ev.PayoutPaid) -> None:
    """P3. A payment that we had given up is looked at: the dollars may be on their way back."""
    if e.receipt == d.now.receipt:
        return
    if d.now.receipt and d.now.money_at != "b2c_out":
        # Paid and booked once. Whether a second receipt is a second payment, only people can find out.
        second = {"receipt": e.receipt, "source": e.source}
        d.to_review(CONTRADICTING_PAYOUT, "FINANCE", f"Safaricom names a second receipt: {e.receipt}", second)
        return
    reason = f"Safaricom paid out all the same: {e.receipt}"
    if d.now.money_at != "b2c_out" and e.source == "result":
        # Against what was proven twice a callback alone moves no books: the status tells.
        d.to_review(CONTRADICTING_PAYOUT, "FINANCE", reason, {"receipt": e.receipt, "source": e.source})
        d.effect("probe_payout", d.now.payout)
        return
    d.reference("mpesa_payout", e.receipt, d.now.payout)
    d.operation("payout", _O.CONFIRMED, provider_ref=e.receipt)
    evidence = {"receipt": e.receipt, "source": e.source}
    split = exchange(kes_minor=d.now.receive.minor, usd_minor=d.now.send.minor, rate=d.now.rate)
    if d.now.money_at != "b2c_out":
        _unexpected(d, e, split)
        if e.source == "staff":
            d.step(_S.IN_REVIEW, evidence, receipt=e.receipt)
        else:
            d.to_review(CONTRADICTING_PAYOUT, "FINANCE", reason, evidence, receipt=e.receipt)
        return
    d.post(d.books.payout_done(split, payout_fee(d.now.receive), d.now.payouts))
    if d.contradicted():
        d.step(_S.IN_REVIEW, evidence, receipt=e.receipt, money_at="gone", next_wake_at=None)
        return
    d.step(
        _S.COMPLETED,
        evidence,
        receipt=e.receipt,
        money_at="gone",
        completed_at=d.at,
        next_wake_at=None,
        failure_code="",
    )
    d.close_review("*", "completed by evidence")
    d.effect("settled")


def _unexpected(d: Draft[Withdrawal], e: ev.PayoutPaid, split: Exchange) -> None:
    """Paid after it was given up: from the dollars where they still stand, otherwise out of our own pocket."""
    d.take_back()
    if d.now.money_at == AccountCode.CUSTOMER:
        d.post(d.books.payout_done(split, payout_fee(d.now.receive), d.now.payouts, source=AccountCode.CUSTOMER))
        d.set(money_at="gone")
    else:
        d.post(d.books.unasked(e.receipt, d.now.receive, asset=AccountCode.MPESA_UTILITY))


def payout_failed(d: Draft[Withdrawal], e: ev.PayoutFailed) -> None:
    """The first of two pieces of evidence. After a completed payout it contradicts, and is looked at."""
    assert d.now.payout is not None
    if d.now.payout.state is _O.CONFIRMED:
        d.to_review("contradicting_result", "FINANCE", f"a failed result after all: {e.code}", {"code": e.code})
        return
    if d.now.failed_at is not None or d.now.payout.state in OVER:
        return
    d.operation("payout", _O.UNKNOWN, code=e.code)
    reviewed = d.now.state is _S.IN_REVIEW
    to, wake = (_S.IN_REVIEW, None) if reviewed else (_S.B2C_UNKNOWN, d.later(d.rules.second_evidence_s))
    d.step(to, {"code": e.code}, failed_code=e.code, failed_at=e.at, polls=0, next_wake_at=wake)
    if verdict(e.code) is Verdict.STOP:
        d.effect("stop_payouts", d.now.payout)


def payout_not_completed(d: Draft[Withdrawal], e: ev.PayoutNotCompleted) -> None:
    """The second piece of evidence, if it is one: later than the failed result by more than a moment."""
    failed_at = d.now.failed_at
    apart = failed_at is not None and e.at >= failed_at + timedelta(seconds=d.rules.second_evidence_s)
    if not apart:
        _declined(d, e)
        return
    if d.now.state is _S.IN_REVIEW:
        payout_absent(d, d.now.failed_code)
        d.step(_S.IN_REVIEW, {"status": e.status})
        return
    d.operation("payout", _O.REFUSED, code=d.now.failed_code)
    match verdict(d.now.failed_code):
        case Verdict.LATER | Verdict.STOP:
            d.step(_S.B2C_HELD, {"status": e.status}, next_wake_at=d.later(d.rules.held_retry_s))
        case Verdict.GIVE_BACK:
            start_return(d, reason="payout_refused")
        case Verdict.UNCLEAR:
            d.to_review("payout_refused", "OPS", f"Safaricom's code {d.now.failed_code} does not say what to do")


def _declined(d: Draft[Withdrawal], e: ev.PayoutNotCompleted) -> None:
    """Without a failed result, or too soon behind one, it moves nothing.

    Where no result comes it is for people to look at, once it was said twice and not at once.
    """
    since = d.now.declined_at
    alone = d.now.failed_at is None and d.now.state is not _S.IN_REVIEW
    if alone and since is not None and e.at >= since + timedelta(seconds=d.rules.second_evidence_s):
        reason = f"the status of the payout is {e.status}, and its result never came"
        d.to_review("payout_unknown", "OPS", reason, {"status": e.status})
        return
    d.step(d.now.state, {"status": e.status}, declined_at=(since or e.at) if alone else since)


def payout_absent(d: Draft[Withdrawal], code: str, *, attempts_closed: int | None = None) -> None:
    """It is over, and nothing was paid: the dollars are the customer's again, here."""
    d.operation("payout", _O.REFUSED, code=code, attempts_closed=attempts_closed)
    if d.now.money_at == "b2c_out":
        not_paid_out(d)
