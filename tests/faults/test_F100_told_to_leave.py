"""F100: SIGTERM in the middle of everything."""

import asyncio

from tests.faults.stage import Stage


async def test_it_leaves_in_time_and_what_was_parked_goes_on(stage: Stage) -> None:
    crowd = [stage.customer() for _ in range(10)]
    delays = [{"answer_delay_s": 0.2 + place / 5} for place, _ in enumerate(crowd)]
    deposits = await asyncio.gather(
        *(stage.deposit(who, phone=delay) for who, delay in zip(crowd, delays, strict=True))
    )
    await stage.reaches(deposits[2], "DERIV_SENDING", "COMPLETED")
    # Not killed for taking too long: that would not be 0.
    assert await stage.installation.node.stop_async() == 0
    free = stage.rows("SELECT COUNT(*) FROM {ledger}.leases WHERE state = 'OWNED'")
    assert free == [(0,)]
    await stage.installation.node.start_async()
    for who, deposit in zip(crowd, deposits, strict=True):
        await stage.reaches(deposit, "COMPLETED")
        assert (await stage.told(who)).counts == (1, 1, 1)
