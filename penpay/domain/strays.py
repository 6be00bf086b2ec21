"""Money that moved at a provider and that nothing of ours explains: in suspense if it came, and before a person.

Source: decisions.md part 3. A movement is known by the provider's own id: whoever finds it first books it, once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from penpay.domain.ledger import AccountCode
from penpay.domain.money import Currency, Money, parse_amount
from penpay.domain.mpesa_callbacks import may_be_of
from penpay.domain.postings import Books
from penpay.domain.review import Action, ReviewItem
from penpay.domain.review_kinds import RECEIPT_MISSING, WITNESS_MISSING
from penpay.domain.unit import AuditRecord, ProviderReference, RejectCode, ReviewOpened, UnitOfWork

SHARD = 0
"""Where money of nobody stands until somebody knows whose it is."""
DUE = timedelta(hours=24)
ALREADY_KNOWN = frozenset({RejectCode.UNIT_DIFFERS, RejectCode.DUPLICATE_REFERENCE})
"""Rejections that mean: this movement is in the books."""
_REFERENCES = {"payment": "mpesa_receipt", "credit": "deriv_credit", "debit": "deriv_transaction"}
_GIVEN_BACK = {"payment": "mpesa_reversal", "credit": "deriv_transaction"}
_UNMATCHED = "_unmatched"
PAYMENT = f"payment{_UNMATCHED}"
"""The question about shillings that nothing of ours explains."""
CREDIT = f"credit{_UNMATCHED}"
"""The same about dollars."""
SURPLUS = {Currency.KES: "payment_surplus", Currency.USD: "credit_surplus"}
"""What we have beyond the books since those were corrected: set aside, it ends as money of nobody does."""
_SUFFIXES = (_UNMATCHED, "_surplus")
CLAIMED = "deriv_credit_claimed"
"""Kind of reference by which a credit belongs to the debit that people found it to be of, once it had been nobody's."""
MAY_BE_THE_SAME = (PAYMENT, RECEIPT_MISSING, CREDIT, WITNESS_MISSING)
"""The kinds of questions two of which may be about the same money."""
_CLOCKS = timedelta(minutes=5)
_DIGITS_SHOWN = 3
"""As many as a mask of ours shows."""
_C = AccountCode
EXITS: Mapping[str, Mapping[str, tuple[AccountCode, AccountCode]]] = {
    "payment": {Action.SETTLE: (_C.SUSPENSE, _C.MPESA_PAYBILL), Action.OWN: (_C.SUSPENSE, _C.EQUITY)},
    "credit": {Action.SETTLE: (_C.SUSPENSE, _C.DERIV_AGENT), Action.OWN: (_C.SUSPENSE, _C.EQUITY)},
    "debit": {Action.OWN: (_C.EQUITY, _C.DERIV_AGENT), Action.LOST: (_C.WRITE_OFF, _C.DERIV_AGENT)},
}
"""What each kind of movement may turn out to be, as the accounts that are debited and credited then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """`kind`: `payment` (shillings came), `credit` (dollars came) or `debit` (dollars left). `ref`: the provider's id.

    `at` is the provider's time as text. `phone_tail`: the last digits of who paid, as far as the provider shows them.
    """

    kind: str
    ref: str
    amount: Money
    at: str
    phone_tail: str = ""

    @property
    def key(self) -> str:
        """One provider's id, one movement."""
        return f"ref:{self.ref}"


def shown_tail(phone_tail: str) -> str:
    """Of the digits that a provider shows of a payer as many as staff are shown of any customer."""
    return phone_tail[-_DIGITS_SHOWN:]


def stray_unit(stray: Stray, *, review_id: str, now: datetime, actor: str) -> UnitOfWork:
    """The unit `ref:<provider's id>`. What left is only shown to a person: no posting can explain it."""
    amount = stray.amount
    told = {"ref": stray.ref, "amount": amount.text(), "currency": amount.currency.value, "at": stray.at}
    payer = {"phone_tail": shown_tail(stray.phone_tail)} if stray.phone_tail else {}
    review = ReviewOpened(
        id=review_id,
        transaction_id="",
        operation_id="",
        kind=f"{stray.kind}{_UNMATCHED}",
        reason=f"{amount.text()} {amount.currency}: nothing of ours explains it",
        owner_role="FINANCE",
        due_at=now + DUE,
        evidence={**told, **payer},
    )
    return UnitOfWork(
        unit_id=stray.key,
        shard=SHARD,
        at=now,
        postings=() if stray.kind == "debit" else (Books(SHARD, "").suspense(amount),),
        references=(ProviderReference(kind=_REFERENCES[stray.kind], ref=stray.ref, operation_id=""),),
        reviews=(review,),
        audit=(AuditRecord(actor=actor, action=f"ledger.{stray.kind}", subject=stray.ref, detail=told),),
    )


