"""What follows from what happened to a deposit: one pure function over the table of `deposit.py`.

`decide` never looks at a clock, asks nobody and draws no ids: all of it comes in with the `Occasion`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from penpay.domain import deposit_events as ev
from penpay.domain.decision import Decision, Draft, Ignored, Occasion, Rejected, Rules
from penpay.domain.deposit import TRANSITIONS, Deposit, State
from penpay.domain.fx import exchange
from penpay.domain.ledger import AccountCode
from penpay.domain.unit import OperationKind, OperationState

_S = State
_O = OperationState


def decide(deposit: Deposit, event: ev.Event, occasion: Occasion, rules: Rules) -> Decision | Ignored | Rejected:
    """What to record and do. An event without a place in this state is ignored, never an error."""
    allowed = TRANSITIONS[deposit.state].get(type(event))
    if allowed is None:
        return Rejected("not_cancellable") if isinstance(event, ev.CancelRequested) else Ignored("no place in this state")
    draft = Draft(deposit, event, occasion, rules)
    _HANDLERS[type(event)](draft, event)
    if not draft.steps:
        return Ignored("nothing new")
    assert draft.now.state in allowed, f"{deposit.state} --{type(event).__name__}--> {draft.now.state} is not in the table"
    return draft.decision()


# --- the push ---------------------------------------------------------------------------------------------------


def _stk_started(d: Draft, _e: ev.StkStarted) -> None:
    d.step(_S.STK_SENDING, next_wake_at=d.later(d.rules.resend_s))
    d.effect("check_recipient")


def _recipient_checked(d: Draft, e: ev.RecipientChecked) -> None:
    if e.ok:
        d.step(_S.STK_SENDING, recipient_ok=True)
        d.effect("submit", d.now.stk)
    else:
        _fail(d, "recipient_refused", _O.WITHDRAWN, evidence={"code": e.code})


def _stk_accepted(d: Draft, e: ev.StkAccepted) -> None:
    d.operation("stk", _O.SENT)
    wake = e.pushed_at + timedelta(seconds=d.rules.stk_poll_ladder_s[0])
    d.step(_S.AWAITING_PAYER, {"checkout_request_id": e.checkout_request_id}, checkout_request_id=e.checkout_request_id,
           pushed_at=e.pushed_at, polls=0, next_wake_at=wake)
    if d.now.held_receipt:
        d.effect("probe_stk", d.now.stk)


def _stk_refused(d: Draft, e: ev.StkRefused) -> None:
    _fail(d, "stk_refused", _O.REFUSED, evidence={"code": e.code})


def _stk_not_sent(d: Draft, e: ev.StkNotSent) -> None:
    if e.expired or _age_s(d, d.now.created_at) >= d.rules.stk_intent_max_s:
        _fail(d, "stk_not_sent", _O.REFUSED, evidence={"code": e.code}, attempts_closed=e.attempt)
    else:
        d.operation("stk", _O.INTENT, attempts_closed=e.attempt)
        d.step(_S.STK_SENDING, {"code": e.code}, next_wake_at=d.later(d.rules.resend_s))


def _stk_unknown(d: Draft, e: ev.StkOutcomeUnknown) -> None:
    d.operation("stk", _O.UNKNOWN, code=e.code)
    d.step(_S.STK_UNKNOWN, {"code": e.code}, pushed_at=e.attempted_at, polls=0, next_wake_at=d.later(d.rules.stk_poll_ladder_s[0]))


def _cancel(d: Draft, _e: ev.CancelRequested) -> None:
    _fail(d, "cancelled", _O.WITHDRAWN)


def _fail(d: Draft, code: str, stk: OperationState, *, evidence: Mapping[str, str] | None = None, attempts_closed: int | None = None) -> None:
    """End without money having moved."""
    d.operation("stk", stk, code=code, attempts_closed=attempts_closed)
    d.step(_S.FAILED, evidence, failure_code=code, completed_at=d.at, next_wake_at=None)
    d.effect("settled")


# --- money arrives ----------------------------------------------------------------------------------------------


def _paid(d: Draft, e: ev.MpesaPaid) -> None:
    if d.now.paid is not None:
        _paid_again(d, e)
    elif d.now.state is _S.IN_REVIEW:
        _book(d, e, late=False, reviewed="payment_in_review")
    elif not e.trusted or (d.now.verify_first and e.source == "callback"):
        _hold_evidence(d, e)
    elif e.amount != d.now.send:
        _book(d, e, late=False, reviewed="amount_mismatch")
    elif not e.payer_matches:
        _book(d, e, late=False, reviewed="wrong_payer")
    else:
        _book(d, e, late=_late(d, e), reviewed="account_frozen" if d.occasion.frozen else "")


def _hold_evidence(d: Draft, e: ev.MpesaPaid) -> None:
    """A claim of payment that an authenticated query must confirm first."""
    if d.now.held_receipt:
        return
    d.step(d.now.state, {"source": e.source, "receipt": e.receipt, "held_for": "query"}, held_receipt=e.receipt or "unknown",
           held_paid_at=e.paid_at, polls=0, next_wake_at=d.later(d.rules.stk_poll_ladder_s[0]))
    _probe_payment(d)


def _late(d: Draft, e: ev.MpesaPaid) -> bool:
    """Paid by the provider's clock too long after the push for the locked rate. A query names no time: in time."""
    paid_at = e.paid_at or d.now.held_paid_at
    pushed_at = d.now.pushed_at or d.now.created_at
    return paid_at is not None and paid_at > pushed_at + timedelta(seconds=d.rules.paid_in_time_s)


