"""The rules of a withdrawal up to the dollars: the debit on the customer's account, and the agent's side of it."""

from collections.abc import Mapping

from penpay.domain import withdrawal_events as ev
from penpay.domain.draft import Draft
from penpay.domain.money import usd
from penpay.domain.review_kinds import WITNESS_LATE, WITNESS_MISMATCH, WITNESS_MISSING
from penpay.domain.unit import OperationState
from penpay.domain.withdrawal import State, Withdrawal
from penpay.domain.withdrawal_payout import start_payout

_S = State
_O = OperationState


def debit_started(d: Draft[Withdrawal], _e: ev.DebitStarted) -> None:
    """The intent is recorded with the sealed code; the customer's own session debits."""
    d.step(_S.DERIV_SENDING, next_wake_at=d.later(d.rules.resend_s))
    d.effect("submit", d.now.debit)


def debit_confirmed(d: Draft[Withdrawal], e: ev.DebitConfirmed) -> None:
    """P1. Nothing is paid yet: the agent's side must show the same dollars first."""
    if e.transaction_id == d.now.debit_transaction_id:
        return
    d.reference("deriv_debit", e.transaction_id, d.now.debit)
    d.operation("debit", _O.CONFIRMED, provider_ref=e.transaction_id)
    evidence = {"deriv_transaction_id": e.transaction_id, "proof": e.proof, "amount": e.amount.text()}
    if e.amount != d.now.send or d.now.money_at:
        reason = f"Deriv debited {e.amount.text()} USD"
        d.to_review("contradicting_debit", "FINANCE", reason, evidence, debit_transaction_id=e.transaction_id)
        return
    d.post(d.books.withdrawal_debited(d.now.send))
    to = _S.IN_REVIEW if d.now.state is _S.IN_REVIEW else _S.DEBITED
    d.step(
        to,
        evidence,
        debit_transaction_id=e.transaction_id,
        debited_at=d.at,
        money_at="deriv_in",
        completed_at=None,
        failure_code="",
        polls=0,
        next_wake_at=d.later(d.rules.witness_look_s) if to is _S.DEBITED else None,
    )
    d.effect("probe_witness", d.now.debit)


def debit_refused(d: Draft[Withdrawal], e: ev.DebitRefused) -> None:
    """Nothing was taken. While an earlier attempt is unknown a refusal proves nothing: the code may be spent by it."""
    if d.now.state is _S.IN_REVIEW:
        _ended_in_review(d, e)
    elif d.now.state is _S.DERIV_UNKNOWN:
        d.step(_S.DERIV_UNKNOWN, {"code": e.code, "note": "a refusal proves nothing about an earlier attempt"})
    else:
        fail(d, "deriv_debit_refused", _O.REFUSED, evidence={"code": e.code}, attempts_closed=e.attempt)


def debit_not_sent(d: Draft[Withdrawal], e: ev.DebitNotSent) -> None:
    """Nothing left: try again while the code lives."""
    if d.now.state is _S.IN_REVIEW:
        _ended_in_review(d, e)
    elif d.age_s(d.now.created_at) >= d.rules.debit_max_s:
        fail(d, "deriv_not_sent", _O.REFUSED, evidence={"code": e.code}, attempts_closed=e.attempt)
    elif d.intend_again("debit", code=e.code, attempts_closed=e.attempt):
        d.step(_S.DERIV_SENDING, {"code": e.code}, next_wake_at=d.later(d.rules.resend_s))
    else:
        fail(d, "account_frozen", _O.REFUSED, evidence={"code": e.code}, attempts_closed=e.attempt)


def _ended_in_review(d: Draft[Withdrawal], e: ev.DebitRefused | ev.DebitNotSent) -> None:
    """It was under way when the question came, and did nothing: people close it."""
    assert d.now.debit is not None
    if d.now.debit.waits_only_for(e.attempt):
        d.operation("debit", _O.REFUSED, code=e.code, attempts_closed=e.attempt)
    d.step(_S.IN_REVIEW, {"code": e.code})


