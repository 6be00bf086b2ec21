"""F94: the node dies with live sagas, and comes back under its name."""

import asyncio

from tests.faults.stage import Stage


async def test_every_saga_goes_on_and_nothing_is_sent_twice(stage: Stage) -> None:
    crowd = [stage.customer() for _ in range(15)]
    delays = [{"answer_delay_s": 0.2 + place / 10} for place, _ in enumerate(crowd)]
    deposits = await asyncio.gather(
        *(stage.deposit(who, phone=delay) for who, delay in zip(crowd, delays, strict=True))
    )
    await stage.reaches(deposits[3], "COMPLETED")
    stage.installation.node.kill()
    await stage.installation.node.start_async()
    for who, deposit in zip(crowd, deposits, strict=True):
        await stage.reaches(deposit, "COMPLETED")
        assert (await stage.told(who)).counts == (1, 1, 1)