def stray_of(item: ReviewItem) -> Stray | None:
    """The movement that a question is about; None when it is about something else."""
    suffix = next((one for one in _SUFFIXES if item.kind.endswith(one)), "")
    kind, told = item.kind.removesuffix(suffix), item.evidence
    if not suffix or kind not in EXITS:
        return None
    amount = parse_amount(told["amount"], told["currency"])
    return Stray(kind=kind, ref=told["ref"], amount=amount, at=told["at"], phone_tail=told.get("phone_tail", ""))


def same_money(item: ReviewItem, open_items: Iterable[ReviewItem]) -> tuple[ReviewItem, ...]:
    """Of open questions those about what may be the same money: amount, visible digits and time agree.

    One is about a listed payment of nobody, the other about a push that was credited on a query's word and has no
    receipt; or one is about dollars of nobody, the other about a debit whose dollars were not seen to arrive. Whether
    they are the same only people can tell: nothing is matched by itself.
    """
    return tuple(one for one in open_items if _may_be_same(item, one) or _may_be_same(one, item))


def _may_be_same(missing: ReviewItem, listed: ReviewItem) -> bool:
    return _may_be_paid_by(missing, listed) or _may_have_arrived_as(missing, listed)


def _may_have_arrived_as(missing: ReviewItem, listed: ReviewItem) -> bool:
    """However late: whoever sent dollars hours after the debit may have done so for it."""
    told, stray = missing.evidence, stray_of(listed) if listed.kind == CREDIT else None
    if stray is None or missing.kind != WITNESS_MISSING or not {"amount", "sent_at"} <= told.keys():
        return False
    sent_at, arrived_at = datetime.fromisoformat(told["sent_at"]), datetime.fromisoformat(stray.at)
    return told["amount"] == stray.amount.text() and arrived_at >= sent_at - _CLOCKS


def _may_be_paid_by(missing: ReviewItem, listed: ReviewItem) -> bool:
    told, stray = missing.evidence, stray_of(listed) if listed.kind == PAYMENT else None
    if stray is None or missing.kind != RECEIPT_MISSING or not {"amount", "payer", "pushed_at"} <= told.keys():
        return False
    pushed_at, paid_at = datetime.fromisoformat(told["pushed_at"]), datetime.fromisoformat(stray.at)
    in_time = pushed_at - _CLOCKS <= paid_at <= missing.opened_at + _CLOCKS
    return in_time and told["amount"] == stray.amount.text() and may_be_of(stray.phone_tail, told["payer"])


def ended(unit: UnitOfWork, stray: Stray, action: str, *, item_id: str, reference: str, actor: str) -> UnitOfWork:
    """The unit that closes the question, with what it came to. `reference` is what the two people rest it on.

    One movement settles one question. Listed by its provider it may stand before a person as well, as money that left.
    """
    told = {"ref": stray.ref, "amount": stray.amount.text(), "evidence": reference}
    debit, credit = EXITS[stray.kind][action]
    references: tuple[ProviderReference, ...] = ()
    if action == Action.SETTLE:
        references = (
            ProviderReference(kind=_GIVEN_BACK[stray.kind], ref=reference, operation_id=""),
            ProviderReference(kind="settlement", ref=reference, operation_id=item_id),
        )
    return replace(
        unit,
        postings=(Books(unit.shard, "").ended(action, stray.ref, stray.amount, debit=debit, credit=credit),),
        references=references,
        audit=(AuditRecord(actor=actor, action=f"ledger.{action}", subject=stray.ref, detail=told),),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """A credit that was set aside as nobody's, with the question about it, and whose people found it to be since."""

    item: ReviewItem
    claimed_by: str = ""
    """The debit's operation."""

    def problem(self, operation_id: str) -> str:
        """Why it cannot be the credit of this debit; empty when it can, or is already."""
        item, ref = self.item, self.item.evidence["ref"]
        if item.closed_at is None or self.claimed_by == operation_id:
            return ""
        if self.claimed_by:
            return f"{ref} is the credit of another debit, {self.claimed_by}: item {item.id}, {item.resolution}"
        return f"{ref} was nobody's, and what it was is decided: item {item.id}, {item.resolution}"


def claimed(unit: UnitOfWork, stray: Stray, *, operation_id: str, actor: str) -> UnitOfWork:
    """The unit that closes the question about a credit and takes it out of suspense, for one debit and once.

    The debit's own unit books that it arrived: each shard has its own part of the agent's account, and both together
    stand where they stood.
    """
    posting = Books(unit.shard, "").ended("claimed", stray.ref, stray.amount, debit=_C.SUSPENSE, credit=_C.DERIV_AGENT)
    told = {"ref": stray.ref, "amount": stray.amount.text(), "operation": operation_id}
    return replace(
        unit,
        postings=(posting,),
        references=(ProviderReference(kind=CLAIMED, ref=stray.ref, operation_id=operation_id),),
        audit=(AuditRecord(actor=actor, action="ledger.claimed", subject=stray.ref, detail=told),),
    )
