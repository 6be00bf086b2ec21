"""F29: a genuine callback is replayed to the address of another deposit, payout or refund."""

import asyncio
from collections.abc import Mapping
from typing import Any

from tests.faults.operating import run, until_ready
from tests.faults.stage import WAITS, Stage
from tests.faults.withdrawing import held, no_status, operations, tree, withdrawer


async def test_it_is_put_aside_and_credits_nobody(stage: Stage) -> None:
    payer, other = stage.customer(), stage.customer()
    paid = await stage.deposit(payer)
    await stage.reaches(paid, "COMPLETED")
    waiting = await stage.deposit(other, phone=WAITS)
    await stage.reaches(waiting, "AWAITING_PAYER")
    (payment,) = (await stage.told(payer)).payments
    genuine = {"amount_kes": payment["amount_minor"] // 100, "receipt": payment["receipt"], "msisdn": payer.msisdn}
    url = (await stage.push_of(other))["callback_url"]
    assert await stage.forge(url, checkout_id=payment["checkout_id"], **genuine) == 200
    await put_aside(stage, waiting)
    await stage.answers(other, "1032")
    await stage.reaches(waiting, "FAILED")
    assert stage.postings(waiting) == []
    assert stage.reviews(waiting) == ["evidence_unusable"]
    assert (await stage.told(other)).counts == (1, 0, 0)
    await closed_by_people(stage, waiting)


async def closed_by_people(stage: Stage, transaction_id: str) -> None:
    """They find it, may only close it, do so with a node that was killed in between, and the deposit stays as it is."""
    before = stage.path(transaction_id)
    _, story = await run(stage.installation, "explain", transaction_id)
    (question,) = [one for one in story["reviews"] if not one["closed_at"]]
    assert question["actions"] == ["close"]
    words = ("review", "resolve", question["id"], "--by", "Achieng Otieno", "--second", "Brian Kamau", "--yes")
    status, refused = await run(stage.installation, *words, "--evidence", "ticket 29", "--action", "credit")
    assert (status, refused["done"]) == (1, False)
    node = stage.installation.node
    node.kill()
    await node.start_async()
    await until_ready(stage)
    status, done = await run(stage.installation, *words, "--evidence", "ticket 29", "--action", "close")
    assert (status, done["done"]) == (0, True)
    status, again = await run(stage.installation, *words, "--evidence", "ticket 29", "--action", "close")
    assert (status, "Achieng Otieno and Brian Kamau, ticket 29" in again["refusal"]) == (1, True)
    assert (stage.reviews(transaction_id), stage.path(transaction_id)) == ([], before)


async def test_the_result_of_another_payout_pays_nobody(stage: Stage) -> None:
    paid, waiting = await withdrawer(stage), await withdrawer(stage)
    await stage.reaches(await paid.withdraw(), "COMPLETED")
    genuine = await paid.payout()
    # Nobody tells of its own payout before the other one's result was put aside.
    async with no_status(stage):
        withdrawal = await waiting.withdraw(b2c={"callback": "lost"})
        await stage.reaches(withdrawal, "AWAITING_RESULT", "B2C_UNKNOWN")
        url = (await waiting.payout())["result_url"]
        assert await stage.forge(url, body={"Result": result_of(genuine)}) == 200
        await put_aside(stage, withdrawal)
        assert stage.state(withdrawal) in {"AWAITING_RESULT", "B2C_UNKNOWN"}
    await stage.reaches(withdrawal, "COMPLETED")
    assert stage.postings(withdrawal) == ["debited", "witnessed", "payout_hold", "payout_done"]
    assert ((await waiting.told()).counts, held(stage, withdrawal)) == ((1, 1, 0), {})


async def test_the_result_of_another_payout_is_put_aside_once_by_whoever_follows_a_crash(stage: Stage) -> None:
    paid, waiting = await withdrawer(stage), await withdrawer(stage)
    await stage.reaches(await paid.withdraw(), "COMPLETED")
    genuine = await paid.payout()
    # Nobody tells of its own payout before the other one's result was put aside.
    async with no_status(stage):
        withdrawal = await waiting.withdraw(b2c={"callback": "lost"})
        await stage.reaches(withdrawal, "AWAITING_RESULT", "B2C_UNKNOWN")
        ((shard,),) = stage.rows("SELECT shard FROM {ledger}.transactions WHERE id = %s", withdrawal)
        url = (await waiting.payout())["result_url"]
        # It is stored and acknowledged, and nobody has looked at it.
        await tree(stage, f"shards/{shard}/inbox", "stop")
        assert await stage.forge(url, body={"Result": result_of(genuine)}) == 200
        stage.installation.node.kill()
        assert [status for _, status in results(stage, withdrawal)] == ["NEW"]
        await stage.installation.node.start_async()
        await put_aside(stage, withdrawal)
        assert stage.postings(withdrawal) == ["debited", "witnessed", "payout_hold"]
    await stage.reaches(withdrawal, "COMPLETED")
    asked = stage.rows("SELECT kind FROM {ledger}.review_items WHERE transaction_id = %s", withdrawal)
    assert asked == [("evidence_unusable",)]
    assert stage.postings(withdrawal) == ["debited", "witnessed", "payout_hold", "payout_done"]
    assert len(operations(stage, withdrawal, "B2C")) == 1
    assert ((await waiting.told()).counts, held(stage, withdrawal)) == ((1, 1, 0), {})


async def test_the_result_of_another_reversal_refunds_nobody(stage: Stage) -> None:
    refunded, waiting = stage.customer(), stage.customer()
    refused = {"fault": "refuse", "error_code": "PaymentAgentTransferError"}
    await stage.reaches(await stage.deposit(refunded, deriv=refused), "REVERSED")
    (genuine,) = await reversals(stage, refunded.msisdn)
    async with no_status(stage):
        await stage.control.post("/daraja/script", {"steps": [{"op": "reversal", "callback": "lost"}]})
        deposit = await stage.deposit(waiting, deriv=refused)
        await stage.reaches(deposit, "REFUND_SENDING")
        async with asyncio.timeout(30):
            while operations(stage, deposit, "REVERSAL") != [("SENT", 1)]:
                await asyncio.sleep(0.05)
        await replayed(stage, genuine, waiting.msisdn)
        await put_aside(stage, deposit)
        assert stage.state(deposit) == "REFUND_SENDING"
    await stage.reaches(deposit, "REVERSED")


async def replayed(stage: Stage, genuine: Mapping[str, str], msisdn: str) -> None:
    """The result of a genuine reversal, at the address of another one."""
    result = {
        "ResultType": 0,
        "ResultCode": 0,
        "OriginatorConversationID": genuine["originator_id"],
        "ConversationID": genuine["conversation_id"],
        "TransactionID": genuine["reversal_receipt"],
    }
    (open_,) = await reversals(stage, msisdn)
    assert await stage.forge(open_["result_url"], body={"Result": result}) == 200


def result_of(payout: Mapping[str, Any]) -> dict[str, Any]:
    """What Safaricom says of a payout that it made."""
    return {
        "ResultType": 0,
        "ResultCode": 0,
        "OriginatorConversationID": payout["originator_id"],
        "ConversationID": payout["conversation_id"],
        "TransactionID": payout["receipt"],
    }


def results(stage: Stage, withdrawal: str) -> list[tuple[Any, ...]]:
    """Id and state of the results that came for its payout."""
    return stage.rows(
        "SELECT i.id, i.status FROM {ledger}.callback_inbox i JOIN {ledger}.provider_operations o"
        " ON o.id = i.operation_id WHERE o.transaction_id = %s AND i.kind = 'b2c'",
        withdrawal,
    )


async def put_aside(stage: Stage, transaction_id: str) -> None:
    """Wait until the callback of another is before a person."""
    async with asyncio.timeout(30):
        while stage.reviews(transaction_id) != ["evidence_unusable"]:
            await asyncio.sleep(0.05)


async def reversals(stage: Stage, msisdn: str) -> list[dict[str, str]]:
    """What Safaricom was asked to give back to this phone."""
    truth = await stage.control.get("/truth")
    receipts = {payment["receipt"] for payment in truth["payments"] if payment["msisdn"] == msisdn}
    return [one for one in truth["reversals"] if one["receipt"] in receipts]
