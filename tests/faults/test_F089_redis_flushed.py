"""F89: Redis is flushed in the middle of a deposit."""

import asyncio

from tests.faults.stage import Stage


async def test_no_money_and_no_notice_is_lost(stage: Stage) -> None:
    crowd = [stage.customer() for _ in range(5)]
    deposits = await asyncio.gather(*(stage.deposit(who, phone={"answer_delay_s": 1.0}) for who in crowd))
    headers = {"Authorization": f"Bearer {crowd[0].token}"}
    async with stage.session.get(f"{stage.installation.node.public_url}/api/v1/events", headers=headers) as stream:
        for _ in range(3):
            stage.installation.redis.flush()
            await asyncio.sleep(0.3)
        async with asyncio.timeout(60):
            async for line in stream.content:
                if line.startswith(b"data:") and b'"COMPLETED"' in line:
                    assert deposits[0].encode() in line
                    break
    for who, deposit in zip(crowd, deposits, strict=True):
        await stage.reaches(deposit, "COMPLETED")
        assert (await stage.told(who)).counts == (1, 1, 1)
