"""Money that moved at a provider and that nothing of ours explains: in suspense if it came, and before a person.

Source: decisions.md part 3. A movement is known by the provider's own id: whoever finds it first books it, once.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from penpay.domain.ledger import AccountCode
from penpay.domain.money import Money, parse_amount
from penpay.domain.postings import Books
from penpay.domain.review import ReviewItem
from penpay.domain.unit import AuditRecord, ProviderReference, RejectCode, ReviewOpened, UnitOfWork

SHARD = 0
"""Where money of nobody stands until somebody knows whose it is."""
DUE = timedelta(hours=24)
ALREADY_KNOWN = frozenset({RejectCode.UNIT_DIFFERS, RejectCode.DUPLICATE_REFERENCE})
"""Rejections that mean: this movement is in the books."""
_REFERENCES = {"payment": "mpesa_receipt", "credit": "deriv_credit", "debit": "deriv_transaction"}
_GIVEN_BACK = {"payment": "mpesa_reversal", "credit": "deriv_transaction"}
_UNMATCHED = "_unmatched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """`kind`: `payment` (shillings came), `credit` (dollars came) or `debit` (dollars left). `ref`: the provider's id.

    `at` is the provider's time as text; `reference` what the payer wrote.
    """

    kind: str
    ref: str
    amount: Money
    at: str
    reference: str = ""


def stray_unit(stray: Stray, *, review_id: str, now: datetime, actor: str) -> UnitOfWork:
    """The unit `ref:<provider's id>`. What left is only shown to a person: no posting can explain it."""
    amount = stray.amount
    told = {"ref": stray.ref, "amount": amount.text(), "currency": amount.currency.value, "at": stray.at}
    review = ReviewOpened(
        id=review_id,
        transaction_id="",
        operation_id="",
        kind=f"{stray.kind}{_UNMATCHED}",
        reason=f"{amount.text()} {amount.currency}: nothing of ours explains it",
        owner_role="FINANCE",
        due_at=now + DUE,
        evidence={**told, "reference": stray.reference},
    )
    return UnitOfWork(
        unit_id=f"ref:{stray.ref}",
        shard=SHARD,
        at=now,
        postings=() if stray.kind == "debit" else (Books(SHARD, "").suspense(amount),),
        references=(ProviderReference(kind=_REFERENCES[stray.kind], ref=stray.ref, operation_id=""),),
        reviews=(review,),
        audit=(AuditRecord(actor=actor, action=f"ledger.{stray.kind}", subject=stray.ref, detail=told),),
    )


def stray_of(item: ReviewItem) -> Stray | None:
    """The money in suspense that a question is about; None when it is about something else."""
    kind, told = item.kind.removesuffix(_UNMATCHED), item.evidence
    if item.kind == kind or kind not in _GIVEN_BACK:
        return None
    amount = parse_amount(told["amount"], told["currency"])
    return Stray(kind=kind, ref=told["ref"], amount=amount, at=told["at"])


def settled(unit: UnitOfWork, stray: Stray, *, reference: str, actor: str) -> UnitOfWork:
    """The unit that closes the question, with the money given back by hand. `reference`: the provider's id of that."""
    told = {"ref": stray.ref, "amount": stray.amount.text(), "given_back": reference}
    return replace(
        unit,
        postings=(Books(unit.shard, "").settled_by_hand(reference, stray.amount, AccountCode.SUSPENSE),),
        references=(ProviderReference(kind=_GIVEN_BACK[stray.kind], ref=reference, operation_id=""),),
        audit=(AuditRecord(actor=actor, action="ledger.settled", subject=stray.ref, detail=told),),
    )
