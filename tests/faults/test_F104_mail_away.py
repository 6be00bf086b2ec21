"""F104: the mail server is away, or refuses for a while."""

import asyncio
from typing import Any

from penpay.adapters.news_store import CLAIM_S
from tests.faults.stage import Stage


async def mails_about(stage: Stage, transaction_id: str) -> list[dict[str, Any]]:
    return [one for one in (await stage.control.get("/mail"))["messages"] if transaction_id in one["text"]]


async def test_money_does_not_wait_for_mail_and_the_mail_comes_once_later(stage: Stage) -> None:
    await stage.control.post("/mail", {"fail": 1000, "status": 451})
    who = stage.customer()
    deposit = await stage.deposit(who)
    await stage.reaches(deposit, "COMPLETED")
    assert (await stage.told(who)).counts == (1, 1, 1)
    assert await mails_about(stage, deposit) == []
    await stage.control.post("/mail", {"fail": 0})
    # A node that was killed in the middle of a shard's mails keeps them claimed for so long.
    async with asyncio.timeout(CLAIM_S + 45):
        while not (found := await mails_about(stage, deposit)):
            await asyncio.sleep(0.2)
    assert len(found) == 1
    assert found[0]["subject"] == "PenPay: Your deposit is complete"