def debit_unknown(d: Draft[Withdrawal], e: ev.DebitOutcomeUnknown) -> None:
    """Both statements decide. The code is spent or not: it is never sent again."""
    d.operation("debit", _O.UNKNOWN, code=e.code, unknown_attempt=e.attempt)
    if d.now.state is _S.IN_REVIEW:
        d.step(_S.IN_REVIEW, {"code": e.code})
        return
    d.step(_S.DERIV_UNKNOWN, {"code": e.code}, polls=0, next_wake_at=d.later(d.rules.resolve_s))
    d.effect("resolve_debit", d.now.debit)


def debit_absent(d: Draft[Withdrawal], e: ev.DebitAbsent) -> None:
    """Proven on both sides: nothing was taken."""
    fail(d, "deriv_not_debited", _O.REFUSED, evidence={"proof": e.proof})


def debit_ambiguous(d: Draft[Withdrawal], e: ev.DebitAmbiguous) -> None:
    """One side alone pays nobody."""
    d.to_review("debit_ambiguous", "OPS", "the two statements do not tell one story", {"proof": e.proof})


def cancel(d: Draft[Withdrawal], _e: ev.CancelRequested) -> None:
    """The customer changed their mind before anything was attempted."""
    fail(d, "cancelled", _O.WITHDRAWN)


def fail(
    d: Draft[Withdrawal],
    code: str,
    debit: OperationState,
    *,
    evidence: Mapping[str, str] | None = None,
    attempts_closed: int | None = None,
) -> None:
    """End without money having moved. An intent that was attempted after all cannot be withdrawn: nothing changes."""
    if debit is _O.WITHDRAWN and d.occasion.attempted:
        return
    d.operation("debit", debit, code=code, attempts_closed=attempts_closed)
    d.step(_S.FAILED, evidence, failure_code=code, completed_at=d.at, next_wake_at=None)
    d.effect("settled")


def witness_told(d: Draft[Withdrawal], e: ev.WitnessSeen) -> None:
    """By the agent's account itself. Where people were asked what became of the dollars, that is answered.

    They may have begun to give them back by hand: nothing is paid out before they know that these arrived.
    """
    asked = d.now.failure_code == WITNESS_MISSING and d.now.money_at == "deriv_in"
    witness_seen(d, e)
    if not asked or d.now.money_at == "deriv_in":
        return
    d.close_review(WITNESS_MISSING, "the agent's account shows the dollars")
    if e.amount == d.now.send:
        d.to_review(WITNESS_LATE, "OPS", f"{e.amount.text()} USD arrived late: pay them out, or give them back")
    d.set(failure_code=WITNESS_LATE if e.amount == d.now.send else WITNESS_MISMATCH)


def witness_found(d: Draft[Withdrawal], e: ev.WitnessSeen, *, was_nobodys: bool) -> None:
    """By people. Of another amount than was debited they are asked something else than before; else how to go on."""
    asked = d.now.failure_code == WITNESS_MISSING
    witness_seen(d, e, was_nobodys=was_nobodys)
    if asked and d.now.money_at != "deriv_in" and e.amount != d.now.send:
        d.close_review(WITNESS_MISSING, "people found the dollars")
        d.set(failure_code=WITNESS_MISMATCH)


def witness_seen(d: Draft[Withdrawal], e: ev.WitnessSeen, *, was_nobodys: bool = False) -> None:
    """P1b, and the payout. Another amount than was debited is looked at.

    `was_nobodys`: the credit's own id was used up when it was set aside, and it was taken out of there for this debit.
    """
    if d.now.money_at != "deriv_in" or e.transaction_id == d.now.witness_transaction_id:
        return
    if not was_nobodys:
        d.reference("deriv_credit", e.transaction_id, d.now.debit)
    d.post(d.books.withdrawal_witnessed(d.now.send, e.amount))
    surplus = e.amount.minor - d.now.send.minor
    if surplus > 0:
        d.set(set_aside=usd(surplus))
    evidence = {"witness_transaction_id": e.transaction_id, "amount": e.amount.text()}
    d.step(d.now.state, evidence, witness_transaction_id=e.transaction_id, money_at="customer", next_wake_at=None)
    if e.amount != d.now.send:
        d.to_review(WITNESS_MISMATCH, "FINANCE", f"the agent received {e.amount.text()} USD", evidence)
    elif d.occasion.frozen and d.now.state is _S.DEBITED:
        d.frozen_to_review("a payout")
    elif d.now.state is _S.DEBITED:
        start_payout(d)
