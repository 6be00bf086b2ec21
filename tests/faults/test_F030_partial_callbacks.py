"""F30: callbacks that lack their metadata, their receipt, or wrap it otherwise."""

import pytest

from tests.faults.stage import Stage


@pytest.mark.parametrize("metadata", ["none", "no_receipt"])
async def test_a_success_without_a_receipt_is_believed_by_query_only(stage: Stage, metadata: str) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"metadata": metadata})
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


async def test_one_item_outside_a_list_is_read(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"metadata": "object"})
    await stage.reaches(deposit, "COMPLETED")
    assert claims(stage, deposit) == ["query"]
    assert stage.reviews(deposit) == []
    assert stage.postings(deposit) == ["paid", "hold", "done"]


def claims(stage: Stage, deposit: str) -> list[str]:
    """What a callback's word that it was paid had to wait for."""
    held = stage.rows(
        "SELECT JSON_VALUE(data, '$.held_for') FROM {ledger}.transaction_events WHERE transaction_id = %s"
        " AND event = 'MpesaPaid' AND JSON_VALUE(data, '$.source') = 'callback'",
        deposit,
    )
    return [str(reason) for (reason,) in held]