def _book(d: Draft, e: ev.MpesaPaid, *, late: bool, reviewed: str) -> None:
    """P1, and what it opens: the transfer, a refund (paid too late), or a question (another amount, frozen, in review)."""
    receipt = e.receipt or (d.now.held_receipt if d.now.held_receipt != "unknown" else "")
    suspense = late or reviewed in {"amount_mismatch", "wrong_payer", "payment_in_review"}
    if receipt:
        d.reference("mpesa_receipt", receipt, d.now.stk)
    d.operation("stk", _O.CONFIRMED, provider_ref=receipt)
    d.post(d.books.suspense(e.amount) if suspense else d.books.deposit_paid(e.amount))
    paid_at = e.paid_at or d.now.held_paid_at or d.now.pushed_at or d.at
    evidence = {"source": e.source, "receipt": receipt, "amount": e.amount.text()}
    first = d.now.state if d.now.state is _S.IN_REVIEW else _S.PAID
    d.step(first, evidence, paid=e.amount, paid_at=paid_at, paid_by=e.source, receipt=receipt, completed_at=None, failure_code="",
           money_at="suspense" if suspense else "customer", next_wake_at=None)
    d.effect("settled")
    if not receipt:
        d.review("receipt_missing", "FINANCE", "credited on a query's word: the receipt comes from a callback or Pull")
    if reviewed:
        d.to_review(reviewed, "FINANCE" if suspense else "COMPLIANCE", f"payment of {e.amount.text()} KES needs a decision")
    elif late:
        _start_refund(d, source=AccountCode.SUSPENSE, reason="paid_late")
    else:
        _start_transfer(d)


def _paid_again(d: Draft, e: ev.MpesaPaid) -> None:
    """More evidence for a deposit that is paid already: it may bring the receipt, and posts nothing."""
    if not e.trusted or not e.receipt or e.receipt == d.now.receipt:
        return
    if d.now.receipt or e.amount != d.now.paid:
        d.to_review("contradicting_payment", "FINANCE", f"second payment evidence: {e.receipt} of {e.amount.text()} KES")
        return
    d.reference("mpesa_receipt", e.receipt, d.now.stk)
    d.close_review("receipt_missing", "receipt attached")
    d.step(d.now.state, {"receipt": e.receipt, "source": e.source}, receipt=e.receipt)
    if d.now.state is _S.REFUND_SENDING and d.now.refund is None:
        _open_refund(d)


