"""S43: a provider that takes a call and never answers costs a bounded time and ends as what it is: unknown or away."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from penpay.adapters.daraja import DarajaAccount, HttpDaraja
from penpay.adapters.deriv import WebSocketDialer
from penpay.adapters.fx import HttpFxSource
from penpay.adapters.mail import SmtpMail
from penpay.adapters.sms import AfricasTalking
from penpay.adapters.system import SystemClock
from penpay.domain.errors import GatewayError, NotSent, Unavailable


@pytest.fixture
async def black_hole() -> AsyncIterator[int]:
    """Takes every connection, reads everything, answers nothing."""
    writers: list[asyncio.StreamWriter] = []

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.read()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    for writer in writers:
        writer.transport.abort()
    server.close()


def account(base_url: str) -> DarajaAccount:
    words = {"consumer_key": "k", "consumer_secret": "s", "shortcode": "174379", "paying_shortcode": "600992"}
    more = {"passkey": "p", "initiator_name": "i", "security_credential": "c"}
    return DarajaAccount(base_url=base_url, **words, **more, call_timeout_s=0.3)


async def test_every_call_outside_ends_by_itself(black_hole: int, monkeypatch):
    monkeypatch.setattr("penpay.adapters.deriv._OPEN_S", 0.3)
    http = f"http://127.0.0.1:{black_hole}"
    daraja = HttpDaraja(account(http), SystemClock())
    fx, sms = (
        HttpFxSource(f"{http}/fx", timeout_s=0.3),
        AfricasTalking(url=http, username="u", api_key="k", timeout_s=0.3),
    )
    mail = SmtpMail(host="127.0.0.1", port=black_hole, sender="a@b.example", insecure=True, timeout_s=0.3)
    async with asyncio.timeout(20):
        with pytest.raises(GatewayError):
            await daraja.stk_query("ws_CO_1")
        with pytest.raises(NotSent):
            await WebSocketDialer(ws_url=f"ws://127.0.0.1:{black_hole}/v3", app_id="1").connect()
        with pytest.raises(Unavailable):
            await fx.mid()
        with pytest.raises(Unavailable):
            await sms.send(to="254712345678", text="x")
        with pytest.raises(Unavailable):
            await mail.send(to="a@b.example", subject="x", text="x", reference="1")
    for one in (daraja, fx, sms):
        await one.close()
