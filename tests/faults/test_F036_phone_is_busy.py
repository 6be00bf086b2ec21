"""F36: the phone is in another M-Pesa session."""

from tests.faults.stage import Stage


async def test_it_fails_kindly_and_the_customer_may_try_again(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"outcome": "1001"})
    await stage.reaches(deposit, "FAILED")
    failure = (await stage.get(who, f"/transactions/{deposit}")).body["failure"]
    assert failure["message"]
    assert failure["next_action"]
    again = await stage.deposit(who)
    await stage.reaches(again, "COMPLETED")
