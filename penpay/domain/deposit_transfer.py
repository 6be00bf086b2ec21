"""The rules of a deposit behind the payment: dollars to the customer, or shillings back to the payer."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from penpay.domain import deposit_events as ev
from penpay.domain.deliveries import Delivery, newest_of
from penpay.domain.deposit import Deposit, State
from penpay.domain.deposit_standing import (
    STANDING,
    agreed_cost,
    all_paid,
    all_that_left,
    not_delivered,
    not_given_back,
    not_theirs,
)
from penpay.domain.draft import Draft
from penpay.domain.fx import exchange
from penpay.domain.ledger import AccountCode
from penpay.domain.money import Money
from penpay.domain.rail_end import ANOTHER_RECIPIENT
from penpay.domain.review_kinds import RECEIPT_MISSING
from penpay.domain.sent_dollars import no_longer_newest, paid_another
from penpay.domain.unit import OperationKind, OperationState

_S = State
_O = OperationState

AMOUNT_MISMATCH = "amount_mismatch"
"""The question about money of another amount than asked."""
WRONG_PAYER = "wrong_payer"
"""The question about money from another phone than was asked."""
CONTRADICTING_PAYMENT = "contradicting_payment"
"""The question about a second receipt."""
CONTRADICTING_TRANSFER = "contradicting_transfer"
"""The question about dollars that left otherwise than asked."""
CONTRADICTING_REFUND = "contradicting_refund"
"""The question about a Reversal that executed although it was given up."""
QUESTIONS_ABOUT_PAYMENT = frozenset({AMOUNT_MISMATCH, WRONG_PAYER})
"""The end of a transfer answers none of them either: people do."""


# --- dollars ----------------------------------------------------------------------------------------------------


def start_transfer(d: Draft[Deposit]) -> None:
    """Hold the shillings and record the intent to send the dollars."""
    assert d.now.paid is not None
    d.set(transfers=d.now.transfers + 1)
    d.post(d.books.deposit_hold(d.now.paid, d.now.transfers))
    d.open("transfer", OperationKind.DERIV_TRANSFER, d.now.receive, recipient=d.now.deriv_loginid)
    d.step(_S.DERIV_SENDING, name="TransferStarted", money_at="deriv_out", next_wake_at=d.later(d.rules.resend_s))
    d.effect("submit", d.now.transfer)


def deriv_confirmed(d: Draft[Deposit], e: ev.DerivConfirmed) -> None:
    """The dollars arrived: book the exchange. Anything that was not asked for like this is looked at."""
    if e.transaction_id in d.now.booked_transaction_ids:
        return
    no_longer_newest(d, d.now.deriv_transaction_id)
    d.reference("deriv_transaction", e.transaction_id, d.now.transfer)
    d.operation("transfer", _O.CONFIRMED, provider_ref=e.transaction_id)
    evidence = {"deriv_transaction_id": e.transaction_id, "proof": e.proof}
    if d.now.money_at != "deriv_out" or e.amount != d.now.receive:
        _unexpected(d, e, evidence)
        return
    assert d.now.paid is not None
    split = exchange(kes_minor=d.now.paid.minor, usd_minor=e.amount.minor, rate=d.now.rate)
    d.post(d.books.deposit_done(split, d.now.transfers))
    _delivered(d, e, paid=d.now.paid)
    if d.now.refund_receipt:
        d.to_review(CONTRADICTING_TRANSFER, "FINANCE", all_that_left(d), evidence, money_at="gone")
        return
    known: dict[str, Any] = {"money_at": "gone", "next_wake_at": None}
    if d.contradicted() or d.now.failure_code in QUESTIONS_ABOUT_PAYMENT:
        d.step(_S.IN_REVIEW, evidence, **known)
        return
    if d.now.state is _S.IN_REVIEW:
        answer_questions(d, "completed by evidence")
    d.step(_S.COMPLETED, evidence, completed_at=d.at, failure_code="", **known)


def _delivered(
    d: Draft[Deposit], e: ev.DerivConfirmed, *, paid: Money | None = None, source: AccountCode = AccountCode.CUSTOMER
) -> None:
    """Remember what the customer got, and which shillings paid for it."""
    one = Delivery(e.transaction_id, e.amount, paid=paid, paid_from="" if paid is None else source.value)
    d.set(deriv_transaction_id=e.transaction_id, delivered=(*d.now.delivered, one))


def answer_questions(d: Draft[Deposit], resolution: str) -> None:
    """Close what is open. Where no receipt was seen, that one is still to come."""
    d.close_review("*" if d.now.receipt else f"!{RECEIPT_MISSING}", resolution)


def _unexpected(d: Draft[Deposit], e: ev.DerivConfirmed, evidence: dict[str, str]) -> None:
    """Executed otherwise than asked, or after it was given up: the books follow what happened, and people look."""
    d.take_back()
    paid = d.now.paid
    if paid is not None and d.now.money_at in {AccountCode.DERIV_OUT, *STANDING}:
        cost = agreed_cost(d, paid, e.amount)
        source = AccountCode(d.now.money_at)
        times, undone = d.now.transfers, d.now.undone
        d.post(d.books.deposit_done_otherwise(paid, cost, times, source=source, undone=undone))
        _delivered(d, e, paid=paid, source=AccountCode.CUSTOMER if source is AccountCode.DERIV_OUT else source)
        all_paid(d, paid, cost)
    else:
        d.post(d.books.unasked(e.transaction_id, e.amount, asset=AccountCode.DERIV_AGENT))
        _delivered(d, e)
    d.to_review(CONTRADICTING_TRANSFER, "FINANCE", all_that_left(d), evidence)


def deriv_paid_another(d: Draft[Deposit], e: ev.DerivPaidAnother) -> None:
    """Somebody else got the dollars. Those of another transfer the customer has all the same."""

    def absent() -> None:
        transfer_absent(d, ANOTHER_RECIPIENT, attempts_closed=e.attempt)

    paid_another(
        d,
        e,
        held=d.now.transfer,
        amount=d.now.receive,
        absent=absent,
        not_theirs=partial(not_theirs, d),
        question=CONTRADICTING_TRANSFER,
    )
    d.set(deriv_transaction_id=newest_of(d.now.delivered))


def deriv_refused(d: Draft[Deposit], e: ev.DerivRefused) -> None:
    """Give the money back, or wait when the cause is ours. While an earlier attempt is unknown it proves nothing."""
    assert d.now.transfer is not None
    if not d.now.transfer.waits_only_for(e.attempt):
        d.step(d.now.state, {"code": e.code, "note": "a refusal proves nothing about an earlier attempt"})
    elif d.now.state is _S.IN_REVIEW:
        _over_in_review(d, e.code, e.attempt)
    elif e.hold:
        _hold_transfer(d, e.code, e.attempt)
    else:
        d.operation("transfer", _O.REFUSED, code=e.code, attempts_closed=e.attempt)
        _void_and_refund(d, "deriv_refused", e.code)


def deriv_not_sent(d: Draft[Deposit], e: ev.DerivNotSent) -> None:
    """Nothing left: wait and try again."""
    if d.now.state is not _S.IN_REVIEW:
        _hold_transfer(d, e.code, e.attempt)
    elif d.now.transfer is not None and d.now.transfer.waits_only_for(e.attempt):
        _over_in_review(d, e.code, e.attempt)


def _over_in_review(d: Draft[Deposit], code: str, attempt: int) -> None:
    """It was under way when the question came, and did nothing: people decide about shillings that are free."""
    transfer_absent(d, code, attempts_closed=attempt)
    d.step(_S.IN_REVIEW, {"code": code})


def _hold_transfer(d: Draft[Deposit], code: str, attempt: int) -> None:
    if d.intend_again("transfer", code=code, attempts_closed=attempt):
        d.step(_S.DERIV_HELD, {"code": code}, next_wake_at=d.later(d.rules.held_retry_s))
    else:
        transfer_absent(d, code, attempts_closed=attempt)
        d.frozen_to_review("a transfer", {"code": code})


def deriv_unknown(d: Draft[Deposit], e: ev.DerivOutcomeUnknown) -> None:
    """Only the statement can say what became of it."""
    if d.now.state is _S.IN_REVIEW:
        d.operation("transfer", _O.UNKNOWN, code=e.code)
        d.step(d.now.state, {"code": e.code})
        return
    d.operation("transfer", _O.UNKNOWN, code=e.code, unknown_attempt=e.attempt)
    d.step(_S.DERIV_UNKNOWN, {"code": e.code}, next_wake_at=d.later(d.rules.resolve_s))
    d.effect("resolve", d.now.transfer)


def deriv_absent(d: Draft[Deposit], e: ev.DerivAbsent) -> None:
    """Proven not executed: one more attempt, but not a third unknown. It says nothing about a later attempt."""
    assert d.now.transfer is not None
    if e.attempt < d.now.transfer.attempt:
        return
    if d.now.transfer.unknowns >= d.rules.unknowns_max:
        transfer_absent(d, e.proof)
        d.to_review(
            "transfer_unknown_twice", "OPS", "two attempts without an answer; both proven absent", {"proof": e.proof}
        )
    elif d.intend_again("transfer", attempts_closed=d.now.transfer.attempt):
        d.step(_S.DERIV_SENDING, {"proof": e.proof}, next_wake_at=d.later(d.rules.resend_s))
        d.effect("submit", d.now.transfer)
    else:
        transfer_absent(d, e.proof)
        d.frozen_to_review("another transfer", {"proof": e.proof})


def transfer_absent(d: Draft[Deposit], proof: str, *, attempts_closed: int | None = None) -> None:
    """It is over, and did nothing: the shillings are the customer's again, here."""
    d.operation("transfer", _O.REFUSED, code=proof[:64], attempts_closed=attempts_closed)
    if d.now.money_at == "deriv_out":
        not_delivered(d)


