"""F35: the query stays pending, or says failed where the callback says paid."""

import pytest

from tests.faults.stage import Stage

SAYS = {
    "always pending": pytest.param([], marks=pytest.mark.slow),
    "failed": ["1032"],
    "failed twice, pending between": ["1037", "pending", "1032"],
}


@pytest.mark.parametrize("says", SAYS.values(), ids=SAYS)
async def test_the_callback_wins(unlisted: Stage, says: list[str]) -> None:
    stage = unlisted
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"query": [*says, *["pending"] * 60], "callback_delay_s": 3.0})
    await stage.reaches(deposit, "COMPLETED")
    assert stage.paid_by(deposit) == "callback"
    assert (await stage.told(who)).counts == (1, 1, 1)
