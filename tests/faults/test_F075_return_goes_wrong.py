"""F75: the payout is refused, and the dollars' way back goes wrong, too."""

import pytest

from tests.faults.stage import Stage
from tests.faults.withdrawing import BALANCE_MINOR, held, operations, withdrawer

REFUSED = {"result_code": "2040"}


@pytest.mark.parametrize(
    ("fault", "attempts"), [("executed", 1), pytest.param("no_reply", 1, marks=pytest.mark.slow), ("not_executed", 2)]
)
async def test_an_unknown_return_is_proven_before_it_is_sent_again(stage: Stage, fault: str, attempts: int) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(b2c=REFUSED, fault=fault)
    await stage.reaches(withdrawal, "REVERSED", within_s=60)
    assert (await who.told()).counts == (1, 0, 1)
    assert operations(stage, withdrawal, "DERIV_RETURN") == [("CONFIRMED", attempts)]
    assert await who.balance_minor() == BALANCE_MINOR
    assert held(stage, withdrawal) == {}


@pytest.mark.slow
async def test_a_return_that_is_unknown_twice_goes_to_a_person(stage: Stage) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(b2c=REFUSED, fault="not_executed", times=0)
    await stage.reaches(withdrawal, "IN_REVIEW", within_s=60)
    assert stage.reviews(withdrawal) == ["return_unknown_twice"]
    # Both attempts are proven absent, so nothing is open and people may decide about the dollars.
    assert operations(stage, withdrawal, "DERIV_RETURN") == [("REFUSED", 2)]
    assert (await who.told()).counts == (1, 0, 0)
    await stage.control.post("/deriv/script", {"clear": True})


async def test_a_refused_return_leaves_the_dollars_the_customers(stage: Stage) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(b2c=REFUSED, fault="refuse", times=0)
    await stage.reaches(withdrawal, "IN_REVIEW")
    assert stage.reviews(withdrawal) == ["return_refused"]
    assert held(stage, withdrawal) == {"customer": -who.amount_minor}
    assert (await who.told()).counts == (1, 0, 0)
    await stage.control.post("/deriv/script", {"clear": True})
