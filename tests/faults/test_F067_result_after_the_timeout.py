"""F67: Safaricom's queue times out, and the payout succeeds after all."""

import asyncio

from tests.faults.stage import Stage
from tests.faults.withdrawing import believed_for, held, no_status, withdrawer


async def test_a_late_result_wins_and_nothing_was_given_back(stage: Stage) -> None:
    who = await withdrawer(stage)
    async with no_status(stage):
        withdrawal = await who.withdraw(b2c={"callback": "queue_timeout_then_send", "callback_delay_s": 2.0})
        await stage.reaches(withdrawal, "COMPLETED")
    assert "B2C_UNKNOWN" in stage.path(withdrawal)
    assert "RETURN_SENDING" not in stage.path(withdrawal)
    assert believed_for(stage, withdrawal) == ["result"]
    assert (await who.told()).counts == (1, 1, 0)
    assert held(stage, withdrawal) == {}


async def test_a_result_before_the_time_out_stands(stage: Stage) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw()
    await stage.reaches(withdrawal, "COMPLETED")
    payout = await who.payout()
    told_again = {"Result": {"ResultType": 1, "ResultCode": "1", "ConversationID": payout["conversation_id"]}}
    assert await stage.forge(payout["timeout_url"], body=told_again) == 200
    await consumed(stage, withdrawal)
    assert stage.state(withdrawal) == "COMPLETED"
    assert stage.reviews(withdrawal) == []
    assert stage.postings(withdrawal) == ["debited", "witnessed", "payout_hold", "payout_done"]


async def test_a_time_out_without_any_result_asks_for_the_status(stage: Stage) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(b2c={"callback": "queue_timeout"})
    await stage.reaches(withdrawal, "COMPLETED")
    assert believed_for(stage, withdrawal) == ["status"]
    assert (await who.told()).counts == (1, 1, 0)
    assert stage.postings(withdrawal).count("payout_done") == 1


async def consumed(stage: Stage, withdrawal: str) -> None:
    """Wait until the time-out of the withdrawal's payout was looked at."""
    rows = (
        "SELECT i.status FROM {ledger}.callback_inbox i JOIN {ledger}.provider_operations o ON o.id = i.operation_id"
        " WHERE o.transaction_id = %s AND i.kind LIKE %s"
    )
    async with asyncio.timeout(60):
        while (found := stage.rows(rows, withdrawal, "%timeout%")) != [("CONSUMED",)]:
            assert found in ([], [("NEW",)]), found
            await asyncio.sleep(0.05)
