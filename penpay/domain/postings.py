"""Every posting of the money flows, one function each. Legs of zero are left out."""

from penpay.domain.fx import Exchange
from penpay.domain.ledger import Account, AccountCode, Entry, Phase, Posting
from penpay.domain.money import Currency, Money

_C = AccountCode
_KES = Currency.KES
_USD = Currency.USD


def _posting(key: str, phase: Phase, legs: list[tuple[Account, int]], *, resolves: str = "") -> Posting:
    return Posting(key, phase, tuple(Entry(account, minor) for account, minor in legs if minor), resolves)


def _summed(key: str, phase: Phase, legs: list[tuple[Account, int]], resolves: str = "") -> Posting:
    """One leg per account, also where two reasons meet on it."""
    sums: dict[Account, int] = {}
    for account, minor in legs:
        sums[account] = sums.get(account, 0) + minor
    return _posting(key, phase, list(sums.items()), resolves=resolves)


def nth(key: str, times: int) -> str:
    """The key of a posting that may be made more than once: `hold`, then `hold:2` and so on."""
    return key if times <= 1 else f"{key}:{times}"


class Books:
    """The accounts of one user in one shard, and the postings between them.

    `times` says which hold of its kind this is about: staff may send money on its way again.
    """

    __slots__ = ("shard", "user_id")

    def __init__(self, shard: int, user_id: str) -> None:
        self.shard = shard
        self.user_id = user_id

    def _of(self, code: AccountCode, currency: Currency) -> Account:
        return Account(self.shard, code, currency, self.user_id if code is _C.CUSTOMER else "")

    def _move(
        self, key: str, phase: Phase, *, debit: AccountCode, credit: AccountCode, amount: Money, resolves: str = ""
    ) -> Posting:
        legs = [(self._of(debit, amount.currency), amount.minor), (self._of(credit, amount.currency), -amount.minor)]
        return _posting(key, phase, legs, resolves=resolves)

    def deposit_paid(self, paid: Money) -> Posting:
        """P1: shillings arrived on the paybill; they are the customer's."""
        return self._move("paid", Phase.POSTED, debit=_C.MPESA_PAYBILL, credit=_C.CUSTOMER, amount=paid)

    def deposit_hold(self, paid: Money, times: int = 1) -> Posting:
        """P2: held for the transfer to Deriv."""
        return self._move(nth("hold", times), Phase.PENDING, debit=_C.CUSTOMER, credit=_C.DERIV_OUT, amount=paid)

    def deposit_void(self, paid: Money, times: int = 1) -> Posting:
        """The transfer did not happen: the hold goes back to the customer."""
        legs = {"debit": _C.DERIV_OUT, "credit": _C.CUSTOMER}
        return self._move(nth("void", times), Phase.VOID, amount=paid, resolves=nth("hold", times), **legs)

    def deposit_done(self, split: Exchange, times: int = 1) -> Posting:
        """P3: the dollars left the agent; both currencies cross over the position."""
        legs = [
            (self._of(_C.DERIV_OUT, _KES), split.kes_minor),
            (self._of(_C.FX_POSITION, _KES), -split.position_minor),
            (self._of(_C.FX_SPREAD, _KES), -split.spread_minor),
            (self._of(_C.ROUNDING, _KES), -split.rounding_minor),
            (self._of(_C.FX_POSITION, _USD), split.usd_minor),
            (self._of(_C.DERIV_AGENT, _USD), -split.usd_minor),
        ]
        return _posting("done", Phase.POST, legs, resolves=nth("hold", times))

    def payment_corrected(self, believed: Money, received: Money, *, source: AccountCode | None = None) -> Posting:
        """The paybill got another amount than was booked.

        `source`: where all of it still stands; what arrived goes from there to suspense. Without one it has left, and
        only the difference is booked: a surplus to suspense, a shortage to what we lost.
        """
        surplus = received.minor - believed.minor
        if source is not None:
            sides = ((source, believed.minor), (_C.SUSPENSE, -received.minor))
        else:
            sides = ((_C.SUSPENSE, -max(surplus, 0)), (_C.WRITE_OFF, max(-surplus, 0)))
        legs = [(self._of(code, _KES), minor) for code, minor in ((_C.MPESA_PAYBILL, surplus), *sides)]
        return _summed("corrected", Phase.POSTED, legs)

    def payment_restated(self, believed: Money, received: Money, *, source: AccountCode) -> Posting:
        """What had left came back: all that arrived stands in suspense, and the difference is neither aside nor lost.

        `source`: where what was believed stands again. Undoes `payment_corrected` of money that has left.
        """
        surplus = received.minor - believed.minor
        legs = [
            (self._of(source, _KES), believed.minor),
            (self._of(_C.SUSPENSE, _KES), max(surplus, 0) - received.minor),
            (self._of(_C.WRITE_OFF, _KES), -max(-surplus, 0)),
        ]
        return _summed("restated", Phase.POSTED, legs)

    def deposit_done_otherwise(
        self, paid: Money, split: Exchange, times: int, *, source: AccountCode, undone: int = 0
    ) -> Posting:
        """Deriv credited dollars otherwise than asked. What they cost is taken from where the shillings stand.

        The rest of the shillings is set aside; dollars that cost more than was paid are our loss. `source` `DERIV_OUT`
        is the hold of this transfer. `undone`: how many times shillings that had paid stood here again.
        """
        legs = self._dollars_paid(paid, split, source=source, dollars=_C.DERIV_AGENT)
        phase, resolved = (Phase.POST, nth("hold", times)) if source is _C.DERIV_OUT else (Phase.POSTED, "")
        return _summed(nth("done_otherwise", undone + 1), phase, legs, resolved)

    def deposit_covered(self, paid: Money, split: Exchange, *, source: AccountCode, undone: int = 0) -> Posting:
        """Shillings that stand here again pay for dollars that had been booked as our loss; the rest as above."""
        legs = self._dollars_paid(paid, split, source=source, dollars=_C.WRITE_OFF)
        return _summed(nth("covered", undone + 1), Phase.POSTED, legs)

    def deposit_undone(self, paid: Money, split: Exchange, undone: int, *, source: AccountCode) -> Posting:
        """Somebody else got the dollars that were paid for: they are our loss, and the shillings stand here again.

        Undoes the three above, whichever it was; the agent's dollars have left.
        """
        legs = self._dollars_paid(paid, split, source=source, dollars=_C.WRITE_OFF)
        return _summed(nth("undone", undone), Phase.POSTED, [(account, -minor) for account, minor in legs])

    def _dollars_paid(
        self, paid: Money, split: Exchange, *, source: AccountCode, dollars: AccountCode
    ) -> list[tuple[Account, int]]:
        rest = paid.minor - split.kes_minor
        return [
            (self._of(source, _KES), paid.minor),
            (self._of(_C.FX_POSITION, _KES), -split.position_minor),
            (self._of(_C.FX_SPREAD, _KES), -split.spread_minor),
            (self._of(_C.ROUNDING, _KES), -split.rounding_minor),
            (self._of(_C.SUSPENSE, _KES), -max(rest, 0)),
            (self._of(_C.WRITE_OFF, _KES), max(-rest, 0)),
            (self._of(_C.FX_POSITION, _USD), split.usd_minor),
            (self._of(dollars, _USD), -split.usd_minor),
        ]

    def returned_otherwise(self, dollars: Money, *, undone: int = 0) -> Posting:
        """Dollars went back after that had been given up: from where the customer's stand.

        `undone`: how many times dollars that had gone back stood here again.
        """
        key, legs = nth("returned_otherwise", undone + 1), {"debit": _C.CUSTOMER, "credit": _C.DERIV_AGENT}
        return self._move(key, Phase.POSTED, amount=dollars, **legs)

    def return_covered(self, dollars: Money, *, undone: int = 0) -> Posting:
        """Dollars that stand here again are those of a return that had been our loss."""
        key, legs = nth("return_covered", undone + 1), {"debit": _C.CUSTOMER, "credit": _C.WRITE_OFF}
        return self._move(key, Phase.POSTED, amount=dollars, **legs)

    def return_undone(self, dollars: Money, undone: int) -> Posting:
        """Somebody else got the dollars that had gone back: they are our loss, and the customer's stand here again.

        Undoes a return, whichever posting it was; the agent's dollars have left.
        """
        legs = {"debit": _C.WRITE_OFF, "credit": _C.CUSTOMER}
        return self._move(nth("undone", undone), Phase.POSTED, amount=dollars, **legs)

    def unasked(self, ref: str, left: Money, *, asset: AccountCode, source: AccountCode = _C.WRITE_OFF) -> Posting:
        """Money left by a provider's act that we had given up. Where the customer's does not stand, it is our loss.

        People may have taken one rail's id for the other's: each currency has keys of its own.
        """
        key = f"unasked:{left.currency.lower()}:{ref[:20]}"
        return self._move(key, Phase.POSTED, debit=source, credit=asset, amount=left)

    def misdirected(self, ref: str, dollars: Money) -> Posting:
        """Deriv gave dollars of ours to somebody who was not meant: our loss, until people got them back."""
        key = f"another:{ref[:24]}"
        return self._move(key, Phase.POSTED, debit=_C.WRITE_OFF, credit=_C.DERIV_AGENT, amount=dollars)

    def ended(self, action: str, ref: str, amount: Money, *, debit: AccountCode, credit: AccountCode) -> Posting:
        """What a movement that nothing explained turned out to be."""
        return self._move(f"{action}:{ref[:24]}", Phase.POSTED, debit=debit, credit=credit, amount=amount)

    def movement_corrected(self, ref: str, gap: Money, *, asset: AccountCode) -> Posting:
        """A provider moved another amount than is booked; `gap` is what we have beyond the books, below zero: lost."""
        legs = [
            (self._of(asset, gap.currency), gap.minor),
            (self._of(_C.SUSPENSE, gap.currency), -max(gap.minor, 0)),
            (self._of(_C.WRITE_OFF, gap.currency), max(-gap.minor, 0)),
        ]
        return _posting(f"correct:{ref[:24]}", Phase.POSTED, legs)

    def settled_by_hand(self, ref: str, amount: Money, source: AccountCode, *, aside: bool = False) -> Posting:
        """Given back outside of this system; `ref` is the provider's id of it.

        `aside`: what was set aside beside the rest, which the same movement may have given back, too.
        """
        asset = _C.MPESA_PAYBILL if amount.currency is _KES else _C.DERIV_AGENT
        return self._move(
            f"{'aside' if aside else 'settled'}:{ref[:24]}", Phase.POSTED, debit=source, credit=asset, amount=amount
        )

    def refund_hold(self, amount: Money, times: int = 1, *, source: AccountCode = _C.CUSTOMER) -> Posting:
        """Held for a Reversal; the money comes from the customer or from suspense."""
        return self._move(nth("refund_hold", times), Phase.PENDING, debit=source, credit=_C.REFUND_OUT, amount=amount)

    def refund_void(self, amount: Money, times: int = 1, *, source: AccountCode = _C.CUSTOMER) -> Posting:
        """The Reversal was refused: the hold goes back to where it came from."""
        legs = {"debit": _C.REFUND_OUT, "credit": source}
        return self._move(
            nth("refund_void", times), Phase.VOID, amount=amount, resolves=nth("refund_hold", times), **legs
        )

    def refund_covered(self, amount: Money, *, source: AccountCode) -> Posting:
        """Shillings that stand here again pay for those of a Reversal that had been booked as our loss."""
        legs = {"debit": source, "credit": _C.WRITE_OFF}
        return self._move("refund_covered", Phase.POSTED, amount=amount, **legs)

    def refund_done(self, amount: Money, times: int = 1) -> Posting:
        """The Reversal happened: the shillings left the paybill."""
        legs = {"debit": _C.REFUND_OUT, "credit": _C.MPESA_PAYBILL}
        return self._move("refund_done", Phase.POST, amount=amount, resolves=nth("refund_hold", times), **legs)

    def withdrawal_debited(self, dollars: Money) -> Posting:
        """P1: the customer's own session says that the dollars left their account."""
        return self._move("debited", Phase.POSTED, debit=_C.DERIV_IN, credit=_C.CUSTOMER, amount=dollars)

    def debit_undone(self, dollars: Money) -> Posting:
        """Undoes P1: the dollars never arrived, and Deriv itself gave them back. Nothing moved on the agent's side."""
        return self._move("debit_undone", Phase.POSTED, debit=_C.CUSTOMER, credit=_C.DERIV_IN, amount=dollars)

    def withdrawal_witnessed(self, dollars: Money, arrived: Money | None = None) -> Posting:
        """P1b: the agent's side shows that they arrived. Of another amount a surplus is set aside, a shortage lost."""
        surplus = arrived.minor - dollars.minor if arrived is not None else 0
        legs = [
            (self._of(_C.DERIV_AGENT, _USD), dollars.minor + surplus),
            (self._of(_C.DERIV_IN, _USD), -dollars.minor),
            (self._of(_C.SUSPENSE, _USD), -max(surplus, 0)),
            (self._of(_C.WRITE_OFF, _USD), max(-surplus, 0)),
        ]
        return _posting("witnessed", Phase.POSTED, legs)

    def payout_hold(self, dollars: Money, times: int = 1) -> Posting:
        """P2: held for the payout."""
        legs = {"debit": _C.CUSTOMER, "credit": _C.B2C_OUT}
        return self._move(nth("payout_hold", times), Phase.PENDING, amount=dollars, **legs)

    def payout_void(self, dollars: Money, times: int = 1) -> Posting:
        """The payout did not happen: the hold goes back to the customer."""
        legs = {"debit": _C.B2C_OUT, "credit": _C.CUSTOMER}
        resolved = nth("payout_hold", times)
        return self._move(nth("payout_void", times), Phase.VOID, amount=dollars, resolves=resolved, **legs)

    def payout_done(self, split: Exchange, fee: Money, times: int = 1, *, source: AccountCode = _C.B2C_OUT) -> Posting:
        """P3: the shillings left our short code; both currencies cross the position, and Safaricom's fee is due.

        `source` is the hold of this payout, or where the dollars stand when it had been given up.
        """
        held = source is _C.B2C_OUT
        legs = [
            (self._of(source, _USD), split.usd_minor),
            (self._of(_C.FX_POSITION, _USD), -split.usd_minor),
            (self._of(_C.FX_POSITION, _KES), split.position_minor),
            (self._of(_C.FX_SPREAD, _KES), -split.spread_minor),
            (self._of(_C.ROUNDING, _KES), -split.rounding_minor),
            (self._of(_C.MPESA_UTILITY, _KES), -split.kes_minor),
            (self._of(_C.MPESA_FEES, _KES), fee.minor),
            (self._of(_C.MPESA_CHARGES, _KES), -fee.minor),
        ]
        resolved = nth("payout_hold", times) if held else ""
        return _posting("payout_done", Phase.POST if held else Phase.POSTED, legs, resolves=resolved)

    def payout_covered(self, split: Exchange, fee: Money) -> Posting:
        """Dollars that stand here again pay for shillings that had been booked as our loss, and Safaricom's fee."""
        legs = [
            (self._of(_C.CUSTOMER, _USD), split.usd_minor),
            (self._of(_C.FX_POSITION, _USD), -split.usd_minor),
            (self._of(_C.FX_POSITION, _KES), split.position_minor),
            (self._of(_C.FX_SPREAD, _KES), -split.spread_minor),
            (self._of(_C.ROUNDING, _KES), -split.rounding_minor),
            (self._of(_C.WRITE_OFF, _KES), -split.kes_minor),
            (self._of(_C.MPESA_FEES, _KES), fee.minor),
            (self._of(_C.MPESA_CHARGES, _KES), -fee.minor),
        ]
        return _posting("payout_covered", Phase.POSTED, legs)

    def return_hold(self, dollars: Money, times: int = 1) -> Posting:
        """Held for giving the dollars back."""
        legs = {"debit": _C.CUSTOMER, "credit": _C.DERIV_OUT}
        return self._move(nth("return_hold", times), Phase.PENDING, amount=dollars, **legs)

    def return_void(self, dollars: Money, times: int = 1) -> Posting:
        """The dollars were not given back: they are the customer's, here."""
        legs = {"debit": _C.DERIV_OUT, "credit": _C.CUSTOMER}
        resolved = nth("return_hold", times)
        return self._move(nth("return_void", times), Phase.VOID, amount=dollars, resolves=resolved, **legs)

    def return_done(self, dollars: Money, times: int = 1, *, undone: int = 0) -> Posting:
        """The dollars left the agent, back to the customer. `undone` as of one that had been given up."""
        legs = {"debit": _C.DERIV_OUT, "credit": _C.DERIV_AGENT}
        key, resolved = nth("return_done", undone + 1), nth("return_hold", times)
        return self._move(key, Phase.POST, amount=dollars, resolves=resolved, **legs)

    def suspense(self, amount: Money) -> Posting:
        """Money arrived that nobody may be credited with yet."""
        asset = _C.MPESA_PAYBILL if amount.currency is _KES else _C.DERIV_AGENT
        return self._move("suspense", Phase.POSTED, debit=asset, credit=_C.SUSPENSE, amount=amount)


def opening(shard: int, code: AccountCode, amount: Money) -> Posting:
    """A provider's balance as it was when this installation first saw it, against equity."""
    legs = [
        (Account(shard, code, amount.currency), amount.minor),
        (Account(shard, _C.EQUITY, amount.currency), -amount.minor),
    ]
    return _posting("opening", Phase.POSTED, legs)
