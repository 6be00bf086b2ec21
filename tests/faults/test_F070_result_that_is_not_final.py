"""F70: a result that only says to wait for further messages."""

from tests.faults.stage import Stage
from tests.faults.withdrawing import believed_for, held, withdrawer


async def test_it_decides_nothing_and_the_status_does(stage: Stage) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(b2c={"result_type": 1})
    await stage.reaches(withdrawal, "COMPLETED")
    assert "B2C_UNKNOWN" in stage.path(withdrawal)
    assert believed_for(stage, withdrawal) == ["status"]
    assert (await who.told()).counts == (1, 1, 0)
    assert held(stage, withdrawal) == {}


async def test_a_failure_that_is_not_final_gives_nothing_back(stage: Stage) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(b2c={"delay_s": 1.5})
    payout = await who.payout()
    waiting = {"ResultType": 1, "ResultCode": 2040, "ConversationID": payout["conversation_id"]}
    assert await stage.forge(payout["result_url"], body={"Result": waiting}) == 200
    await stage.reaches(withdrawal, "COMPLETED")
    ((failures,),) = stage.rows(
        "SELECT COUNT(*) FROM {ledger}.transaction_events WHERE transaction_id = %s AND event = 'PayoutFailed'",
        withdrawal,
    )
    assert failures == 0
    assert (await who.told()).counts == (1, 1, 0)
