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
    async with staged(installation, customers=6) as stage:
        await stage.reaches(await stage.deposit(stage.customer()), "COMPLETED")
        old = await copied(installation)
        # Units that move no money, so that nothing but the length of the books tells.
        lost = await stage.deposit(stage.customer(), phone={"outcome": "1032"})
        await stage.reaches(lost, "FAILED")
        await asyncio.sleep(2.0)
        await put_back(installation, old)
        asking = stage.customer()
        reply = await stage.ask(asking)
        assert reply.status in {202, 503}, reply.body
        await asyncio.sleep(3.0)
        assert (await stage.told(asking)).counts == (0, 0, 0), "sent before the comparison"
        await until_opened(installation)
        assert await findings(stage) == {}
        await stage.reaches(await stage.deposit(stage.customer()), "COMPLETED")
    assert "whole" in installation.run("audit", "verify")
