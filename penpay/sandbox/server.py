"""Runs a sandbox: one listener for both rails, the feeds and the control API."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from penpay.sandbox.config import SandboxConfig
from penpay.sandbox.control import Control
from penpay.sandbox.house import House


@asynccontextmanager
async def running(config: SandboxConfig) -> AsyncIterator[House]:
    """A sandbox that serves inside this block; `house.identity` has its URLs."""
    house = House(config)
    app = web.Application(client_max_size=1 << 20)
    house.add_routes(app.router)
    Control(house).add_routes(app.router)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, config.host, config.port, backlog=1024)
    await site.start()
    host, port = runner.addresses[0][:2]
    house.introduce(host, port, await house.mail.start(host))
    await house.start()
    try:
        yield house
    finally:
        house.deriv.drop()
        await runner.cleanup()
        await house.close()


async def serve(config: SandboxConfig, ready: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is called once with URLs, credentials and environment."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(config) as house:
        ready(house.identity)
        await stop.wait()
