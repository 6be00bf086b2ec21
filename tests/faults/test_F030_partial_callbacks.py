"""F30: callbacks that lack their metadata, their receipt, or wrap it otherwise."""

import asyncio

import pytest

from penpay.bench.seed import Customer
from tests.faults.stage import Stage


@pytest.mark.parametrize("metadata", ["none", "no_receipt"])
async def test_a_success_without_a_receipt_is_believed_by_query_only(unlisted: Stage, metadata: str) -> None:
    stage, who = unlisted, unlisted.customer()
    deposit = await told_by_its_callback(stage, who, metadata)
    await stage.reaches(deposit, "COMPLETED")
    # The callback was a claim, and what it claimed was asked about.
    assert claims(stage, deposit) == ["query"]
    assert stage.paid_by(deposit) in {"query", "pull"}
    assert (await stage.told(who)).counts == (1, 1, 1)


@pytest.mark.slow
async def test_a_success_that_no_query_confirms_credits_nothing(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"outcome": "1032", "answer_delay_s": 2.0})
    push = await stage.push_of(who)
    bare = {"stkCallback": {"MerchantRequestID": "m", "CheckoutRequestID": push["checkout_id"], "ResultCode": 0}}
    assert await stage.control.post("/forge", {"url": push["callback_url"], "body": {"Body": bare}}) == {"status": 200}
    await stage.reaches(deposit, "FAILED", "IN_REVIEW")
    assert stage.postings(deposit) == []


async def test_one_item_outside_a_list_is_read(unlisted: Stage) -> None:
    stage = unlisted
    deposit = await told_by_its_callback(stage, stage.customer(), "object")
    await stage.reaches(deposit, "COMPLETED")
    assert claims(stage, deposit) == ["query"]
    assert stage.reviews(deposit) == []
    assert stage.postings(deposit) == ["paid", "hold", "done"]


async def told_by_its_callback(stage: Stage, who: Customer, metadata: str) -> str:
    """A deposit of which the callback is the first to tell; the list of payments follows it."""
    # Sleepers are woken once a second: two of their questions learn nothing.
    deposit = await stage.deposit(who, phone={"metadata": metadata, "query": ["pending"] * 2})
    async with asyncio.timeout(60):
        while not claims(stage, deposit):
            await asyncio.sleep(0.05)
    await stage.control.post("/daraja/script", {"knobs": {"pull_lag_s": 0.0}})
    return deposit


def claims(stage: Stage, deposit: str) -> list[str]:
    """What a callback's word that it was paid had to wait for."""
    held = stage.rows(
        "SELECT JSON_VALUE(data, '$.held_for') FROM {ledger}.transaction_events WHERE transaction_id = %s"
        " AND event = 'MpesaPaid' AND JSON_VALUE(data, '$.source') = 'callback'",
        deposit,
    )
    return [str(reason) for (reason,) in held]
