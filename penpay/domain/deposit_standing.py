"""Where the shillings of a deposit stand, and what they pay for when they stand here again.

Shillings and dollars may both have left for one customer: what comes back makes up for what left, and is nobody's else.
"""

from dataclasses import replace

from penpay.domain.deliveries import Delivery
from penpay.domain.deposit import Deposit
from penpay.domain.draft import Draft
from penpay.domain.fx import Exchange, cost_of, exchange
from penpay.domain.ledger import AccountCode
from penpay.domain.money import Money, kes
from penpay.domain.unit import OperationState

_O = OperationState
STANDING = frozenset({AccountCode.CUSTOMER, AccountCode.SUSPENSE})
"""Where all of the customer's shillings are with us and free."""


def give_back(d: Draft[Deposit]) -> None:
    """What was held for an intent that was taken back stands where it came from."""
    now, gone = d.now, _O.WITHDRAWN
    if now.paid is not None and now.money_at == "deriv_out" and now.transfer and now.transfer.state is gone:
        not_delivered(d)
    if now.paid is not None and now.money_at == "refund_out" and (now.refund is None or now.refund.state is gone):
        not_given_back(d)


def not_delivered(d: Draft[Deposit]) -> None:
    """The transfer did nothing: the shillings stand here again."""
    assert d.now.paid is not None
    d.post(d.books.deposit_void(d.now.paid, d.now.transfers))
    _stand(d, d.now.paid, source=AccountCode.CUSTOMER)


def not_given_back(d: Draft[Deposit]) -> None:
    """The Reversal did nothing: the shillings stand here again."""
    assert d.now.paid is not None
    source = AccountCode(d.now.refund_from)
    d.post(d.books.refund_void(d.now.paid, d.now.refunds, source=source))
    _stand(d, d.now.paid, source=source)


def not_theirs(d: Draft[Deposit], taken: Delivery) -> None:
    """Somebody else got these dollars: the shillings that paid for them stand here again, as they had stood.

    What the dollars did not cost comes along from where it was set aside. If people have given that back meanwhile,
    only what they cost is left, in suspense.
    """
    assert taken.paid is not None
    cost = agreed_cost(d, taken.paid, taken.amount)
    rest = max(taken.paid.minor - cost.kes_minor, 0)
    aside = d.now.set_aside.minor if d.now.set_aside is not None else 0
    stands, source = taken.paid, AccountCode(taken.paid_from)
    if rest > aside:
        stands, source = kes(cost.kes_minor), AccountCode.SUSPENSE
    else:
        d.set(set_aside=kes(aside - rest) if aside > rest else None)
    d.set(undone=d.now.undone + 1)
    d.post(d.books.deposit_undone(stands, cost, d.now.undone, source=source))
    _stand(d, stands, source=source)


def _stand(d: Draft[Deposit], shillings: Money, *, source: AccountCode) -> None:
    """They are the customer's again, unless one of the two left meanwhile: then they pay for that.

    They pay for one transfer, that of the most dollars; every other one was our loss, and stays so.
    """
    now = d.now
    if now.delivered:
        most = max(now.delivered, key=lambda one: one.amount.minor)
        cost = agreed_cost(d, shillings, most.amount)
        d.post(d.books.deposit_covered(shillings, cost, source=source, undone=now.undone))
        paid_for = replace(most, paid=shillings, paid_from=source.value)
        d.set(delivered=tuple(paid_for if one is most else one for one in now.delivered))
        all_paid(d, shillings, cost)
    elif now.refund_receipt:
        d.post(d.books.refund_covered(shillings, source=source))
        d.set(money_at="gone")
    elif shillings == now.paid:
        d.set(money_at=source.value)
        _as_received(d)
    else:
        set_aside(d, shillings.minor)


def _as_received(d: Draft[Deposit]) -> None:
    """What comes back stands as it once arrived, where a receipt told so only after it had left.

    A surplus that people have given back meanwhile stays given back.
    """
    believed, received = d.now.paid, d.now.received
    if believed is None or received is None or received == believed:
        return
    surplus = received.minor - believed.minor
    aside = d.now.set_aside.minor if d.now.set_aside is not None else 0
    if surplus > aside:
        return
    if surplus > 0:
        d.set(set_aside=kes(aside - surplus) if aside > surplus else None)
    source = AccountCode(d.now.money_at)
    if surplus < 0 or source is not AccountCode.SUSPENSE:
        d.post(d.books.payment_restated(believed, received, source=source))
    d.set(paid=received, money_at=AccountCode.SUSPENSE.value)


def agreed_cost(d: Draft[Deposit], paid: Money, dollars: Money) -> Exchange:
    """What the customer's dollars cost them. As it was agreed there is no rest to give back."""
    if (paid, dollars) == (d.now.send, d.now.receive):
        return exchange(kes_minor=paid.minor, usd_minor=dollars.minor, rate=d.now.rate)
    return cost_of(dollars, d.now.rate)


def all_paid(d: Draft[Deposit], paid: Money, cost: Exchange) -> None:
    """All shillings that stood somewhere have paid for dollars; what these did not cost is set aside."""
    d.set(money_at="gone")
    set_aside(d, paid.minor - cost.kes_minor)


def set_aside(d: Draft[Deposit], minor: int) -> None:
    """Remember shillings in suspense beside where the rest stands; nothing or less is no money."""
    known = d.now.set_aside.minor if d.now.set_aside is not None else 0
    if minor > 0:
        d.set(set_aside=kes(known + minor))


def all_that_left(d: Draft[Deposit]) -> str:
    """All that left for this customer, both ways: what a person has to know to get one of them back."""
    shillings = d.now.paid or d.now.send
    gone = [f"{shillings.text()} KES went back to the payer ({d.now.refund_receipt})"] if d.now.refund_receipt else []
    gone += [f"Deriv executed {one.amount.text()} USD ({one.transaction_id})" for one in d.now.delivered]
    return ", and ".join(gone)