def _refused_by_payer(d: Draft, e: ev.MpesaRefused) -> None:
    early = _age_s(d, d.now.pushed_at or d.now.created_at) < d.rules.stk_grace_s
    if e.source == "callback" and e.final and not d.now.held_receipt:
        _fail(d, "mpesa_" + _slug(e.code), _O.REFUSED, evidence={"code": e.code, "source": e.source})
    elif e.source == "query" and e.final and not early and not d.now.held_receipt and d.now.failed_queries >= 1:
        _fail(d, "mpesa_" + _slug(e.code), _O.REFUSED, evidence={"code": e.code, "source": e.source})
    elif e.source == "query" and not early:
        d.step(d.now.state, {"code": e.code, "source": e.source}, failed_queries=d.now.failed_queries + 1,
               next_wake_at=d.later(d.rules.stk_poll_ladder_s[0]))


def _query_pending(d: Draft, _e: ev.QueryPending) -> None:
    if d.now.failed_queries:
        d.step(d.now.state, failed_queries=0)


def _pull_clean(d: Draft, e: ev.PullClean) -> None:
    since = d.now.pushed_at or d.now.created_at
    patient = _age_s(d, since) >= d.rules.stk_unknown_min_s and e.until >= since + timedelta(seconds=d.rules.stk_unknown_min_s)
    if d.now.state is _S.STK_UNKNOWN and patient and not d.now.held_receipt:
        _fail(d, "not_paid", _O.REFUSED, evidence={"pull_until": e.until.isoformat()})


# --- dollars ----------------------------------------------------------------------------------------------------


def _start_transfer(d: Draft) -> None:
    assert d.now.paid is not None
    d.post(d.books.deposit_hold(d.now.paid))
    d.open("transfer", OperationKind.DERIV_TRANSFER, d.now.receive, recipient=d.now.deriv_loginid)
    d.step(_S.DERIV_SENDING, name="TransferStarted", money_at="deriv_out", next_wake_at=d.later(d.rules.resend_s))
    d.effect("submit", d.now.transfer)


def _deriv_confirmed(d: Draft, e: ev.DerivConfirmed) -> None:
    if e.transaction_id == d.now.deriv_transaction_id:
        return
    expected = d.now.money_at == "deriv_out" and e.amount == d.now.receive and d.now.paid is not None
    d.reference("deriv_transaction", e.transaction_id, d.now.transfer)
    d.operation("transfer", _O.CONFIRMED, provider_ref=e.transaction_id)
    evidence = {"deriv_transaction_id": e.transaction_id, "proof": e.proof}
    if not expected:
        d.to_review("contradicting_transfer", "FINANCE", f"Deriv executed {e.amount.text()} USD", evidence, deriv_transaction_id=e.transaction_id)
        return
    assert d.now.paid is not None
    d.post(d.books.deposit_done(exchange(kes_minor=d.now.paid.minor, usd_minor=e.amount.minor, rate=d.now.rate)))
    d.step(_S.COMPLETED, evidence, deriv_transaction_id=e.transaction_id, money_at="gone", completed_at=d.at, next_wake_at=None, failure_code="")
    d.close_review("*", "completed by evidence")


def _deriv_refused(d: Draft, e: ev.DerivRefused) -> None:
    if d.now.state is _S.DERIV_UNKNOWN or d.now.state is _S.IN_REVIEW:
        d.step(d.now.state, {"code": e.code, "note": "a refusal proves nothing about an earlier attempt"})
    elif e.hold:
        _hold_transfer(d, e.code, e.attempt)
    else:
        d.operation("transfer", _O.REFUSED, code=e.code, attempts_closed=e.attempt)
        _void_and_refund(d, "deriv_refused", e.code)


def _deriv_not_sent(d: Draft, e: ev.DerivNotSent) -> None:
    _hold_transfer(d, e.code, e.attempt)


def _hold_transfer(d: Draft, code: str, attempt: int) -> None:
    d.operation("transfer", _O.INTENT, code=code, attempts_closed=attempt)
    d.step(_S.DERIV_HELD, {"code": code}, next_wake_at=d.later(d.rules.held_retry_s))


