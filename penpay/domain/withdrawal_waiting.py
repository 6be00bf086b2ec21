"""The rules of a withdrawal that waits: what to ask again, how often, and when a person takes over."""

from collections.abc import Callable, Mapping

from penpay.domain import withdrawal_events as ev
from penpay.domain.draft import Draft
from penpay.domain.presentation import time_text
from penpay.domain.review_kinds import WITNESS_MISSING
from penpay.domain.unit import OperationState
from penpay.domain.withdrawal import State, Withdrawal
from penpay.domain.withdrawal_debit import fail
from penpay.domain.withdrawal_payout import open_payout

_S = State
_O = OperationState


def woke(d: Draft[Withdrawal], e: ev.Woke) -> None:
    """A waiting state's time came."""
    _WAKERS[d.now.state](d, e)


def _wake_sending(d: Draft[Withdrawal], e: ev.Woke) -> None:
    attempted = e.attempted or d.occasion.attempted
    if not attempted and d.age_s(d.now.created_at) >= d.rules.debit_max_s:
        fail(d, "deriv_not_sent", _O.WITHDRAWN)
        return
    if d.age_s(d.now.state_since or d.now.created_at) >= d.rules.unknown_max_s:
        d.to_review("debit_unknown", "OPS", "the debit was begun and nobody told how it ended")
        return
    d.step(_S.DERIV_SENDING, next_wake_at=d.later(d.rules.resend_s))
    d.effect("submit", d.now.debit)


def _wake_unknown_debit(d: Draft[Withdrawal], _e: ev.Woke) -> None:
    if d.age_s(d.now.state_since or d.now.created_at) >= d.rules.unknown_max_s:
        d.to_review("debit_unknown", "OPS", "the statements neither show nor exclude the debit")
        return
    d.step(_S.DERIV_UNKNOWN, polls=d.now.polls + 1, next_wake_at=d.later(d.rules.resolve_s))
    d.effect("resolve_debit", d.now.debit)


def _wake_debited(d: Draft[Withdrawal], _e: ev.Woke) -> None:
    """Look for the agent's side often at first, then with the statement, then a person does."""
    age_s = d.age_s(d.now.debited_at or d.now.created_at)
    if age_s >= d.rules.unknown_max_s:
        sent = {"amount": d.now.send.text(), "sent_at": time_text(d.now.created_at)}
        d.to_review(WITNESS_MISSING, "OPS", "the agent's account never showed the debited dollars", sent)
        return
    pace = d.rules.witness_look_s if age_s < d.rules.witness_s else d.rules.resolve_s
    d.step(_S.DEBITED, polls=d.now.polls + 1, next_wake_at=d.later(pace))
    d.effect("probe_witness", d.now.debit)


def _wake_payout(d: Draft[Withdrawal], _e: ev.Woke) -> None:
    if d.age_s(d.now.debited_at or d.now.created_at) >= d.rules.held_max_s:
        d.to_review("payout_overdue", "OPS", "the payout did not end in time")
    elif d.now.payout is not None and d.now.payout.state is _O.REFUSED:
        if d.occasion.frozen:
            d.frozen_to_review("another payout")
        else:
            open_payout(d)
    elif not d.intend_again("payout") and not d.occasion.attempted:
        d.frozen_to_review("a payout")
    else:
        d.step(_S.B2C_SENDING, next_wake_at=d.later(d.rules.resend_s))
        d.effect("submit", d.now.payout)


def _wake_result(d: Draft[Withdrawal], _e: ev.Woke) -> None:
    d.operation("payout", _O.UNKNOWN)
    d.step(_S.B2C_UNKNOWN, next_wake_at=d.later(d.rules.refund_probe_s))
    d.effect("probe_payout", d.now.payout)


def _wake_unknown_payout(d: Draft[Withdrawal], _e: ev.Woke) -> None:
    """Ask for the status; a payout that was never acknowledged is also sent again, under its own id, in turns.

    Its answers may be lost for as long as it is sent: only the status tells that it was paid long ago. The rail may
    have died with an intent that it was told: then it is told again, and asked all the same. The intent is recorded
    each time, so that the ledger says when the customer is frozen: then it is only asked about.
    """
    payout = d.now.payout
    assert payout is not None
    may_send = not d.now.conversation_id and d.now.failed_at is None and not d.occasion.frozen
    stands = may_send and payout.state is _O.INTENT
    again = may_send and payout.attempt > payout.attempts_closed
    limit_s = d.rules.same_payout_id_s if stands or again else d.rules.unknown_max_s
    if d.age_s(d.now.state_since or d.now.created_at) >= limit_s:
        d.to_review("payout_unknown", "OPS", "Safaricom never said what became of the payout")
        return
    again = again and d.now.polls % 2 == 0
    if stands or again:
        d.operation("payout", _O.INTENT, attempts_closed=None if stands else payout.attempt)
    d.step(_S.B2C_UNKNOWN, polls=d.now.polls + 1, next_wake_at=d.later(d.rules.refund_probe_s))
    if stands or again:
        d.effect("submit", d.now.payout)
    if not again:
        d.effect("probe_payout", d.now.payout)


def _wake_return(d: Draft[Withdrawal], _e: ev.Woke) -> None:
    back = d.now.back
    assert back is not None
    limit_s = d.rules.refund_max_s if back.state is _O.INTENT else d.rules.unknown_max_s
    if d.age_s(d.now.state_since or d.now.created_at) >= limit_s:
        d.to_review("return_overdue", "FINANCE", "the return did not end in time")
        return
    if back.state is _O.INTENT and not d.intend_again("back") and not d.occasion.attempted:
        d.frozen_to_review("a return")
        return
    d.step(_S.RETURN_SENDING, polls=d.now.polls + 1, next_wake_at=d.later(d.rules.resolve_s))
    d.effect("submit" if back.state is _O.INTENT else "resolve", back)


_WAKERS: Mapping[State, Callable[[Draft[Withdrawal], ev.Woke], None]] = {
    _S.DERIV_SENDING: _wake_sending,
    _S.DERIV_UNKNOWN: _wake_unknown_debit,
    _S.DEBITED: _wake_debited,
    _S.B2C_SENDING: _wake_payout,
    _S.B2C_HELD: _wake_payout,
    _S.AWAITING_RESULT: _wake_result,
    _S.B2C_UNKNOWN: _wake_unknown_payout,
    _S.RETURN_SENDING: _wake_return,
}
