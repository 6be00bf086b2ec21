"""F22: the callback comes before the answer to the push."""

from tests.faults.stage import Stage


async def test_it_is_stored_and_credits_once(unlisted: Stage) -> None:
    stage, who = unlisted, unlisted.customer()
    deposit = await stage.deposit(who, phone={"before_ack": True, "answer_delay_s": 0.0})
    await stage.reaches(deposit, "COMPLETED")
    # A query had to agree, and the receipt of what it agreed to is the callback's.
    assert stage.paid_by(deposit) == "query"
    assert await stage.receipt_credited(who, deposit)
    assert stage.postings(deposit) == ["paid", "hold", "done"]
    assert (await stage.told(who)).counts == (1, 1, 1)
