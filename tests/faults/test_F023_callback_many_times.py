"""F23: the same callback twenty times at once."""

from tests.faults.stage import Stage


async def test_it_is_one_payment_and_every_copy_is_acknowledged(unlisted: Stage) -> None:
    stage, who = unlisted, unlisted.customer()
    deposit = await stage.only_called_back(who, copies=20)
    await stage.reaches(deposit, "COMPLETED")
    assert stage.paid_by(deposit) == "callback"
    url = (await stage.push_of(who))["callback_url"]
    sent = [one for one in (await stage.control.get("/deliveries"))["deliveries"] if one["url"] == url]
    assert [one["status"] for one in sent] == [200] * 20
    assert stage.postings(deposit) == ["paid", "hold", "done"]
    assert (await stage.told(who)).counts == (1, 1, 1)
