"""F69: a result comes twice, or another one says the opposite."""

import asyncio
from collections.abc import Mapping
from typing import Any

from tests.faults.stage import Stage
from tests.faults.withdrawing import held, no_status, withdrawer


def _result(payout: Mapping[str, Any], code: int) -> dict[str, Any]:
    parameters = [
        {"Key": "TransactionAmount", "Value": payout["amount_minor"] / 100},
        {"Key": "TransactionReceipt", "Value": payout["receipt"]},
    ]
    result = {
        "ResultType": 0,
        "ResultCode": code,
        "ResultDesc": "said by a test",
        "OriginatorConversationID": payout["originator_id"],
        "ConversationID": payout["conversation_id"],
        "TransactionID": payout["receipt"],
    }
    return {"Result": {**result, **({} if code else {"ResultParameters": {"ResultParameter": parameters}})}}


async def test_five_results_at_once_pay_once(stage: Stage) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(b2c={"copies": 5})
    await stage.reaches(withdrawal, "COMPLETED")
    payout = await who.payout()
    assert await stage.forge(payout["result_url"], body=_result(payout, 0)) == 200
    assert (await who.told()).counts == (1, 1, 0)
    assert stage.postings(withdrawal) == ["debited", "witnessed", "payout_hold", "payout_done"]
    assert stage.reviews(withdrawal) == []


async def test_a_failure_after_the_success_is_looked_at_and_gives_nothing_back(stage: Stage) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw()
    await stage.reaches(withdrawal, "COMPLETED")
    payout = await who.payout()
    assert await stage.forge(payout["result_url"], body=_result(payout, 2040)) == 200
    await stage.reaches(withdrawal, "IN_REVIEW")
    assert stage.reviews(withdrawal) == ["contradicting_result"]
    assert (await who.told()).counts == (1, 1, 0)
    assert held(stage, withdrawal) == {}


async def test_a_success_while_the_failure_is_checked_wins(stage: Stage) -> None:
    who = await withdrawer(stage)
    # The failure is heard before anything else is told.
    async with no_status(stage):
        withdrawal = await who.withdraw(b2c={"callback": "lost"})
        payout = await who.payout()
        assert await stage.forge(payout["result_url"], body=_result(payout, 2040)) == 200
        failed = "SELECT 1 FROM {ledger}.transaction_events WHERE transaction_id = %s AND event = 'PayoutFailed'"
        async with asyncio.timeout(30):
            while not stage.rows(failed, withdrawal):
                await asyncio.sleep(0.05)
    await stage.reaches(withdrawal, "COMPLETED")
    assert (await who.told()).counts == (1, 1, 0)
    assert "RETURN_SENDING" not in stage.path(withdrawal)
    assert stage.postings(withdrawal) == ["debited", "witnessed", "payout_hold", "payout_done"]


async def test_a_success_after_the_dollars_went_back_is_looked_at(stage: Stage) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(b2c={"result_code": "2040"})
    await stage.reaches(withdrawal, "REVERSED")
    payout = await who.payout()
    assert await stage.forge(payout["result_url"], body=_result(payout, 0)) == 200
    async with asyncio.timeout(30):
        while not stage.reviews(withdrawal):
            await asyncio.sleep(0.05)
    assert stage.state(withdrawal) == "IN_REVIEW"
    assert "payout_done" not in stage.postings(withdrawal)
    assert (await who.told()).counts == (1, 0, 1)
