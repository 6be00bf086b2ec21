"""Where the dollars of a withdrawal stand, and what they pay for when they stand here again.

Shillings and dollars may both have left for one customer: what comes back makes up for what left, and is nobody's else.
"""

from dataclasses import replace

from penpay.domain.deliveries import Delivery
from penpay.domain.draft import Draft
from penpay.domain.fx import exchange
from penpay.domain.ledger import AccountCode
from penpay.domain.money import Money, usd
from penpay.domain.payout_codes import payout_fee
from penpay.domain.unit import OperationState
from penpay.domain.withdrawal import Withdrawal

_O = OperationState
CONTRADICTING_PAYOUT = "contradicting_payout"
"""The question about shillings that were paid although that was given up, or once more."""


def claims_payout(withdrawal: Withdrawal) -> bool:
    """Whether a result says that a payout was made that had been given up, and neither status nor people judged."""
    return withdrawal.failure_code == CONTRADICTING_PAYOUT and not withdrawal.receipt


def give_back(d: Draft[Withdrawal]) -> None:
    """What was held for an intent that was taken back, or for a payout that is known to have failed, is free again."""
    now, gone = d.now, _O.WITHDRAWN
    if now.money_at == "b2c_out" and now.payout is not None and now.payout.state in {gone, _O.REFUSED}:
        not_paid_out(d)
    if now.money_at == "deriv_out" and now.back is not None and now.back.state is gone:
        not_returned(d)


def not_paid_out(d: Draft[Withdrawal]) -> None:
    """The payout did nothing: the dollars stand here again."""
    d.post(d.books.payout_void(d.now.send, d.now.payouts))
    _stand(d, d.now.send, source=AccountCode.CUSTOMER)


def not_returned(d: Draft[Withdrawal]) -> None:
    """The return did nothing: the dollars stand here again."""
    d.post(d.books.return_void(d.now.send, d.now.returns))
    _stand(d, d.now.send, source=AccountCode.CUSTOMER)


def not_theirs(d: Draft[Withdrawal], taken: Delivery) -> None:
    """Somebody else got these dollars: those of the customer that went for them stand here again, as they had stood.

    A rest that had been set aside comes along. If people have given it back meanwhile, only the others are left, in
    suspense.
    """
    assert taken.paid is not None
    rest = max(taken.paid.minor - taken.amount.minor, 0)
    aside = d.now.set_aside.minor if d.now.set_aside is not None else 0
    stands, source = taken.paid, AccountCode(taken.paid_from)
    if rest > aside:
        stands, source = taken.amount, AccountCode.SUSPENSE
    else:
        d.set(set_aside=usd(aside - rest) if aside > rest else None)
    d.set(undone=d.now.undone + 1)
    d.post(d.books.return_undone(stands, taken.amount, d.now.undone, source=source))
    _stand(d, stands, source=source)


def _stand(d: Draft[Withdrawal], dollars: Money, *, source: AccountCode) -> None:
    """They are the customer's again, unless shillings or other dollars left meanwhile: then they pay for those.

    They pay for one movement, the payout or that of the most dollars; every other one was our loss, and stays so.
    """
    now = d.now
    if now.receipt:
        split = exchange(kes_minor=now.receive.minor, usd_minor=now.send.minor, rate=now.rate)
        fee = payout_fee(now.receive)
        d.post(d.books.payout_covered(dollars, split, fee, source=source))
        all_gone(d, dollars.minor - now.send.minor)
    elif now.delivered:
        most = max(now.delivered, key=lambda one: one.amount.minor)
        d.post(d.books.return_covered(dollars, most.amount, source=source, undone=now.undone))
        paid_for = replace(most, paid=dollars, paid_from=source.value)
        d.set(delivered=tuple(paid_for if one is most else one for one in now.delivered))
        all_gone(d, dollars.minor - most.amount.minor)
    elif source is AccountCode.CUSTOMER:
        d.set(money_at=source.value)
    else:
        set_aside(d, dollars.minor)


def all_gone(d: Draft[Withdrawal], rest_minor: int) -> None:
    """All dollars that stood somewhere have paid for something; the rest of them is set aside."""
    d.set(money_at="gone")
    set_aside(d, rest_minor)


def set_aside(d: Draft[Withdrawal], minor: int) -> None:
    """Remember dollars in suspense beside where the rest stands; nothing or less is no money."""
    known = d.now.set_aside.minor if d.now.set_aside is not None else 0
    if minor > 0:
        d.set(set_aside=usd(known + minor))
