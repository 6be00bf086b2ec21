"""F29: a genuine callback is replayed to the address of another deposit."""

from tests.faults.stage import Stage


async def test_it_is_put_aside_and_credits_nobody(stage: Stage) -> None:
    payer, other = stage.customer(), stage.customer()
    paid = await stage.deposit(payer)
    await stage.reaches(paid, "COMPLETED")
    waiting = await stage.deposit(other, phone={"outcome": "1032", "answer_delay_s": 3.0})
    await stage.reaches(waiting, "AWAITING_PAYER")
    (payment,) = (await stage.told(payer)).payments
    genuine = {"amount_kes": payment["amount_minor"] // 100, "receipt": payment["receipt"], "msisdn": payer.msisdn}
    url = (await stage.push_of(other))["callback_url"]
    assert await stage.forge(url, checkout_id=payment["checkout_id"], **genuine) == 200
    await stage.reaches(waiting, "FAILED")
    assert stage.postings(waiting) == []
    assert stage.reviews(waiting) == ["evidence_unusable"]
    assert (await stage.told(other)).counts == (1, 0, 0)