def _deriv_unknown(d: Draft, e: ev.DerivOutcomeUnknown) -> None:
    if d.now.state is _S.IN_REVIEW:
        d.operation("transfer", _O.UNKNOWN, code=e.code)
        d.step(d.now.state, {"code": e.code})
        return
    d.operation("transfer", _O.UNKNOWN, code=e.code, unknown_attempt=e.attempt)
    d.step(_S.DERIV_UNKNOWN, {"code": e.code}, next_wake_at=d.later(d.rules.resolve_s))
    d.effect("resolve", d.now.transfer)


def _deriv_absent(d: Draft, e: ev.DerivAbsent) -> None:
    assert d.now.transfer is not None
    if d.now.transfer.unknowns >= d.rules.unknowns_max:
        d.to_review("transfer_unknown_twice", "OPS", "two attempts without an answer; both proven absent", {"proof": e.proof})
        return
    d.operation("transfer", _O.INTENT, attempts_closed=d.now.transfer.attempt)
    d.step(_S.DERIV_SENDING, {"proof": e.proof}, next_wake_at=d.later(d.rules.resend_s))
    d.effect("submit", d.now.transfer)


def _deriv_ambiguous(d: Draft, e: ev.DerivAmbiguous) -> None:
    d.to_review("transfer_ambiguous", "OPS", "more than one statement row could be this transfer", {"proof": e.proof})


# --- money back -------------------------------------------------------------------------------------------------


def _void_and_refund(d: Draft, reason: str, code: str) -> None:
    assert d.now.paid is not None
    d.post(d.books.deposit_void(d.now.paid))
    _start_refund(d, source=AccountCode.CUSTOMER, reason=reason, code=code)


def _start_refund(d: Draft, *, source: AccountCode, reason: str, code: str = "") -> None:
    assert d.now.paid is not None
    d.post(d.books.refund_hold(d.now.paid, source=source))
    d.step(_S.REFUND_SENDING, {"reason": reason, "code": code}, name="RefundStarted", money_at="refund_out", refund_from=source.value, failure_code=reason,
           next_wake_at=d.later(d.rules.resend_s), polls=0)
    if d.now.receipt:
        _open_refund(d)


def _open_refund(d: Draft) -> None:
    """The Reversal names the original receipt; without one it waits for a callback or Pull to bring it."""
    assert d.now.paid is not None
    if d.occasion.frozen:
        d.to_review("account_frozen", "COMPLIANCE", "a refund of a frozen customer needs a decision")
        return
    d.open("refund", OperationKind.REVERSAL, d.now.paid, recipient=d.now.phone_mask, request={"receipt": d.now.receipt})
    d.effect("submit", d.now.refund)


def _refund_accepted(d: Draft, _e: ev.RefundAccepted) -> None:
    d.operation("refund", _O.SENT)
    d.step(_S.REFUND_SENDING, next_wake_at=d.later(d.rules.refund_probe_s))


def _refund_confirmed(d: Draft, e: ev.RefundConfirmed) -> None:
    if e.receipt == d.now.refund_receipt:
        return
    d.reference("mpesa_reversal", e.receipt, d.now.refund)
    d.operation("refund", _O.CONFIRMED, provider_ref=e.receipt)
    if d.now.money_at != "refund_out" or d.now.paid is None:
        d.to_review("contradicting_refund", "FINANCE", f"Safaricom reversed the payment: {e.receipt}", refund_receipt=e.receipt)
        return
    d.post(d.books.refund_done(d.now.paid))
    d.step(_S.REVERSED, {"receipt": e.receipt}, refund_receipt=e.receipt, money_at="gone", completed_at=d.at, next_wake_at=None)
    d.close_review("*", "refunded by evidence")


def _refund_refused(d: Draft, e: ev.RefundRefused) -> None:
    assert d.now.paid is not None
    d.operation("refund", _O.REFUSED, code=e.code)
    if d.now.money_at == "refund_out":
        d.post(d.books.refund_void(d.now.paid, source=AccountCode(d.now.refund_from)))
        d.set(money_at=d.now.refund_from)
    d.to_review("refund_refused", "FINANCE", f"Safaricom refused the Reversal: {e.code}")


def _refund_not_sent(d: Draft, e: ev.RefundNotSent) -> None:
    d.operation("refund", _O.INTENT, code=e.code, attempts_closed=e.attempt)
    d.step(_S.REFUND_SENDING, {"code": e.code}, next_wake_at=d.later(d.rules.held_retry_s))


