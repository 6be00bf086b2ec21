"""F71: the result is lost, and then the answer to the question about it."""

from tests.faults.stage import Stage
from tests.faults.withdrawing import held, withdrawer


async def test_the_status_finds_the_payment_though_its_first_answer_is_lost_too(stage: Stage) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(b2c={"callback": "lost"})
    payout = await who.payout()
    lost = {"op": "status", "match": {"OriginalConversationID": payout["originator_id"]}, "callback": "lost"}
    await stage.control.post("/daraja/script", {"steps": [lost]})
    await stage.reaches(withdrawal, "COMPLETED")
    waiting = (await stage.control.get("/script"))["daraja"]["steps"]
    assert not [step for step in waiting if step["match"] == lost["match"]], "the lost answer was never played"
    assert "B2C_UNKNOWN" in stage.path(withdrawal)
    assert (await who.told()).counts == (1, 1, 0)
    assert held(stage, withdrawal) == {}
    (payment,) = (await who.told()).paid
    assert (await who.client.transaction(withdrawal))["evidence"]["mpesa_receipt"] == payment["receipt"]