def deriv_ambiguous(d: Draft[Deposit], e: ev.DerivAmbiguous) -> None:
    """Nobody guesses about money."""
    d.to_review("transfer_ambiguous", "OPS", "more than one statement row could be this transfer", {"proof": e.proof})


# --- money back -------------------------------------------------------------------------------------------------


def _void_and_refund(d: Draft[Deposit], reason: str, code: str) -> None:
    assert d.now.paid is not None
    d.post(d.books.deposit_void(d.now.paid, d.now.transfers))
    start_refund(d, source=AccountCode.CUSTOMER, reason=reason, code=code)


def start_refund(d: Draft[Deposit], *, source: AccountCode, reason: str, code: str = "") -> None:
    """Hold the shillings for the way back."""
    assert d.now.paid is not None
    if d.occasion.frozen:
        d.set(money_at=source.value)
        d.frozen_to_review("a refund", {"reason": reason})
        return
    d.set(refunds=d.now.refunds + 1)
    d.post(d.books.refund_hold(d.now.paid, d.now.refunds, source=source))
    d.step(
        _S.REFUND_SENDING,
        {"reason": reason, "code": code},
        name="RefundStarted",
        money_at="refund_out",
        refund_from=source.value,
        failure_code=reason,
        next_wake_at=d.later(d.rules.resend_s),
        polls=0,
    )
    if d.now.receipt:
        open_refund(d)


