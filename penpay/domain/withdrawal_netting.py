"""Dollars that stand aside for a customer who has had more of ours since: they go against that loss.

Only people say so, for what stands aside may also be what arrived beyond the debit, or have gone back by hand already.
If somebody else turns out to have got some of the dollars, it is undone, and people are asked again.
"""

from penpay.domain.draft import Draft
from penpay.domain.money import Money, usd
from penpay.domain.withdrawal import Withdrawal


def _minor(amount: Money | None) -> int:
    return amount.minor if amount is not None else 0


def nettable(withdrawal: Withdrawal) -> Money | None:
    """What stands aside, as far as the customer got as many dollars that none of theirs paid for; None: nothing."""
    unpaid = sum(max(one.amount.minor - _minor(one.paid), 0) for one in withdrawal.delivered)
    minor = min(_minor(withdrawal.set_aside), unpaid - _minor(withdrawal.netted))
    return usd(minor) if minor > 0 and withdrawal.money_at == "gone" else None


def net(d: Draft[Withdrawal], ours: Money) -> None:
    """What is nettable goes against what we lost."""
    left = _minor(d.now.set_aside) - ours.minor
    d.set(nettings=d.now.nettings + 1)
    d.post(d.books.netted(ours, d.now.nettings))
    d.set(netted=usd(_minor(d.now.netted) + ours.minor), set_aside=usd(left) if left else None)


def not_netted(d: Draft[Withdrawal]) -> None:
    """It stands aside again, as before anybody said that it was ours."""
    if d.now.netted is not None:
        d.post(d.books.netting_undone(d.now.netted, d.now.nettings))
        d.set(set_aside=usd(_minor(d.now.set_aside) + d.now.netted.minor), netted=None)
