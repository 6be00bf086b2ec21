"""A database that goes back in time: a copy of its folder, put back later under a node that knows better."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp

from penpay.bench.seed import seed
from penpay.demo.rails import SandboxControl
from penpay.stack import PrivateInstallation
from tests.faults.operating import run
from tests.faults.stage import Stage


@asynccontextmanager
async def staged(installation: PrivateInstallation, *, customers: int) -> AsyncIterator[Stage]:
    """A stage of the test's own."""
    crowd = iter(await seed(installation.node.env or {}, customers))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        control = SandboxControl(installation.control_url, session)
        await control.post("/daraja/script", {"knobs": {"push_interval_s": 0.0}})
        yield Stage(installation, session, control, crowd)


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
    # It will not be ready: the door opens, and money stays where it is.
    async with asyncio.timeout(60):
        while not await _listens(installation.node.public_url):
            await asyncio.sleep(0.1)


async def _listens(url: str) -> bool:
    address = urlsplit(url)
    try:
        _, writer = await asyncio.open_connection(address.hostname, address.port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def until_opened(installation: PrivateInstallation) -> None:
    """Compare with the providers until everything agrees and money may leave again."""
    async with asyncio.timeout(150):
        while not (await run(installation, "reconcile"))[1]["opened_shards"]:
            await asyncio.sleep(0.2)
