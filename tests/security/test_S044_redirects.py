"""S44: nobody outside decides where we call. Redirects are not followed, and no request names an address."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from penpay.adapters.daraja import HttpDaraja
from penpay.adapters.deriv import WebSocketDialer
from penpay.adapters.fx import HttpFxSource
from penpay.adapters.sms import AfricasTalking
from penpay.adapters.system import SystemClock
from penpay.domain.errors import GatewayError, NotSent, Refused, Unavailable
from penpay.http.routes import ROUTES
from tests.security.test_S043_providers_that_say_nothing import account


@pytest.fixture
async def lure() -> AsyncIterator[tuple[str, list[str]]]:
    """A provider that sends every call on to a place inside, and what arrived there."""
    arrived: list[str] = []

    async def inside(request: web.Request) -> web.Response:
        arrived.append(request.path)
        return web.json_response({"base": "USD", "rates": {"KES": 130}, "timestamp": 1_763_600_000})

    async def send_on(request: web.Request) -> web.Response:
        scheme = "ws" if request.headers.get("Upgrade") else "http"
        return web.Response(status=302, headers={"Location": f"{scheme}://{request.host}/latest/meta-data"})

    app = web.Application()
    app.router.add_route("*", "/latest/meta-data", inside)
    app.router.add_route("*", "/{any:.*}", send_on)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"127.0.0.1:{runner.addresses[0][1]}", arrived
    await runner.cleanup()


async def test_no_client_follows(lure: tuple[str, list[str]]):
    place, arrived = lure
    http = f"http://{place}"
    daraja = HttpDaraja(account(http), SystemClock())
    fx, sms = HttpFxSource(f"{http}/fx"), AfricasTalking(url=http, username="u", api_key="k")
    with pytest.raises(GatewayError):
        await daraja.stk_query("ws_CO_1")
    with pytest.raises(NotSent):
        await WebSocketDialer(ws_url=f"ws://{place}/websockets/v3", app_id="1").connect()
    with pytest.raises(Unavailable):
        await fx.mid()
    with pytest.raises((Refused, Unavailable)):
        await sms.send(to="254712345678", text="x")
    for one in (daraja, fx, sms):
        await one.close()
    assert arrived == []


def test_no_request_has_a_field_for_an_address():
    bodies = {route.body for route in ROUTES if route.body} | {route.query for route in ROUTES if route.query}
    names = {name for model in bodies for name in json.dumps(model.model_json_schema()["properties"]).split('"')}
    assert not [name for name in names if name.lower() in {"url", "uri", "host", "callback", "webhook", "redirect"}]
