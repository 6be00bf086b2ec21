"""F40: a callback comes while the database is away."""

import asyncio

from tests.faults.stage import Stage


async def test_it_is_never_acknowledged_and_the_money_is_found_all_the_same(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"callback": "lost", "answer_delay_s": 0.5})
    push = await stage.push_of(who)
    told = {"amount_kes": stage.amount_of(who), "checkout_id": push["checkout_id"], "msisdn": who.msisdn}
    mariadb = stage.installation.mariadb
    mariadb.kill()
    async with asyncio.timeout(20):
        assert await stage.forge(push["callback_url"], **told) in {500, 503}
    await mariadb.start_async()
    await stage.operator.until_ready(within_s=30)
    await stage.reaches(deposit, "COMPLETED")
    assert (await stage.told(who)).counts == (1, 1, 1)
