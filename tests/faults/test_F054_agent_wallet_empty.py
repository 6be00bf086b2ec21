"""F54: the agent's wallet runs empty."""

from tests.faults.stage import Stage


async def test_what_was_paid_waits_for_the_top_up_and_nothing_new_is_taken(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"answer_delay_s": 1.5})
    await stage.reaches(deposit, "AWAITING_PAYER")
    all_minor = (await stage.control.get("/truth/summary"))["agent"]["current_minor"]
    await stage.control.post("/funds", {"account": "agent", "delta_minor": -all_minor})
    await stage.reaches(deposit, "DERIV_HELD")
    refused = await stage.ask(stage.customer())
    assert (refused.status, refused.code) == (503, "float_low")
    assert "Retry-After" in refused.headers
    await stage.control.post("/funds", {"account": "agent", "delta_minor": all_minor})
    await stage.reaches(deposit, "COMPLETED", within_s=40)
    assert (await stage.told(who)).counts == (1, 1, 1)
