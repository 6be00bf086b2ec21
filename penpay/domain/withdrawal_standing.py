"""Where the dollars of a withdrawal stand, and what they pay for when they stand here again.

Shillings and dollars may both have left for one customer: what comes back makes up for what left, and is nobody's else.
"""

from dataclasses import replace

from penpay.domain.deliveries import Delivery
from penpay.domain.draft import Draft
from penpay.domain.fx import exchange
from penpay.domain.ledger import AccountCode
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
    _stand(d)


def not_returned(d: Draft[Withdrawal]) -> None:
    """The return did nothing: the dollars stand here again."""
    d.post(d.books.return_void(d.now.send, d.now.returns))
    _stand(d)


def not_theirs(d: Draft[Withdrawal], _taken: Delivery) -> None:
    """Somebody else got these dollars: those of the customer that went for them stand here again."""
    d.set(undone=d.now.undone + 1)
    d.post(d.books.return_undone(d.now.send, d.now.undone))
    _stand(d)


def _stand(d: Draft[Withdrawal]) -> None:
    """They are the customer's again, unless shillings or other dollars left meanwhile: then they pay for those.

    They pay for one movement; every other one was our loss, and stays so.
    """
    now = d.now
    if now.receipt:
        split = exchange(kes_minor=now.receive.minor, usd_minor=now.send.minor, rate=now.rate)
        d.post(d.books.payout_covered(split, payout_fee(now.receive)))
        d.set(money_at="gone")
    elif now.delivered:
        first, *others = now.delivered
        d.post(d.books.return_covered(now.send, undone=now.undone))
        paid_for = replace(first, paid=now.send, paid_from=AccountCode.CUSTOMER.value)
        d.set(money_at="gone", delivered=(paid_for, *others))
    else:
        d.set(money_at=AccountCode.CUSTOMER.value)
