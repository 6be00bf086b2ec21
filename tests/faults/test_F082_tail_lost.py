"""F82: the database comes back without its last commits, as after a failover to a replica that lagged."""

import asyncio

from penpay.stack import PrivateInstallation
from tests.faults.operating import findings
from tests.faults.restoring import copied, put_back, staged, until_opened
from tests.faults.stage import SETTINGS


async def test_nothing_is_sent_until_the_providers_agree_and_then_it_goes_on_alone(
    make_installation: type[PrivateInstallation],
) -> None:
    installation = make_installation(settings=SETTINGS)
    installation.start()
    async with staged(installation, customers=9) as stage:
        await stage.reaches(await stage.deposit(stage.customer()), "COMPLETED")
        old = await copied(installation)
        # Units that move no money, so that nothing but the length of the books tells.
        lost = await stage.deposit(stage.customer(), phone={"outcome": "1032"})
        await stage.reaches(lost, "FAILED")
        await asyncio.sleep(2.0)
        await put_back(installation, old)
        # Of whichever shard: what they share is the database.
        asking = [stage.customer() for _ in range(6)]
        replies = [await stage.ask(who) for who in asking]
        assert {reply.status for reply in replies} <= {202, 503}, [reply.body for reply in replies]
        await asyncio.sleep(3.0)
        assert [(await stage.told(who)).counts for who in asking] == [(0, 0, 0)] * 6, "sent before the comparison"
        await until_opened(installation)
        for who, reply in zip(asking, replies, strict=True):
            if reply.status == 202:
                # A prompt that had to wait for too long is not shown any more.
                end = await stage.reaches(reply.body["id"], "COMPLETED", "FAILED")
                assert (await stage.told(who)).counts == {"COMPLETED": (1, 1, 1), "FAILED": (0, 0, 0)}[end]
        assert await findings(stage) == {}
        await stage.reaches(await stage.deposit(stage.customer()), "COMPLETED")
    assert "whole" in installation.run("audit", "verify")
