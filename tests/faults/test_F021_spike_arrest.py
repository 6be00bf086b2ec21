"""F21: Safaricom says that there are too many requests, or that it is busy."""

import pytest

from tests.faults.stage import Stage

REFUSALS = (
    (429, "500.003.02"),
    pytest.param(503, "500.003.02", marks=pytest.mark.slow),
    pytest.param(500, "500.003.03", marks=pytest.mark.slow),
)


@pytest.mark.parametrize(("http", "code"), REFUSALS)
async def test_it_is_tried_again_later_and_asked_once(stage: Stage, http: int, code: str) -> None:
    who = stage.customer()
    refusal = {"fault": "error", "error_http": http, "error_code": code, "error_message": "Spike arrest violation"}
    await stage.control.script_phone(who.msisdn, {**refusal})
    deposit = await stage.deposit(who)
    await stage.reaches(deposit, "COMPLETED")
    assert (await stage.told(who)).counts == (1, 1, 1)
