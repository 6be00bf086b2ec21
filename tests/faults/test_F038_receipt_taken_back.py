"""F38: Safaricom takes a receipt back after its dollars were credited."""

import asyncio

from tests.faults.operating import findings
from tests.faults.stage import Stage


async def test_the_comparison_names_what_is_missing_until_it_is_made_good(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who)
    await stage.reaches(deposit, "COMPLETED")
    (payment,) = (await stage.told(who)).payments
    await stage.control.post(f"/payments/{payment['receipt']}/reverse", {})
    shillings = f"{payment['amount_minor'] // 100}.00"
    async with asyncio.timeout(60):
        while "mpesa_paybill" not in (found := await findings(stage)):
            await asyncio.sleep(0.1)
    assert found["mpesa_paybill"]["words"] == f"the provider has {shillings} less than our books"
    # Credited once, and not taken out of anybody's account: the loss is a person's question.
    assert len((await stage.told(who)).transfers) == 1
    assert stage.state(deposit) == "COMPLETED"
    await stage.control.post("/funds", {"account": "paybill", "delta_minor": payment["amount_minor"]})
    async with asyncio.timeout(60):
        while "mpesa_paybill" in await findings(stage):
            await asyncio.sleep(0.1)