def open_refund(d: Draft[Deposit]) -> None:
    """The Reversal names the original receipt; without one it waits for a callback or Pull to bring it."""
    assert d.now.paid is not None
    if d.occasion.frozen:
        d.frozen_to_review("a refund")
        return
    request = {"receipt": d.now.receipt}
    d.open("refund", OperationKind.REVERSAL, d.now.paid, recipient=d.now.phone_mask, request=lambda _: request)
    d.set(refund_conversation_id="", refund_originator_conversation_id="", doubted_at=None)
    d.effect("submit", d.now.refund)


def refund_accepted(d: Draft[Deposit], e: ev.RefundAccepted) -> None:
    """The result comes later."""
    d.operation("refund", _O.SENT)
    wake = None if d.now.state is _S.IN_REVIEW else d.later(d.rules.refund_probe_s)
    d.step(
        d.now.state,
        refund_conversation_id=e.conversation_id,
        refund_originator_conversation_id=e.originator_conversation_id,
        doubted_at=None,
        next_wake_at=wake,
    )


def refund_confirmed(d: Draft[Deposit], e: ev.RefundConfirmed) -> None:
    """The shillings left: done. A reversal that we did not ask for is looked at."""
    refund = d.now.refund
    if e.receipt == d.now.refund_receipt or (refund is not None and refund.state is _O.CONFIRMED):
        return
    d.reference("mpesa_reversal", e.receipt, d.now.refund)
    d.operation("refund", _O.CONFIRMED, provider_ref=e.receipt)
    if d.now.money_at != "refund_out" or d.now.paid is None:
        # A transfer that was only intended is off: then the shillings that left are those it was to be paid with.
        d.take_back()
        amount = d.now.paid or d.now.send
        stands = d.now.money_at in STANDING
        source = AccountCode(d.now.money_at) if stands else AccountCode.WRITE_OFF
        d.post(d.books.unasked(e.receipt, amount, asset=AccountCode.MPESA_PAYBILL, source=source))
        if stands:
            d.set(money_at="gone")
        d.set(refund_receipt=e.receipt)
        d.to_review(CONTRADICTING_REFUND, "FINANCE", all_that_left(d), {"receipt": e.receipt})
        return
    d.post(d.books.refund_done(d.now.paid, d.now.refunds))
    d.set(refund_receipt=e.receipt)
    gone = {"money_at": "gone"}
    another_amount = d.now.received not in {None, d.now.paid}
    if another_amount or d.now.delivered:
        # Reversed for the amount that was believed, although the receipt is of another one: how much did go back?
        doubt = f"; the payment was one of another amount: {d.now.receipt}" if another_amount else ""
        d.to_review(CONTRADICTING_REFUND, "FINANCE", all_that_left(d) + doubt, {"receipt": e.receipt}, **gone)
        return
    if d.contradicted():
        d.step(_S.IN_REVIEW, {"receipt": e.receipt}, next_wake_at=None, **gone)
        return
    d.step(_S.REVERSED, {"receipt": e.receipt}, completed_at=d.at, next_wake_at=None, **gone)
    d.close_review("*", "refunded by evidence")


