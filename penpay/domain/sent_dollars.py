"""Dollars that left for a customer, whichever way the money goes: each movement is booked once, and theirs only."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from penpay.domain.decision import Operation, SagaState
from penpay.domain.deliveries import Delivery
from penpay.domain.draft import Draft
from penpay.domain.money import Money
from penpay.domain.rail_end import ANOTHER_RECIPIENT
from penpay.domain.unit import OVER


class Sending(SagaState, Protocol):
    """A saga that sends dollars."""

    @property
    def misdirected_transaction_id(self) -> str: ...
    @property
    def earlier_transaction_ids(self) -> tuple[str, ...]: ...
    @property
    def booked_transaction_ids(self) -> frozenset[str]: ...
    @property
    def delivered(self) -> tuple[Delivery, ...]: ...


class PaidAnother(Protocol):
    """Deriv says that it was done, for `loginid`, who is not the customer."""

    @property
    def transaction_id(self) -> str: ...
    @property
    def loginid(self) -> str: ...
    @property
    def attempt(self) -> int: ...


S = TypeVar("S", bound=Sending)


def paid_another(
    d: Draft[S],
    e: PaidAnother,
    *,
    held: Operation | None,
    amount: Money,
    absent: Callable[[], None],
    not_theirs: Callable[[Delivery], None],
    question: str,
) -> None:
    """Somebody else got the dollars: they are our loss, the customer's money stays theirs, and people look.

    A statement may have shown the same movement before, and it was taken for the customer's: then it is booked, and
    `not_theirs` undoes that, so that the books are as if this had come first. `absent` books that the operation in
    question did nothing for the customer.
    """
    assert held is not None
    if e.transaction_id == d.now.misdirected_transaction_id:
        return
    taken = next((one for one in d.now.delivered if one.transaction_id == e.transaction_id), None)
    if taken is not None:
        amount = taken.amount
        d.set(delivered=tuple(one for one in d.now.delivered if one is not taken))
        if taken.paid is not None:
            not_theirs(taken)
    elif e.transaction_id not in d.now.booked_transaction_ids:
        d.reference("deriv_transaction", e.transaction_id, held)
        d.post(d.books.misdirected(e.transaction_id, amount))
        # An attempt after this one may be under way, and ends by itself.
        if held.state not in OVER and e.attempt > held.attempts_closed:
            absent()
    reason = f"Deriv sent {amount.text()} USD to {e.loginid}"
    evidence = {"deriv_transaction_id": e.transaction_id, "code": ANOTHER_RECIPIENT}
    known = {"misdirected_transaction_id": e.transaction_id}
    no_longer_newest(d, d.now.misdirected_transaction_id)
    d.to_review(question, "FINANCE", reason, evidence, **known)


def no_longer_newest(d: Draft[S], transaction_id: str) -> None:
    """Remember what is booked when another id takes its place: it may be told again, and is booked once."""
    if transaction_id and transaction_id not in d.now.earlier_transaction_ids:
        d.set(earlier_transaction_ids=(*d.now.earlier_transaction_ids, transaction_id))
