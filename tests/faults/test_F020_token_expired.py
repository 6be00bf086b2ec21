"""F20: the access token of Safaricom expires while deposits are under way."""

import asyncio

from tests.faults.stage import Stage


async def test_it_is_renewed_and_every_push_is_made_once(stage: Stage) -> None:
    crowd = [stage.customer() for _ in range(5)]
    await stage.control.post("/daraja/script", {"expire_tokens": True})
    deposits = await asyncio.gather(*(stage.deposit(who) for who in crowd))
    for who, deposit in zip(crowd, deposits, strict=True):
        await stage.reaches(deposit, "COMPLETED")
        assert "STK_UNKNOWN" not in stage.path(deposit)
        assert (await stage.told(who)).counts == (1, 1, 1)
