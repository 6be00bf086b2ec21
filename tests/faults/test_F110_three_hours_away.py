"""F110: everything is away for three hours of a saga's time, and then every callback of them comes at once."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from tests.faults.operating import configured
from tests.faults.stage import Stage

CROWD = 25
SPEED = 1000
AWAY_S = 3 * 3600 / SPEED


def callbacks(stage: Stage, deposits: Sequence[str]) -> Counter[str]:
    """How many callbacks of these deposits stand in which state."""
    return Counter(
        str(status)
        for deposit in deposits
        for (status,) in stage.rows(
            "SELECT i.status FROM {ledger}.callback_inbox i"
            " JOIN {ledger}.provider_operations o ON o.id = i.operation_id"
            " WHERE o.transaction_id = %s AND i.kind = 'stk'",
            deposit,
        )
    )


async def test_everybody_is_caught_up_with_once(stage: Stage) -> None:
    crowd = [stage.customer() for _ in range(CROWD)]
    # What was lost with the node is not a person's question as soon as it is back.
    asked = {"PENPAY_TIMING__SPEED": str(SPEED), "PENPAY_TIMING__UNKNOWN_UNTIL_S": str(24 * 3600)}
    async with configured(stage.installation.node, **asked):
        silent = {"answer_delay_s": 0.5, "callback": "lost"}
        deposits = await asyncio.gather(*(stage.deposit(who, phone=silent) for who in crowd))
        pushes = [str((await stage.push_of(who))["checkout_id"]) for who in crowd]
        stage.installation.node.kill()
        gone_s = time.monotonic()
        async with asyncio.timeout(30):
            while sum([len((await stage.told(who)).payments) for who in crowd]) < CROWD:
                await asyncio.sleep(0.2)
        # Nothing to wait for but the time itself: three hours, a thousand times faster.
        await asyncio.sleep(max(0.0, gone_s + AWAY_S - time.monotonic()))
        await stage.installation.node.start_async()
        # Each comes twice, all in one rush, as the sagas ask on their own.
        ask = stage.control.post
        await asyncio.gather(*(ask(f"/pushes/{checkout_id}/callback", {"copies": 2}) for checkout_id in pushes))
        for who, deposit in zip(crowd, deposits, strict=True):
            await stage.reaches(deposit, "COMPLETED", within_s=60)
            assert (await stage.told(who)).counts == (1, 1, 1)
        # Each is kept once, and dealt with.
        async with asyncio.timeout(60):
            while callbacks(stage, deposits) != {"CONSUMED": CROWD}:
                await asyncio.sleep(0.1)
