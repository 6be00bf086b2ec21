"""F14: the customer is frozen between admission and the next call of a provider."""

from tests.faults.stage import WAITS, Stage

FREEZE = """
INSERT INTO {ledger}.user_status (user_id, shard, status, frozen_at, reason, updated_at)
SELECT user_id, shard, 'FROZEN', UTC_TIMESTAMP(6), 'a match', UTC_TIMESTAMP(6) FROM {ledger}.transactions WHERE id = %s
"""


async def _freeze(stage: Stage, transaction_id: str) -> None:
    stage.rows(FREEZE, transaction_id)
    # What a shard remembers of a customer is read again by its next incarnation.
    for shard in range(4):
        assert await stage.operator.restart(f"shards/{shard}/ledger") == 200


async def test_money_that_arrives_is_booked_and_goes_nowhere(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone=WAITS)
    await stage.reaches(deposit, "AWAITING_PAYER")
    await _freeze(stage, deposit)
    await stage.answers(who)
    await stage.reaches(deposit, "IN_REVIEW")
    assert stage.reviews(deposit) == ["account_frozen"]
    assert stage.postings(deposit) == ["paid"]
    assert (await stage.told(who)).counts == (1, 1, 0)
    refused = await stage.ask(who)
    assert (refused.status, refused.code) == (403, "account_frozen")


async def test_a_transfer_that_waits_for_its_turn_is_taken_back(stage: Stage) -> None:
    who = stage.customer()
    refused = {"fault": "refuse", "error_code": "PaymentAgentTransferError", "times": 100}
    deposit = await stage.deposit(
        who, deriv={**refused, "error_message": "Your account balance is insufficient to transfer this amount."}
    )
    await stage.reaches(deposit, "DERIV_HELD")
    await _freeze(stage, deposit)
    await stage.reaches(deposit, "IN_REVIEW")
    assert stage.reviews(deposit) == ["account_frozen"]
    assert stage.postings(deposit) == ["paid", "hold", "void"]
    assert (await stage.told(who)).counts == (1, 1, 0)
