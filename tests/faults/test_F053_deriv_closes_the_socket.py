"""F53: Deriv announces an update and drops everybody, or just drops everybody."""

import asyncio

import pytest

from tests.faults.stage import Stage


@pytest.fixture(autouse=True)
async def rested(stage: Stage) -> None:
    """Tries to connect grow rarer with every drop; each test begins with the first pause."""
    assert await stage.operator.restart("rails/deriv/session") == 200


async def test_after_an_update_money_goes_on(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"answer_delay_s": 1.5})
    await stage.control.post("/deriv/site", {"status": "updating", "drop_after_s": 1})
    await stage.reaches(deposit, "DERIV_SENDING", "DERIV_HELD")
    await asyncio.sleep(1.0)
    assert (await stage.told(who)).counts == (1, 1, 0)
    await stage.control.post("/deriv/site", {"status": "up"})
    await stage.reaches(deposit, "COMPLETED", within_s=40)
    assert (await stage.told(who)).counts == (1, 1, 1)


async def test_drops_at_any_moment_double_nothing(stage: Stage) -> None:
    crowd = [stage.customer() for _ in range(6)]
    deposits = await asyncio.gather(*(stage.deposit(who, phone={"answer_delay_s": 0.8}) for who in crowd))
    for _ in range(3):
        await stage.control.post("/deriv/drop", {})
        await asyncio.sleep(0.4)
    for who, deposit in zip(crowd, deposits, strict=True):
        await stage.reaches(deposit, "COMPLETED", within_s=40)
        assert (await stage.told(who)).counts == (1, 1, 1)
