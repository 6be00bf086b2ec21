"""What Safaricom's results of a payout mean for us, and what a payout costs. Sources: B2C v3 pages; tariff of 2023."""

from enum import StrEnum

from penpay.domain.money import MINOR_PER_MAJOR, Money, kes


class Verdict(StrEnum):
    """What follows from a final failed result."""

    LATER = "later"
    """Passes by itself or after a top-up: another payout later."""
    GIVE_BACK = "give_back"
    """The payee cannot be paid: the dollars go back."""
    STOP = "stop"
    """Our credentials or rights: every payout stops until a person has looked."""
    UNCLEAR = "unclear"
    """Says nothing for certain: the status decides, or a person."""


_VERDICTS = {
    **dict.fromkeys(("1", "26"), Verdict.LATER),
    **dict.fromkeys(("2", "3", "4", "8", "2040", "SFC_IC0003"), Verdict.GIVE_BACK),
    **dict.fromkeys(("11", "18", "20", "21", "22", "2001", "2006", "2028", "8006"), Verdict.STOP),
}

INITIATOR_FAULTS = frozenset({"18", "20", "22", "2001", "8006"})
"""Of these, the codes of the credential itself: each further call with it, of whatever kind, brings its lock nearer."""

_FEES = ((100, 0), (1_500, 5), (5_000, 9), (20_000, 11), (250_000, 13))
"""Shillings up to and including, and the fee that the business pays. Above 150,000 the tariff names none: the last."""


def verdict(code: str) -> Verdict:
    """What a failed result's code means; codes that we do not know are unclear."""
    return _VERDICTS.get(code, Verdict.UNCLEAR)


def payout_fee(amount: Money) -> Money:
    """Safaricom's charge for paying `amount` out, booked when the payout is done."""
    shillings = amount.minor // MINOR_PER_MAJOR
    fee = next(charge for limit, charge in _FEES if shillings <= limit)
    return kes(fee * MINOR_PER_MAJOR)
