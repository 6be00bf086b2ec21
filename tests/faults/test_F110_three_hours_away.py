"""F110: everything is away for three hours of a saga's time, and then every callback of them comes at once."""

import asyncio
import time

from tests.faults.operating import configured
from tests.faults.stage import Stage

CROWD = 25
SPEED = 1000
AWAY_S = 3 * 3600 / SPEED


def quarantined(stage: Stage) -> set[str]:
    """Callbacks that nobody asked for; other tests on this stage leave some behind."""
    return {str(row) for (row,) in stage.rows("SELECT id FROM {ledger}.callback_inbox WHERE status = 'QUARANTINED'")}


async def test_everybody_is_caught_up_with_once(stage: Stage) -> None:
    before, crowd = quarantined(stage), [stage.customer() for _ in range(CROWD)]
    async with configured(stage, PENPAY_TIMING__SPEED=str(SPEED)):
        late = {"answer_delay_s": 0.5, "callback_delay_s": AWAY_S + 4.0, "copies": 2}
        deposits = await asyncio.gather(*(stage.deposit(who, phone=late) for who in crowd))
        for who in crowd:
            await stage.push_of(who)
        stage.installation.node.kill()
        gone_s = time.monotonic()
        async with asyncio.timeout(30):
            while sum([len((await stage.told(who)).payments) for who in crowd]) < CROWD:
                await asyncio.sleep(0.2)
        # Nothing to wait for but the time itself: three hours, a thousand times faster.
        await asyncio.sleep(max(0.0, gone_s + AWAY_S - time.monotonic()))
        await stage.installation.node.start_async()
        for who, deposit in zip(crowd, deposits, strict=True):
            await stage.reaches(deposit, "COMPLETED", within_s=60)
            assert (await stage.told(who)).counts == (1, 1, 1)
    assert quarantined(stage) <= before