def refund_absent(d: Draft[Deposit], code: str, *, attempts_closed: int | None = None) -> None:
    """It is over, and did nothing: the shillings stand where they came from."""
    d.operation("refund", _O.REFUSED, code=code, attempts_closed=attempts_closed)
    if d.now.money_at == "refund_out":
        not_given_back(d)


def refund_refused(d: Draft[Deposit], e: ev.RefundRefused) -> None:
    """The money stays visible where it was, and a person decides."""
    refund_absent(d, e.code)
    if d.now.delivered:
        # People look at it already, and the shillings have paid: there is nothing more to decide about them.
        d.step(_S.IN_REVIEW, {"code": e.code})
        return
    d.to_review("refund_refused", "FINANCE", f"Safaricom refused the Reversal: {e.code}")


def refund_not_sent(d: Draft[Deposit], e: ev.RefundNotSent) -> None:
    """Nothing left: wait and try again."""
    assert d.now.refund is not None
    if d.now.state is _S.IN_REVIEW:
        if d.now.refund.waits_only_for(e.attempt):
            refund_absent(d, e.code, attempts_closed=e.attempt)
        d.step(_S.IN_REVIEW, {"code": e.code})
    elif d.intend_again("refund", code=e.code, attempts_closed=e.attempt):
        d.step(_S.REFUND_SENDING, {"code": e.code}, next_wake_at=d.later(d.rules.held_retry_s))
    else:
        refund_absent(d, e.code, attempts_closed=e.attempt)
        d.frozen_to_review("a refund", {"code": e.code})


def refund_unknown(d: Draft[Deposit], e: ev.RefundOutcomeUnknown) -> None:
    """The provider's own refusal of a second reversal keeps this safe; its status is asked for."""
    d.operation("refund", _O.UNKNOWN, code=e.code)
    wake = None if d.now.state is _S.IN_REVIEW else d.later(d.rules.refund_probe_s)
    d.step(d.now.state, {"code": e.code}, next_wake_at=wake)


def refund_not_completed(d: Draft[Deposit], e: ev.RefundNotCompleted) -> None:
    """Without a failed result a status moves nothing. Said twice, and not at once, it is for people to look at."""
    reason = f"the status of the Reversal is {e.status}, and its result never came"
    _doubted(d, e.at, reason, {"status": e.status}, patience_s=d.rules.second_evidence_s)


def refund_untold(d: Draft[Deposit], _e: ev.RefundUntold) -> None:
    """No question can bring anything: once its result is late, people look."""
    if not d.now.refund_conversation_id:
        reason = "Safaricom neither acknowledged the Reversal nor told its result"
        _doubted(d, d.at, reason, {}, patience_s=d.rules.untold_s)


def _doubted(d: Draft[Deposit], at: datetime, reason: str, evidence: dict[str, str], *, patience_s: float) -> None:
    assert d.now.refund is not None
    if d.now.refund.state is _O.INTENT:
        return
    if d.now.doubted_at is None:
        d.step(d.now.state, evidence, doubted_at=at)
    elif at >= d.now.doubted_at + timedelta(seconds=patience_s):
        d.to_review("refund_overdue", "FINANCE", reason, evidence)


def slug(code: str) -> str:
    """A provider's code as part of one of ours."""
    return "".join(letter if letter.isalnum() else "_" for letter in code).lower()[:40]
