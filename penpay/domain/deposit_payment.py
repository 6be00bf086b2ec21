"""The rules of a deposit up to the money: the push, the payer's answer, and every way in which money arrives."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from penpay.domain import deposit_events as ev
from penpay.domain.deposit import Deposit, State
from penpay.domain.deposit_standing import STANDING, set_aside
from penpay.domain.deposit_transfer import (
    AMOUNT_MISMATCH,
    CONTRADICTING_PAYMENT,
    WRONG_PAYER,
    open_refund,
    slug,
    start_refund,
    start_transfer,
)
from penpay.domain.draft import Draft
from penpay.domain.ledger import AccountCode
from penpay.domain.presentation import time_text
from penpay.domain.rail_end import AGENT_FUNDS
from penpay.domain.review_kinds import RECEIPT_MISSING
from penpay.domain.unit import OperationState

_S = State
_O = OperationState
_KNOW_NO_AMOUNT = frozenset({"query", "staff"})
"""Sources that say that it was paid, and not how much."""
_GIVEN_BACK = frozenset({_S.REFUND_SENDING, _S.REVERSED})
"""A Reversal gives back to whoever paid."""
NO_CLAIM: Mapping[str, Any] = {
    "held_receipt": "",
    "held_paid_at": None,
    "held_amount": None,
    "held_stranger": False,
    "held_checkout_id": "",
}
"""What is remembered of a claim of payment once it is known to be none."""


# --- the push ---------------------------------------------------------------------------------------------------


def stk_started(d: Draft[Deposit], _e: ev.StkStarted) -> None:
    """The intent is recorded; before anyone is asked to pay, Deriv says whether the recipient can receive."""
    d.step(_S.STK_SENDING, next_wake_at=d.later(d.rules.resend_s))
    d.effect("check_recipient")


def recipient_checked(d: Draft[Deposit], e: ev.RecipientChecked) -> None:
    """Push, or end before anyone was asked to pay. A check that passed is a cache: it is made again after a crash."""
    if e.ok:
        d.effect("submit", d.now.stk)
    elif e.code == AGENT_FUNDS:
        fail(d, "float_low", _O.WITHDRAWN, evidence={"code": e.code})
    else:
        fail(d, "recipient_refused", _O.WITHDRAWN, evidence={"code": e.code})


def stk_accepted(d: Draft[Deposit], e: ev.StkAccepted) -> None:
    """A prompt is on its way: wait for the payer. A payment that was claimed meanwhile can now be asked about."""
    d.operation("stk", _O.SENT)
    if e.checkout_request_id and d.now.held_checkout_id not in {"", e.checkout_request_id}:
        _drop_claim(d)
    reviewed = d.now.state is _S.IN_REVIEW
    wake = e.pushed_at + timedelta(seconds=d.rules.stk_poll_ladder_s[0])
    d.step(
        _S.IN_REVIEW if reviewed else _S.AWAITING_PAYER,
        {"checkout_request_id": e.checkout_request_id},
        checkout_request_id=e.checkout_request_id,
        pushed_at=e.pushed_at,
        polls=0,
        next_wake_at=None if reviewed else wake,
    )
    if d.now.held_receipt:
        d.effect("probe_stk", d.now.stk)


def _drop_claim(d: Draft[Deposit]) -> None:
    """It named another push than ours: a person looks at it, as at every callback that belongs elsewhere."""
    claim = {"checkout_request_id": d.now.held_checkout_id, "receipt": d.now.held_receipt}
    d.review("evidence_unusable", "OPS", "the callback speaks of another CheckoutRequestID", claim)
    d.set(**NO_CLAIM)


def stk_refused(d: Draft[Deposit], e: ev.StkRefused) -> None:
    """No prompt was shown."""
    if d.now.state is _S.IN_REVIEW:
        _ended_in_review(d, e.code)
        return
    fail(d, "stk_refused", _O.REFUSED, evidence={"code": e.code})


def stk_not_sent(d: Draft[Deposit], e: ev.StkNotSent) -> None:
    """Nothing left: try again while the intent is young."""
    if d.now.state is _S.IN_REVIEW:
        _ended_in_review(d, e.code, attempts_closed=e.attempt)
    elif e.expired or d.age_s(d.now.created_at) >= d.rules.stk_intent_max_s:
        fail(d, "stk_not_sent", _O.REFUSED, evidence={"code": e.code}, attempts_closed=e.attempt)
    elif d.intend_again("stk", attempts_closed=e.attempt):
        d.step(_S.STK_SENDING, {"code": e.code}, next_wake_at=d.later(d.rules.resend_s))
    else:
        fail(d, "account_frozen", _O.REFUSED, evidence={"code": e.code}, attempts_closed=e.attempt)


def _ended_in_review(d: Draft[Deposit], code: str, *, attempts_closed: int | None = None) -> None:
    """The push was under way when the question came, and nobody paid: people close it. A claim of payment is theirs."""
    d.operation("stk", _O.REFUSED, code=code, attempts_closed=attempts_closed)
    d.step(_S.IN_REVIEW, {"code": code})


def stk_unknown(d: Draft[Deposit], e: ev.StkOutcomeUnknown) -> None:
    """The customer may have a prompt: never push again, look for the payment instead."""
    d.operation("stk", _O.UNKNOWN, code=e.code)
    if d.now.state is _S.IN_REVIEW:
        d.step(_S.IN_REVIEW, {"code": e.code}, pushed_at=e.attempted_at)
        return
    d.step(
        _S.STK_UNKNOWN,
        {"code": e.code},
        pushed_at=e.attempted_at,
        polls=0,
        next_wake_at=d.later(d.rules.stk_poll_ladder_s[0]),
    )


def cancel(d: Draft[Deposit], _e: ev.CancelRequested) -> None:
    """The customer changed their mind before anything was attempted."""
    fail(d, "cancelled", _O.WITHDRAWN)


def fail(
    d: Draft[Deposit],
    code: str,
    stk: OperationState,
    *,
    evidence: Mapping[str, str] | None = None,
    attempts_closed: int | None = None,
) -> None:
    """End without money having moved. An intent that was attempted after all cannot be withdrawn: nothing changes.

    Whoever said so may be wrong: a payment that the watch finds in the list re-opens the deposit as every late one.
    """
    if stk is _O.WITHDRAWN and d.occasion.attempted:
        return
    _answered(d)
    d.operation("stk", stk, code=code, attempts_closed=attempts_closed)
    d.step(_S.FAILED, evidence, failure_code=code, completed_at=d.at, polls=0, next_wake_at=None)
    d.effect("settled")


def _answered(d: Draft[Deposit]) -> None:
    """Evidence came after all: nobody needs to look any more."""
    if d.now.asked_staff_at is not None:
        d.close_review("payment_awaited", "answered by evidence")


# --- money arrives ----------------------------------------------------------------------------------------------


def paid(d: Draft[Deposit], e: ev.MpesaPaid) -> None:
    """Money, or a claim of money. What fits is credited, everything else is booked aside and looked at.

    Nobody pays after we heard of it: a provider's time that is ahead of ours says nothing more.
    """
    e = replace(e, paid_at=min(e.paid_at, d.at) if e.paid_at else None)
    if d.now.paid is not None:
        _paid_again(d, e)
    elif d.now.state is _S.IN_REVIEW:
        # What a stranger says moves no books; if it is true, the list of payments says so as well.
        if e.known_sender:
            _book(d, _as_claimed(d, e), late=False, reviewed="payment_in_review")
    elif not e.trusted or (d.now.verify_first and e.source == "callback"):
        _hold_evidence(d, e)
    else:
        _take(d, _as_claimed(d, e))


def _take(d: Draft[Deposit], e: ev.MpesaPaid) -> None:
    """Money that nobody doubts: judged by what was asked, of whom, and until when."""
    if e.amount != d.now.send:
        _book(d, e, late=False, reviewed=AMOUNT_MISMATCH)
    elif not e.payer_matches:
        _book(d, e, late=False, reviewed=WRONG_PAYER)
    else:
        _book(d, e, late=_late(d, e), reviewed="account_frozen" if d.occasion.frozen else "")


def _hold_evidence(d: Draft[Deposit], e: ev.MpesaPaid) -> None:
    """A claim of payment that an authenticated query must confirm first.

    What a stranger says of receipt, amount, time and payer is not kept: no query confirms any of it. One that confirms
    the payment says what it says without a claim, and the list of payments tells the rest.
    """
    said = e.receipt
    if not e.known_sender:
        e = replace(e, amount=d.now.send, receipt="", paid_at=None, payer_matches=True)
    if d.now.held_receipt and (d.now.held_receipt != "unknown" or not e.receipt):
        return
    d.step(
        d.now.state,
        {"source": e.source, "receipt": said, "held_for": "query"},
        held_receipt=e.receipt or "unknown",
        held_paid_at=e.paid_at,
        held_amount=e.amount if e.receipt else None,
        held_stranger=not e.payer_matches,
        held_checkout_id=e.checkout_request_id,
        polls=0,
        next_wake_at=d.later(d.rules.stk_poll_ladder_s[0]),
    )
    probe_payment(d)


def claims_payment(deposit: Deposit) -> bool:
    """Whether somebody said that it was paid, and nobody has confirmed or denied it."""
    return bool(deposit.held_receipt) and deposit.paid is None


def _as_claimed(d: Draft[Deposit], e: ev.MpesaPaid) -> ev.MpesaPaid:
    """A confirmation without an amount and a payer confirms those of the claim."""
    if e.source not in _KNOW_NO_AMOUNT or not d.now.held_receipt:
        return e
    return replace(e, amount=d.now.held_amount or e.amount, payer_matches=not d.now.held_stranger)


def _late(d: Draft[Deposit], e: ev.MpesaPaid) -> bool:
    """Paid by the provider's clock too long after the push for the locked rate. A query names no time: in time.

    A push that was not acknowledged yet may have waited for its turn as long as one may.
    """
    paid_at = e.paid_at or d.now.held_paid_at
    pushed_at = d.now.pushed_at or d.now.created_at + timedelta(seconds=d.rules.stk_intent_max_s)
    return paid_at is not None and paid_at > pushed_at + timedelta(seconds=d.rules.paid_in_time_s)


def _book(d: Draft[Deposit], e: ev.MpesaPaid, *, late: bool, reviewed: str) -> None:
    """P1, and what it opens: the transfer, a refund (paid too late), or a question to a person."""
    receipt = e.receipt or (d.now.held_receipt if d.now.held_receipt != "unknown" else "")
    suspense = late or reviewed in {AMOUNT_MISMATCH, WRONG_PAYER, "payment_in_review"}
    if receipt:
        d.reference("mpesa_receipt", receipt, d.now.stk)
    _answered(d)
    d.operation("stk", _O.CONFIRMED, provider_ref=receipt)
    d.post(d.books.suspense(e.amount) if suspense else d.books.deposit_paid(e.amount))
    paid_at = e.paid_at or d.now.held_paid_at or d.now.pushed_at or d.at
    evidence = {"source": e.source, "receipt": receipt, "amount": e.amount.text()}
    first = d.now.state if d.now.state is _S.IN_REVIEW else _S.PAID
    d.step(
        first,
        evidence,
        paid=e.amount,
        paid_at=paid_at,
        paid_by=e.source,
        receipt=receipt,
        completed_at=None,
        failure_code="",
        money_at="suspense" if suspense else "customer",
        next_wake_at=None,
    )
    d.effect("settled")
    if e.source in _KNOW_NO_AMOUNT and e.amount != d.now.send:
        # Taken from a claim: the list of payments knows.
        d.effect("probe_pull", d.now.stk)
    if not receipt:
        pushed_at = time_text(d.now.pushed_at or d.now.created_at)
        asked = {"amount": e.amount.text(), "payer": d.now.phone_mask, "pushed_at": pushed_at}
        d.review(
            RECEIPT_MISSING, "FINANCE", "credited on a query's word: the receipt comes from a callback or Pull", asked
        )
        d.effect("probe_pull", d.now.stk)
    if reviewed:
        d.to_review(
            reviewed, "FINANCE" if suspense else "COMPLIANCE", f"payment of {e.amount.text()} KES needs a decision"
        )
    elif late:
        start_refund(d, source=AccountCode.SUSPENSE, reason="paid_late")
    else:
        start_transfer(d)


def _paid_again(d: Draft[Deposit], e: ev.MpesaPaid) -> None:
    """More evidence for a deposit that is paid already: it may bring the receipt, and then posts nothing."""
    if not e.trusted or not e.receipt:
        return
    known = d.now.received or d.now.paid
    if e.receipt == d.now.receipt and (e.source != "pull" or e.amount == known):
        return
    if (d.now.receipt and e.receipt != d.now.receipt) or d.now.received is not None:
        reason = f"second payment evidence: {e.receipt} of {e.amount.text()} KES"
        d.to_review(CONTRADICTING_PAYMENT, "FINANCE", reason)
        return
    if e.amount != d.now.paid:
        _correct(d, e)
        return
    d.reference("mpesa_receipt", e.receipt, d.now.stk)
    d.close_review(RECEIPT_MISSING, "receipt attached")
    evidence = {"receipt": e.receipt, "source": e.source}
    if e.payer_matches or d.now.state in _GIVEN_BACK:
        d.step(d.now.state, evidence, receipt=e.receipt)
    else:
        reason = f"credited on a query's word, and {e.receipt} was paid from another phone"
        d.to_review(WRONG_PAYER, "FINANCE", reason, evidence, receipt=e.receipt, failure_code=WRONG_PAYER)
    if d.now.state is _S.REFUND_SENDING and d.now.refund is None:
        open_refund(d)


def _correct(d: Draft[Deposit], e: ev.MpesaPaid) -> None:
    """A query, which knows no amount, was believed about the asked one; the receipt names another.

    The books follow the money: what is still with us stands in suspense as it arrived, and of what has left already
    the difference is set aside. Nothing more happens before people have looked.
    """
    believed = d.now.paid
    assert believed is not None
    if e.receipt != d.now.receipt:
        d.reference("mpesa_receipt", e.receipt, d.now.stk)
    d.close_review(RECEIPT_MISSING, "receipt attached")
    reason = f"M-Pesa's query was taken for {believed.text()} KES, its receipt {e.receipt} says {e.amount.text()} KES"
    evidence = {"receipt": e.receipt, "amount": e.amount.text(), "source": e.source}
    d.to_review(AMOUNT_MISMATCH, "FINANCE", reason, evidence, receipt=e.receipt, failure_code=AMOUNT_MISMATCH)
    if d.now.money_at in STANDING:
        source = AccountCode(d.now.money_at)
        d.post(d.books.payment_corrected(believed, e.amount, source=source))
        d.set(paid=e.amount, received=e.amount, money_at=AccountCode.SUSPENSE.value)
    else:
        d.post(d.books.payment_corrected(believed, e.amount))
        d.set(received=e.amount)
        set_aside(d, e.amount.minor - believed.minor)


def refused_by_payer(d: Draft[Deposit], e: ev.MpesaRefused) -> None:
    """Final from a callback; from a query only behind the grace and said twice; never while a payment is claimed."""
    if d.now.state is _S.IN_REVIEW:
        if e.final and e.source == "callback":
            _ended_in_review(d, e.code)
        return
    early = d.age_s(d.now.pushed_at or d.now.created_at) < d.rules.stk_grace_s
    if not e.final:
        if e.source == "query":
            query_pending(d, e)
    elif not d.now.held_receipt and (e.source == "callback" or (not early and d.now.failed_queries >= 1)):
        fail(d, "mpesa_" + slug(e.code), _O.REFUSED, evidence={"code": e.code, "source": e.source})
    elif e.source == "query" and not early:
        if not d.now.failed_queries:
            # A receipt in the list outranks what queries say: it is looked for before the second one is believed.
            d.effect("probe_pull", d.now.stk)
        d.step(
            d.now.state,
            {"code": e.code, "source": e.source},
            failed_queries=d.now.failed_queries + 1,
            next_wake_at=d.later(d.rules.stk_poll_ladder_s[0]),
        )


def query_pending(d: Draft[Deposit], _e: ev.QueryPending | ev.MpesaRefused) -> None:
    """An answer without a verdict breaks a row of failed ones."""
    if d.now.failed_queries:
        d.step(d.now.state, failed_queries=0)


def pull_clean(d: Draft[Deposit], e: ev.PullClean) -> None:
    """Absence from the provider's list counts only behind a quarter of an hour and without a claim."""
    since = d.now.pushed_at or d.now.created_at
    patient = d.age_s(since) >= d.rules.stk_unknown_min_s and e.until >= since + timedelta(
        seconds=d.rules.stk_unknown_min_s
    )
    if d.now.state is _S.STK_UNKNOWN and patient and not d.now.held_receipt:
        fail(d, "not_paid", _O.REFUSED, evidence={"pull_until": e.until.isoformat()})


def probe_payment(d: Draft[Deposit]) -> None:
    """Ask about the push itself where its id is known, otherwise look for the reference in the list of payments.

    In turns where the push is unknown or a payment is claimed: the list shows what a query may never tell.
    """
    doubted = d.now.state is _S.STK_UNKNOWN or bool(d.now.held_receipt)
    if d.now.known_checkout_id and (not doubted or d.now.polls % 2 == 0):
        d.effect("probe_stk", d.now.stk)
    else:
        d.effect("probe_pull", d.now.stk)
