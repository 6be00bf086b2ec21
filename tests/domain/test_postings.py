"""The postings, leg by leg, with the numbers of the worked example."""

import pytest

from penpay.domain.fx import Direction, LockedRate, exchange
from penpay.domain.ledger import CHART, Account, AccountCode, Entry, Phase, Posting, Side, posting_problem
from penpay.domain.money import Currency, kes, usd
from penpay.domain.postings import Books, opening

BOOKS = Books(3, "U")
RATE = LockedRate(Direction.DEPOSIT, 129_500_000, 5_000_000)


def legs(posting: Posting) -> list[tuple[str, int]]:
    return [(f"{entry.account.code}:{entry.account.currency}", entry.amount_minor) for entry in posting.entries]


def test_paid_and_hold_move_the_shillings_to_the_customer_and_on() -> None:
    assert legs(BOOKS.deposit_paid(kes(130_000))) == [("mpesa_paybill:KES", 130_000), ("customer:KES", -130_000)]
    assert legs(BOOKS.deposit_hold(kes(130_000))) == [("customer:KES", 130_000), ("deriv_out:KES", -130_000)]


def test_done_crosses_both_currencies_over_the_position() -> None:
    split = exchange(kes_minor=130_000, usd_minor=966, rate=RATE)
    assert legs(BOOKS.deposit_done(split)) == [
        ("deriv_out:KES", 130_000),
        ("fx_position:KES", -125_097),
        ("fx_spread:KES", -4_830),
        ("rounding:KES", -73),
        ("fx_position:USD", 966),
        ("deriv_agent:USD", -966),
    ]


def test_a_leg_of_zero_is_left_out() -> None:
    split = exchange(kes_minor=13_450, usd_minor=100, rate=RATE)
    assert split.rounding_minor == 0
    assert "rounding:KES" not in dict(legs(BOOKS.deposit_done(split)))


def test_a_refund_holds_then_leaves_the_paybill() -> None:
    assert legs(BOOKS.deposit_void(kes(500))) == [("deriv_out:KES", 500), ("customer:KES", -500)]
    assert legs(BOOKS.refund_hold(kes(500))) == [("customer:KES", 500), ("refund_out:KES", -500)]
    assert legs(BOOKS.refund_done(kes(500))) == [("refund_out:KES", 500), ("mpesa_paybill:KES", -500)]
    assert legs(BOOKS.refund_hold(kes(500), source=AccountCode.SUSPENSE)) == [
        ("suspense:KES", 500),
        ("refund_out:KES", -500),
    ]


def test_a_debit_that_deriv_undoes_leaves_what_was_before_it() -> None:
    assert legs(BOOKS.withdrawal_debited(usd(2_000))) == [("deriv_in:USD", 2_000), ("customer:USD", -2_000)]
    assert legs(BOOKS.debit_undone(usd(2_000))) == [("customer:USD", 2_000), ("deriv_in:USD", -2_000)]


def test_an_opening_balance_stands_against_equity() -> None:
    assert legs(opening(0, AccountCode.MPESA_PAYBILL, kes(7))) == [("mpesa_paybill:KES", 7), ("equity:KES", -7)]


def account(code: AccountCode = AccountCode.EQUITY, currency: Currency = Currency.KES) -> Account:
    return Account(0, code, currency)


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ((), "at least two"),
        ((Entry(account(), 0), Entry(account(), 0)), "zero entry"),
        ((Entry(account(), 1), Entry(account(), -2)), "does not sum to zero in KES"),
        ((Entry(account(), 1), Entry(account(currency=Currency.USD), -1)), "does not sum to zero in KES, USD"),
    ],
)
def test_entries_that_are_no_posting_are_named(entries: tuple[Entry, ...], problem: str) -> None:
    assert problem in posting_problem(entries)
    with pytest.raises(AssertionError, match=problem.replace("(", r"\(")):
        Posting("x", Phase.POSTED, entries)


def test_only_customers_have_accounts_of_their_own() -> None:
    assert Account(3, AccountCode.CUSTOMER, Currency.KES, "U").id == "03:customer:KES:U"
    with pytest.raises(AssertionError):
        Account(3, AccountCode.CUSTOMER, Currency.KES)
    with pytest.raises(AssertionError):
        Account(3, AccountCode.EQUITY, Currency.KES, "U")


def test_assets_are_not_judged_by_one_shard_alone() -> None:
    assert Account(1, AccountCode.DERIV_AGENT, Currency.USD).side is Side.EITHER
    assert Account(1, AccountCode.DERIV_OUT, Currency.KES).side is Side.CREDIT
    assert CHART.keys() == set(AccountCode)
