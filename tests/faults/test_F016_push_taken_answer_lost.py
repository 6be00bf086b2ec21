"""F16: Safaricom took the push, and its answer never came."""

from tests.faults.stage import WAITS, Stage


async def test_the_callback_finds_its_deposit_and_nobody_is_asked_twice(unlisted: Stage) -> None:
    stage, who = unlisted, unlisted.customer()
    deposit = await stage.deposit(who, phone={**WAITS, "fault": "reset_after"})
    await stage.reaches(deposit, "STK_UNKNOWN", "FAILED")
    await stage.answers(who)
    await stage.reaches(deposit, "COMPLETED")
    assert "STK_UNKNOWN" in stage.path(deposit)
    # Only the callback names the push, which a query then agrees to.
    assert stage.paid_by(deposit) == "query"
    assert await stage.receipt_credited(who, deposit)
    assert (await stage.told(who)).counts == (1, 1, 1)
