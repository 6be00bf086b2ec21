"""Our books follow a provider that moved another amount than they hold, when two people say so. Source: faults.md F55.

The difference goes where it goes in every saga: what we have beyond the books is set aside, and people are asked whose
it is; what is missing is our loss.
"""

from dataclasses import replace
from datetime import datetime

from penpay.domain.ledger import AccountCode
from penpay.domain.money import Currency, Money
from penpay.domain.movements import DIFFERS, Contradiction, movement_unit, told_of
from penpay.domain.postings import Books
from penpay.domain.reconciliation import REACH, Finding, Remedy, Verdict
from penpay.domain.review import Action, ReviewItem
from penpay.domain.strays import DUE, SURPLUS
from penpay.domain.unit import AuditRecord, ReviewOpened, UnitOfWork

_ASSETS = {Currency.KES: AccountCode.MPESA_PAYBILL, Currency.USD: AccountCode.DERIV_AGENT}


def contradiction_of(item: ReviewItem) -> Contradiction | None:
    """The two amounts that a question is about; None when it is about something else."""
    return told_of(item.evidence) if item.kind == DIFFERS else None


def corrected(unit: UnitOfWork, told: Contradiction, *, rest_id: str, reference: str, actor: str) -> UnitOfWork:
    """The unit that closes the question, with what makes the books say what the provider lists.

    It is booked beside the transaction, whose customer was told of an end. `rest_id`: of the question about a surplus.
    """
    gap = Money(told.listed.minor - told.booked.minor, told.listed.currency)
    detail = {"ref": told.ref, "listed": told.listed.text(), "booked": told.booked.text(), "evidence": reference}
    posting = Books(unit.shard, "").movement_corrected(told.ref, gap, asset=_ASSETS[gap.currency])
    return replace(
        unit,
        postings=(posting,),
        reviews=(_about_rest(told, gap, unit, rest_id),) if gap.minor > 0 else (),
        audit=(AuditRecord(actor=actor, action=f"ledger.{Action.CORRECT}", subject=told.ref, detail=detail),),
    )


def replaced(unit: UnitOfWork, instead: Contradiction, *, review_id: str, actor: str) -> UnitOfWork:
    """The unit that closes the question and puts another one, about the amounts by now: one of them is always open.

    It is named as whoever else finds these amounts names it, so that they are asked about once.
    """
    put = movement_unit(instead, review_id=review_id, now=unit.at, actor=actor)
    return replace(put, reviews_closed=unit.reviews_closed, audit=(*put.audit, *unit.audit))


def _about_rest(told: Contradiction, rest: Money, unit: UnitOfWork, id_: str) -> ReviewOpened:
    evidence = {"ref": told.ref, "amount": rest.text(), "currency": rest.currency.value, "at": told.at}
    if told.transaction_id:
        evidence["transaction"] = told.transaction_id
    return ReviewOpened(
        id=id_,
        transaction_id="",
        operation_id="",
        kind=SURPLUS[rest.currency],
        reason=f"{rest.text()} {rest.currency} beyond what was booked of {told.ref}: given back, or our own?",
        owner_role="FINANCE",
        due_at=unit.at + DUE,
        evidence=evidence,
    )


def stands(told: Contradiction, found: Finding | None, *, now: datetime) -> bool:
    """Whether the provider's list and our books still say what people were asked about.

    None: it is not listed. Of a payment that Safaricom's list reaches no more that says nothing.
    """
    if found is None:
        return told.listed.currency is Currency.KES and datetime.fromisoformat(told.at) < now - REACH
    mine = found.mine.amount if found.mine is not None else None
    differs = found.verdict is Verdict.DIFFERS and found.remedy is Remedy.OTHER_AMOUNT
    return differs and (found.amount, mine) == (told.listed, told.booked)
