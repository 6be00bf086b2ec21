"""The rules of a deposit that waits: what to ask again, how often, and when a person takes over."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from penpay.domain import deposit_events as ev
from penpay.domain.deposit import Deposit, State
from penpay.domain.deposit_payment import fail, probe_payment
from penpay.domain.draft import Draft
from penpay.domain.unit import OperationState

_S = State
_O = OperationState
CLAIM_ASKED_MIN = 2
"""Wake-ups since a claim of payment, however late it came, before a person judges it: push and list were asked then."""


# --- time -------------------------------------------------------------------------------------------------------


def woke(d: Draft[Deposit], e: ev.Woke) -> None:
    """A waiting state's time came."""
    _WAKERS[d.now.state](d, e)


def _wake_sending(d: Draft[Deposit], e: ev.Woke) -> None:
    attempted = e.attempted or d.occasion.attempted
    if attempted and d.age_s(d.now.created_at) >= d.rules.unknown_max_s:
        d.to_review("payment_unknown", "OPS", "the push was begun and nobody told how it ended")
    elif attempted:
        d.step(_S.STK_SENDING, next_wake_at=d.later(d.rules.resend_s))
        d.effect("submit", d.now.stk)
    elif d.age_s(d.now.created_at) >= d.rules.stk_intent_max_s:
        fail(d, "stk_not_sent", _O.WITHDRAWN)
    else:
        d.step(_S.STK_SENDING, next_wake_at=d.later(d.rules.resend_s))
        d.effect("check_recipient", d.now.stk)


def _wake_payer(d: Draft[Deposit], _e: ev.Woke) -> None:
    since = d.now.pushed_at or d.now.created_at
    age_s = d.age_s(since)
    if age_s >= d.rules.stk_watch_max_s:
        d.to_review("payment_unknown", "OPS", "the provider never said whether the customer paid")
        return
    if d.now.held_receipt and age_s >= d.rules.stk_unknown_min_s and d.now.polls >= CLAIM_ASKED_MIN:
        d.to_review("payment_unconfirmed", "OPS", "a success callback that no query confirms")
        return
    target = _S.STK_UNKNOWN if age_s >= d.rules.stk_grace_s else _S.AWAITING_PAYER
    if target is _S.STK_UNKNOWN and d.now.state is _S.AWAITING_PAYER:
        d.operation("stk", _O.UNKNOWN)
        d.effect("settled")
    if d.now.state is _S.STK_UNKNOWN:
        target = _S.STK_UNKNOWN
    asked_staff_at = d.now.asked_staff_at
    if asked_staff_at is None and age_s >= d.rules.unknown_max_s:
        d.review("payment_awaited", "OPS", "the provider has not said for hours whether the customer paid")
        asked_staff_at = d.at
    probe_payment(d)
    d.step(target, polls=d.now.polls + 1, asked_staff_at=asked_staff_at, next_wake_at=_next_poll(d, since))


def _next_poll(d: Draft[Deposit], since: datetime) -> datetime:
    """The ladder counts from the push; behind it the polls grow sparse."""
    for rung in d.rules.stk_poll_ladder_s:
        at = since + timedelta(seconds=rung)
        if at > d.at:
            return at
    gap = min(
        d.rules.stk_sparse_s * 2 ** max(0, d.now.polls - len(d.rules.stk_poll_ladder_s)), d.rules.stk_sparse_max_s
    )
    return d.later(gap)


def _wake_transfer(d: Draft[Deposit], _e: ev.Woke) -> None:
    if d.age_s(d.now.paid_at or d.now.created_at) >= d.rules.held_max_s:
        d.to_review("transfer_overdue", "OPS", "the transfer did not end in time")
        return
    if not d.intend_again("transfer") and not d.occasion.attempted:
        d.frozen_to_review("a transfer")
        return
    pace = d.rules.resend_s if d.now.state is _S.DERIV_SENDING else d.rules.held_retry_s
    d.step(_S.DERIV_SENDING, next_wake_at=d.later(pace))
    d.effect("submit", d.now.transfer)


def _wake_unknown(d: Draft[Deposit], _e: ev.Woke) -> None:
    if d.age_s(d.now.state_since or d.now.created_at) >= d.rules.unknown_max_s:
        d.to_review("transfer_unknown", "OPS", "the statement neither shows nor excludes the transfer")
        return
    d.step(_S.DERIV_UNKNOWN, polls=d.now.polls + 1, next_wake_at=d.later(d.rules.resolve_s))
    d.effect("resolve", d.now.transfer)


def _wake_refund(d: Draft[Deposit], _e: ev.Woke) -> None:
    refund = d.now.refund
    waits = refund is None or refund.state is _O.INTENT
    if d.age_s(d.now.state_since or d.now.created_at) >= (d.rules.refund_max_s if waits else d.rules.unknown_max_s):
        d.to_review("refund_overdue", "FINANCE", "the refund did not end in time")
        return
    if refund is not None and waits and not d.intend_again("refund") and not d.occasion.attempted:
        d.frozen_to_review("a refund")
        return
    d.step(_S.REFUND_SENDING, polls=d.now.polls + 1, next_wake_at=d.later(d.rules.refund_probe_s))
    if refund is None:
        d.effect("probe_pull", d.now.stk)
    elif refund.state is _O.INTENT:
        d.effect("submit", refund)
    else:
        d.effect("probe_reversal", refund)


def _wake_failed(d: Draft[Deposit], _e: ev.Woke) -> None:
    """A late claim of payment waits for its confirmation."""
    if not d.now.held_receipt:
        return
    if d.now.polls >= len(d.rules.stk_poll_ladder_s):
        d.to_review("payment_unconfirmed", "OPS", "a late success callback that no query confirms")
        return
    probe_payment(d)
    d.step(
        _S.FAILED,
        polls=d.now.polls + 1,
        next_wake_at=d.later(d.rules.stk_poll_ladder_s[min(d.now.polls, len(d.rules.stk_poll_ladder_s) - 1)]),
    )


_WAKERS: Mapping[State, Callable[[Draft[Deposit], ev.Woke], None]] = {
    _S.STK_SENDING: _wake_sending,
    _S.AWAITING_PAYER: _wake_payer,
    _S.STK_UNKNOWN: _wake_payer,
    _S.DERIV_SENDING: _wake_transfer,
    _S.DERIV_HELD: _wake_transfer,
    _S.DERIV_UNKNOWN: _wake_unknown,
    _S.REFUND_SENDING: _wake_refund,
    _S.FAILED: _wake_failed,
}