def _refund_unknown(d: Draft, e: ev.RefundOutcomeUnknown) -> None:
    d.operation("refund", _O.UNKNOWN, code=e.code)
    d.step(_S.REFUND_SENDING, {"code": e.code}, next_wake_at=d.later(d.rules.refund_probe_s))


# --- time -------------------------------------------------------------------------------------------------------


def _woke(d: Draft, e: ev.Woke) -> None:
    _WAKERS[d.now.state](d, e)


def _wake_sending(d: Draft, e: ev.Woke) -> None:
    if e.attempted:
        d.step(_S.STK_SENDING, next_wake_at=d.later(d.rules.resend_s))
        d.effect("submit", d.now.stk)
    elif _age_s(d, d.now.created_at) >= d.rules.stk_intent_max_s:
        _fail(d, "stk_not_sent", _O.WITHDRAWN)
    else:
        d.step(_S.STK_SENDING, next_wake_at=d.later(d.rules.resend_s))
        d.effect("submit" if d.now.recipient_ok else "check_recipient", d.now.stk)


def _wake_payer(d: Draft, _e: ev.Woke) -> None:
    since = d.now.pushed_at or d.now.created_at
    age_s = _age_s(d, since)
    if age_s >= d.rules.stk_watch_max_s:
        d.to_review("payment_unknown", "OPS", "the provider never said whether the customer paid")
        return
    if d.now.held_receipt and age_s >= d.rules.stk_unknown_min_s:
        d.to_review("payment_unconfirmed", "OPS", "a success callback that no query confirms")
        return
    target = _S.STK_UNKNOWN if age_s >= d.rules.stk_grace_s else _S.AWAITING_PAYER
    if target is _S.STK_UNKNOWN and d.now.state is _S.AWAITING_PAYER:
        d.operation("stk", _O.UNKNOWN)
        d.effect("settled")
    if d.now.state is _S.STK_UNKNOWN:
        target = _S.STK_UNKNOWN
    _probe_payment(d)
    d.step(target, polls=d.now.polls + 1, next_wake_at=_next_poll(d, since))


def _probe_payment(d: Draft) -> None:
    if d.now.checkout_request_id and (d.now.state is not _S.STK_UNKNOWN or d.now.polls % 2 == 0):
        d.effect("probe_stk", d.now.stk)
    else:
        d.effect("probe_pull", d.now.stk)


def _next_poll(d: Draft, since: datetime) -> datetime:
    """The ladder counts from the push; behind it the polls grow sparse."""
    for rung in d.rules.stk_poll_ladder_s:
        at = since + timedelta(seconds=rung)
        if at > d.at:
            return at
    gap = min(d.rules.stk_sparse_s * 2 ** max(0, d.now.polls - len(d.rules.stk_poll_ladder_s)), d.rules.stk_sparse_max_s)
    return d.later(gap)


def _wake_transfer(d: Draft, _e: ev.Woke) -> None:
    if _age_s(d, d.now.paid_at or d.now.created_at) >= d.rules.held_max_s:
        d.to_review("transfer_overdue", "OPS", "the transfer did not end in time")
        return
    pace = d.rules.resend_s if d.now.state is _S.DERIV_SENDING else d.rules.held_retry_s
    d.step(_S.DERIV_SENDING, next_wake_at=d.later(pace))
    d.effect("submit", d.now.transfer)


def _wake_unknown(d: Draft, _e: ev.Woke) -> None:
    if _age_s(d, d.now.state_since or d.now.created_at) >= d.rules.unknown_max_s:
        d.to_review("transfer_unknown", "OPS", "the statement neither shows nor excludes the transfer")
        return
    d.step(_S.DERIV_UNKNOWN, polls=d.now.polls + 1, next_wake_at=d.later(d.rules.resolve_s))
    d.effect("resolve", d.now.transfer)


