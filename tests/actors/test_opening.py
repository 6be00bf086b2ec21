"""Opening balances: what a provider had before the books began, once."""

import pytest

from actors.opening import ACCOUNTS, OpeningActor
from penpay.domain.board import FloatSnapshot
from penpay.domain.ledger import AccountCode
from penpay.domain.money import Currency
from tests.actors.house import House

PAYBILL = AccountCode.MPESA_PAYBILL


@pytest.fixture
def house() -> House:
    house = House()
    house.board.unopened = {rail for rail, _, _ in ACCOUNTS}
    tell(house, PAYBILL, 0)
    tell(house, AccountCode.MPESA_UTILITY, 500)
    tell(house, AccountCode.DERIV_AGENT, 700)
    return house


def tell(house: House, code: AccountCode, minor: int) -> None:
    """The provider says what it has."""
    house.board.floats[code.value] = FloatSnapshot(minor, 0, house.clock.now())


async def start(house: House, *, waits_s: float = 0.0, **books: int) -> None:
    """A node comes up, looks, looks again after a while, and goes."""

    async def is_booked(unit_id: str) -> bool:
        return unit_id in house.units

    async def in_the_books(code: AccountCode, _currency: Currency) -> int:
        return books.get(code.value, 0)

    ref = OpeningActor.start(
        addresses=house,
        board=house.board,
        clock=house.clock,
        is_booked=is_booked,
        in_the_books=in_the_books,
        every_s=3600.0,
    )
    await ref.aask("look")
    house.clock.turn(waits_s)
    await ref.aask("look")
    await ref.shutdown(1)


def opened(house: House) -> dict[str, list[int]]:
    """The legs of each opening."""
    return {name: [leg.amount_minor for p in unit.postings for leg in p.entries] for name, unit in house.units.items()}


async def test_every_balance_is_booked_against_equity_and_the_rails_open(house: House) -> None:
    await start(house)
    assert opened(house)["opening:deriv_agent"] == [700, -700]
    assert opened(house)["opening:mpesa_utility"] == [500, -500]
    assert house.board.unopened == set()


async def test_what_is_paid_to_an_empty_account_is_no_opening_balance_of_a_later_start(house: House) -> None:
    await start(house)
    tell(house, PAYBILL, 130_000)
    await start(house, mpesa_paybill=130_000)
    assert opened(house)["opening:mpesa_paybill"] == []


async def test_a_balance_that_was_told_late_is_booked_without_what_moved_meanwhile(house: House) -> None:
    del house.board.floats[PAYBILL.value]
    await start(house)
    assert "opening:mpesa_paybill" not in house.units
    tell(house, PAYBILL, 150_000)
    await start(house, mpesa_paybill=130_000)
    assert opened(house)["opening:mpesa_paybill"] == [20_000, -20_000]


async def test_a_balance_that_nobody_tells_is_waited_for_once(house: House) -> None:
    del house.board.floats[PAYBILL.value]
    await start(house, waits_s=29)
    assert house.board.unopened == {"daraja"}
    await start(house, waits_s=31)
    assert house.board.unopened == set()
    house.board.unopened = {"deriv", "daraja"}
    await start(house, waits_s=4)
    assert house.board.unopened == set()
    assert opened(house)["opening:mpesa_paybill:untold"] == []
    assert house.board.untold == {"mpesa_paybill"}
    assert "opening:mpesa_paybill" not in house.units
