"""The sandbox in this process, and our own adapters pointed at it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from penpay.adapters.crypto import security_credential
from penpay.adapters.daraja import DarajaAccount, HttpDaraja
from penpay.adapters.deriv import WebSocketDialer
from penpay.adapters.system import SystemClock
from penpay.sandbox.config import SandboxConfig
from penpay.sandbox.server import running
from tests.rails.fakes import Sandbox

PHONE = "254708374149"


@pytest.fixture
async def sandbox_rails(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with (
        running(SandboxConfig(data_dir=tmp_path)) as house,
        aiohttp.ClientSession() as http,
        listening() as (url, received),
    ):
        box = Sandbox(house, http, url, received)
        await box.control(
            "/daraja/script", {"knobs": {"answer_delay_s": 0.0, "result_delay_s": 0.0, "push_interval_s": 0}}
        )
        yield box


class listening:  # noqa: N801 - reads as a verb where it is used
    """A merchant's callback listener."""

    async def __aenter__(self) -> tuple[str, "asyncio.Queue[tuple[str, bytes]]"]:
        received: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

        async def take(request: web.Request) -> web.Response:
            received.put_nowait((request.path, await request.read()))
            return web.json_response({"ResultCode": 0, "ResultDesc": "Accepted"})

        app = web.Application()
        app.router.add_post("/{path:.*}", take)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}", received

    async def __aexit__(self, *_: object) -> None:
        await self.runner.cleanup()


@pytest.fixture
def daraja_account(sandbox_rails: Sandbox) -> DarajaAccount:
    env = sandbox_rails.env
    return DarajaAccount(
        base_url=env["PENPAY_DARAJA__BASE_URL"],
        consumer_key=env["PENPAY_DARAJA__CONSUMER_KEY"],
        consumer_secret=env["PENPAY_DARAJA__CONSUMER_SECRET"],
        shortcode=env["PENPAY_DARAJA__SHORTCODE"],
        paying_shortcode=env["PENPAY_DARAJA__B2C_SHORTCODE"],
        passkey=env["PENPAY_DARAJA__PASSKEY"],
        initiator_name=env["PENPAY_DARAJA__INITIATOR_NAME"],
        security_credential=security_credential(
            Path(env["PENPAY_DARAJA__CERTIFICATE"]).read_bytes(), env["PENPAY_DARAJA__INITIATOR_PASSWORD"]
        ),
        call_timeout_s=5.0,
    )


@pytest.fixture
async def daraja(daraja_account: DarajaAccount) -> AsyncIterator[HttpDaraja]:
    gateway = HttpDaraja(daraja_account, SystemClock())
    yield gateway
    await gateway.close()


@pytest.fixture
def dialer(sandbox_rails: Sandbox) -> WebSocketDialer:
    env = sandbox_rails.env
    return WebSocketDialer(ws_url=env["PENPAY_DERIV__WS_URL"], app_id=env["PENPAY_DERIV__APP_ID"])
