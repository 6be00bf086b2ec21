"""F48: the statement shows a transfer late."""

from tests.faults.stage import Stage


async def test_it_is_not_called_absent_meanwhile(stage: Stage) -> None:
    who = stage.customer()
    await stage.control.post("/deriv/script", {"knobs": {"statement_lag_s": 2.0}})
    deposit = await stage.deposit(who, deriv={"fault": "executed"})
    await stage.reaches(deposit, "COMPLETED", "IN_REVIEW")
    await stage.control.post("/deriv/script", {"knobs": {"statement_lag_s": 0.0}})
    assert stage.state(deposit) == "COMPLETED"
    assert (await stage.told(who)).counts == (1, 1, 1)
