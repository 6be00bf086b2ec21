"""Rates and conversion. A rate is KES per USD times 10**6, an integer; every division says its rounding."""

from dataclasses import dataclass
from enum import StrEnum

from penpay.domain.money import MINOR_PER_MAJOR, Currency, Money, kes, usd

E6 = 1_000_000


class Direction(StrEnum):
    """Which way the customer's money goes."""

    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"


@dataclass(frozen=True, slots=True)
class LockedRate:
    """The rate of one quote. `mid_e6` and `spread_e6` are KES per USD times 10**6.

    A customer pays mid + spread for a dollar and gets mid - spread for one.
    """

    direction: Direction
    mid_e6: int
    spread_e6: int

    def __post_init__(self) -> None:
        assert self.mid_e6 > self.spread_e6 >= 0, "a spread below zero or above the mid would pay the customer"

    @property
    def rate_e6(self) -> int:
        """The customer's rate."""
        return self.mid_e6 + self.spread_e6 if self.direction is Direction.DEPOSIT else self.mid_e6 - self.spread_e6


@dataclass(frozen=True, slots=True)
class Exchange:
    """One conversion, split over the accounts that carry it. Minor units, all zero or more.

    `kes_minor == position_minor + spread_minor + rounding_minor` for a deposit; for a withdrawal
    `position_minor == kes_minor + spread_minor + rounding_minor`.
    """

    kes_minor: int
    usd_minor: int
    position_minor: int
    spread_minor: int
    rounding_minor: int


def credited_usd(paid: Money, rate: LockedRate) -> Money:
    """Dollars that a deposit buys, rounded down to a cent."""
    assert paid.currency is Currency.KES
    assert rate.direction is Direction.DEPOSIT
    return usd(paid.minor * E6 // rate.rate_e6)


def asked_kes(wanted: Money, rate: LockedRate) -> Money:
    """Shillings to ask for so that the customer receives exactly `wanted` dollars: up to a whole shilling."""
    assert wanted.currency is Currency.USD
    assert rate.direction is Direction.DEPOSIT
    per_shilling = MINOR_PER_MAJOR * E6
    return kes(-(-wanted.minor * rate.rate_e6 // per_shilling) * MINOR_PER_MAJOR)


def disbursed_kes(debited: Money, rate: LockedRate) -> Money:
    """Shillings that a withdrawal pays out, rounded down to a whole shilling."""
    assert debited.currency is Currency.USD
    assert rate.direction is Direction.WITHDRAWAL
    per_shilling = MINOR_PER_MAJOR * E6
    return kes(debited.minor * rate.rate_e6 // per_shilling * MINOR_PER_MAJOR)


def cost_of(credited: Money, rate: LockedRate) -> Exchange:
    """What dollars that were credited without being asked for like this cost in shillings; there is no rest."""
    assert credited.currency is Currency.USD
    position = credited.minor * rate.mid_e6 // E6
    spread = credited.minor * rate.spread_e6 // E6
    return Exchange(position + spread, credited.minor, position, spread, 0)


def exchange(*, kes_minor: int, usd_minor: int, rate: LockedRate) -> Exchange:
    """Split a conversion: position = floor(usd*mid), spread = floor(usd*spread), the rest is rounding.

    The rest is never the customer's debit: an exchange whose rest would be negative is a bug of the caller.
    """
    position = usd_minor * rate.mid_e6 // E6
    spread = usd_minor * rate.spread_e6 // E6
    rounding = kes_minor - position - spread if rate.direction is Direction.DEPOSIT else position - spread - kes_minor
    if rounding < 0 and rate.direction is Direction.WITHDRAWAL:
        # floor(usd*mid) - floor(usd*spread) can fall one cent short of a payout that is exact: the spread gives it.
        spread, rounding = spread + rounding, 0
    assert rounding >= 0, "the customer would be charged less than the position costs"
    return Exchange(kes_minor, usd_minor, position, spread, rounding)
