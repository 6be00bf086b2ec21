"""Conversion: rounding always on the side that the rule names, and every cent booked."""

from hypothesis import assume, given
from hypothesis import strategies as st

from penpay.domain.fx import Direction, LockedRate, asked_kes, credited_usd, disbursed_kes, exchange
from penpay.domain.money import kes, usd

mids = st.integers(min_value=50_000_000, max_value=500_000_000)
spreads = st.integers(min_value=0, max_value=20_000_000)
shillings = st.integers(min_value=1, max_value=250_000)
cents = st.integers(min_value=1, max_value=1_000_00)


def deposit_rate(mid: int, spread: int) -> LockedRate:
    return LockedRate(Direction.DEPOSIT, mid, spread)


def withdrawal_rate(mid: int, spread: int) -> LockedRate:
    return LockedRate(Direction.WITHDRAWAL, mid, spread)


def test_the_worked_deposit() -> None:
    rate = deposit_rate(129_500_000, 5_000_000)
    bought = credited_usd(kes(130_000), rate)
    split = exchange(kes_minor=130_000, usd_minor=bought.minor, rate=rate)
    assert (bought.minor, split.position_minor, split.spread_minor, split.rounding_minor) == (966, 125_097, 4_830, 73)


def test_the_worked_withdrawals() -> None:
    rate = withdrawal_rate(129_500_000, 5_000_000)
    assert disbursed_kes(usd(2000), rate) == kes(249_000)
    assert disbursed_kes(usd(2001), rate) == kes(249_100)
    split = exchange(kes_minor=249_100, usd_minor=2001, rate=rate)
    assert (split.position_minor, split.spread_minor, split.rounding_minor) == (259_129, 10_005, 24)


@given(shillings, mids, spreads)
def test_a_deposit_never_credits_more_than_was_paid_for(amount: int, mid: int, spread: int) -> None:
    rate = deposit_rate(mid, spread)
    bought = credited_usd(kes(amount * 100), rate)
    assert bought.minor * rate.rate_e6 <= amount * 100 * 10**6 < (bought.minor + 1) * rate.rate_e6


@given(shillings, mids, spreads)
def test_every_cent_of_a_deposit_is_booked(amount: int, mid: int, spread: int) -> None:
    rate = deposit_rate(mid, spread)
    bought = credited_usd(kes(amount * 100), rate)
    assume(bought.minor > 0)
    split = exchange(kes_minor=amount * 100, usd_minor=bought.minor, rate=rate)
    assert split.position_minor + split.spread_minor + split.rounding_minor == amount * 100
    assert min(split.position_minor, split.spread_minor, split.rounding_minor) >= 0


@given(cents, mids, spreads)
def test_a_deposit_asked_in_dollars_asks_the_fewest_whole_shillings(amount: int, mid: int, spread: int) -> None:
    rate = deposit_rate(mid, spread)
    asked = asked_kes(usd(amount), rate)
    assert asked.whole
    assert (asked.minor - 100) * 10**6 < amount * rate.rate_e6 <= asked.minor * 10**6
    assert exchange(kes_minor=asked.minor, usd_minor=amount, rate=rate).rounding_minor >= 0


@given(cents, mids, spreads)
def test_a_withdrawal_pays_whole_shillings_and_books_every_cent(amount: int, mid: int, spread: int) -> None:
    rate = withdrawal_rate(mid, spread)
    paid = disbursed_kes(usd(amount), rate)
    assert paid.whole
    assert paid.minor * 10**6 <= amount * rate.rate_e6
    split = exchange(kes_minor=paid.minor, usd_minor=amount, rate=rate)
    assert split.position_minor == paid.minor + split.spread_minor + split.rounding_minor
    assert min(split.spread_minor, split.rounding_minor) >= 0
