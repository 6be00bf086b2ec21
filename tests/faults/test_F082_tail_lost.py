"""F82: the database comes back without its last commits, as after a failover to a replica that lagged."""

import asyncio
import shutil

import aiohttp

from penpay.bench.seed import seed
from penpay.demo.rails import SandboxControl
from penpay.stack import PrivateInstallation
from tests.faults.operating import findings, run
from tests.faults.stage import SETTINGS, Stage


async def test_nothing_is_sent_until_the_providers_agree_and_then_it_goes_on_alone(
    make_installation: type[PrivateInstallation],
) -> None:
    installation = make_installation(settings=SETTINGS)
    installation.start()
    customers = iter(await seed(installation.node.env or {}, 6))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        control = SandboxControl(installation.control_url, session)
        await control.post("/daraja/script", {"knobs": {"push_interval_s": 0.0}})
        stage = Stage(installation, session, control, customers)
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
        opened: list[int] = []
        async with asyncio.timeout(150):
            while not opened:
                _, report = await run(installation, "reconcile")
                opened = report["opened_shards"]
        assert opened
        assert await findings(stage) == {}
        await stage.reaches(await stage.deposit(stage.customer()), "COMPLETED")
    assert "whole" in installation.run("audit", "verify")


async def copied(installation: PrivateInstallation) -> str:
    """The database's folder as it is now, taken while nobody writes."""
    await installation.node.stop_async()
    await installation.mariadb.stop_async()
    old = f"{installation.mariadb.data_path}.old"
    shutil.copytree(installation.mariadb.data_path, old)
    await installation.mariadb.start_async()
    await installation.node.start_async()
    return old


async def put_back(installation: PrivateInstallation, old: str) -> None:
    """The old folder instead of the present one, under a node that knows better."""
    installation.node.kill()
    await installation.mariadb.stop_async()
    shutil.rmtree(installation.mariadb.data_path)
    shutil.move(old, installation.mariadb.data_path)
    await installation.mariadb.start_async()
    installation.node.spawn()
    async with asyncio.timeout(30):
        while installation.node.status("/healthz") != 200:
            await asyncio.sleep(0.1)
