"""F87: the database is slow, or its network swallows everything."""

import asyncio

from tests.faults.stage import WAITS, Stage
from tests.harness.wire import Wire


async def test_a_slow_line_slows_down_and_loses_nothing(wired: tuple[Stage, Wire]) -> None:
    stage, wire = wired
    wire.delay_s = 0.15
    crowd = [stage.customer() for _ in range(3)]
    deposits = await asyncio.gather(*(stage.deposit(who) for who in crowd))
    for who, deposit in zip(crowd, deposits, strict=True):
        await stage.reaches(deposit, "COMPLETED", within_s=60)
        assert (await stage.told(who)).counts == (1, 1, 1)


async def test_a_line_that_swallows_everything_is_answered_in_time_and_got_over(wired: tuple[Stage, Wire]) -> None:
    stage, wire = wired
    who, asking = stage.customer(), stage.customer()
    deposit = await stage.deposit(who, phone=WAITS)
    await stage.push_of(who)
    wire.silent = True
    await stage.answers(who)
    # Bounded by our own time-outs: whoever asks is not kept for as long as the network sleeps.
    refused = await stage.ask(asking)
    assert refused.status == 503
    assert refused.body["retryable"]
    await stage.operator.until_ready(within_s=30, ready=False)
    wire.silent = False
    await stage.operator.until_ready(within_s=40)
    await stage.reaches(deposit, "COMPLETED", within_s=60)
    assert (await stage.told(who)).counts == (1, 1, 1)
