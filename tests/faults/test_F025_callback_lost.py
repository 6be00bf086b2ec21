"""F25: the callback never comes."""

import asyncio

from tests.faults.stage import Stage


async def test_a_query_finds_the_payment(stage: Stage) -> None:
    crowd = [stage.customer() for _ in range(4)]
    deposits = await asyncio.gather(*(stage.deposit(who, phone={"callback": "lost"}) for who in crowd))
    for who, deposit in zip(crowd, deposits, strict=True):
        await stage.reaches(deposit, "COMPLETED")
        assert (await stage.told(who)).counts == (1, 1, 1)


async def test_the_receipt_is_attached_later_and_books_nothing(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"callback": "lost"})
    await stage.reaches(deposit, "COMPLETED")
    (payment,) = (await stage.told(who)).payments
    async with asyncio.timeout(60):
        while not (await stage.get(who, f"/transactions/{deposit}")).body["evidence"].get("mpesa_receipt"):
            await asyncio.sleep(0.1)
    assert stage.reviews(deposit) == []
    shown = (await stage.get(who, f"/transactions/{deposit}")).body
    assert shown["evidence"]["mpesa_receipt"] == payment["receipt"]
    assert stage.postings(deposit) == ["paid", "hold", "done"]