def _wake_refund(d: Draft, _e: ev.Woke) -> None:
    if _age_s(d, d.now.state_since or d.now.created_at) >= d.rules.refund_max_s:
        d.to_review("refund_overdue", "FINANCE", "the refund did not end in time")
        return
    refund = d.now.refund
    d.step(_S.REFUND_SENDING, polls=d.now.polls + 1, next_wake_at=d.later(d.rules.refund_probe_s))
    if refund is None:
        d.effect("probe_pull", d.now.stk)
    elif refund.state is _O.INTENT:
        d.effect("submit", refund)
    else:
        d.effect("probe_reversal", refund)


def _wake_failed(d: Draft, _e: ev.Woke) -> None:
    """A late claim of payment waits for its confirmation."""
    if not d.now.held_receipt:
        return
    if d.now.polls >= len(d.rules.stk_poll_ladder_s):
        d.to_review("payment_unconfirmed", "OPS", "a late success callback that no query confirms")
        return
    _probe_payment(d)
    d.step(_S.FAILED, polls=d.now.polls + 1, next_wake_at=d.later(d.rules.stk_poll_ladder_s[min(d.now.polls, len(d.rules.stk_poll_ladder_s) - 1)]))


# --- people -----------------------------------------------------------------------------------------------------


def _parked(d: Draft, e: ev.Parked) -> None:
    d.to_review("parked", "OPS", "the saga crashed too often", {"error": e.error})


def _staff_credited(d: Draft, e: ev.StaffCredited) -> None:
    if d.now.money_at == "customer":
        d.step(_S.IN_REVIEW, {"approval": e.approval}, failure_code="")
        _start_transfer(d)


def _staff_refunded(d: Draft, e: ev.StaffRefunded) -> None:
    if d.now.money_at in {"customer", "suspense"}:
        d.step(_S.IN_REVIEW, {"approval": e.approval})
        _start_refund(d, source=AccountCode(d.now.money_at), reason="refunded_by_review")


def _staff_closed(d: Draft, e: ev.StaffClosed) -> None:
    if d.now.money_at in {"", "gone"}:
        done = _S.COMPLETED if d.now.deriv_transaction_id else _S.REVERSED if d.now.refund_receipt else _S.FAILED
        d.step(done, {"approval": e.approval}, completed_at=d.at, next_wake_at=None)
        d.close_review("*", "closed by staff")


def _age_s(d: Draft, since: datetime) -> float:
    return (d.at - since).total_seconds()


def _slug(code: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in code).lower()[:40]


_HANDLERS: Mapping[type[ev.Event], Callable[..., None]] = {
    ev.StkStarted: _stk_started, ev.RecipientChecked: _recipient_checked, ev.StkAccepted: _stk_accepted, ev.StkRefused: _stk_refused,
    ev.StkNotSent: _stk_not_sent, ev.StkOutcomeUnknown: _stk_unknown, ev.CancelRequested: _cancel, ev.MpesaPaid: _paid,
    ev.MpesaRefused: _refused_by_payer, ev.QueryPending: _query_pending, ev.PullClean: _pull_clean, ev.DerivConfirmed: _deriv_confirmed,
    ev.DerivRefused: _deriv_refused, ev.DerivNotSent: _deriv_not_sent, ev.DerivOutcomeUnknown: _deriv_unknown, ev.DerivAbsent: _deriv_absent,
    ev.DerivAmbiguous: _deriv_ambiguous, ev.RefundAccepted: _refund_accepted, ev.RefundConfirmed: _refund_confirmed,
    ev.RefundRefused: _refund_refused, ev.RefundNotSent: _refund_not_sent, ev.RefundOutcomeUnknown: _refund_unknown, ev.Woke: _woke,
    ev.Parked: _parked, ev.StaffCredited: _staff_credited, ev.StaffRefunded: _staff_refunded, ev.StaffClosed: _staff_closed,
}
_WAKERS: Mapping[State, Callable[[Draft, ev.Woke], None]] = {
    _S.STK_SENDING: _wake_sending, _S.AWAITING_PAYER: _wake_payer, _S.STK_UNKNOWN: _wake_payer, _S.DERIV_SENDING: _wake_transfer,
    _S.DERIV_HELD: _wake_transfer, _S.DERIV_UNKNOWN: _wake_unknown, _S.REFUND_SENDING: _wake_refund, _S.FAILED: _wake_failed,
}
