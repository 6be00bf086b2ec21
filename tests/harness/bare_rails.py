"""The least that rails can be: what a deposit cannot do without, and nothing else. Written from the providers' pages.

Safaricom answers OAuth, the push and its callback. Deriv answers `authorize`, transfers and `ping`; everything else is
either an error or, when `silent`, no answer at all. Both remember what they did.
"""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web

AGENT = "CR900001"


@dataclass
class BareRails:
    """Both rails on one port, on the test's own loop."""

    silent: bool = False
    pushes: list[dict[str, Any]] = field(default_factory=list)
    transfers: list[dict[str, Any]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _runner: web.AppRunner | None = None

    async def open(self) -> None:
        app = web.Application()
        app.router.add_get("/oauth/v1/generate", self._token)
        app.router.add_post("/mpesa/stkpush/v1/processrequest", self._push)
        app.router.add_get("/rates", self._rates)
        app.router.add_get("/deriv", self._deriv)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def environment(self, certificate: str) -> dict[str, str]:
        base = f"http://127.0.0.1:{self.port}"
        return {
            "PENPAY_DARAJA__BASE_URL": base,
            "PENPAY_DARAJA__CONSUMER_KEY": "key",
            "PENPAY_DARAJA__CONSUMER_SECRET": "secret",
            "PENPAY_DARAJA__SHORTCODE": "174379",
            "PENPAY_DARAJA__PASSKEY": "passkey",
            "PENPAY_DARAJA__B2C_SHORTCODE": "600992",
            "PENPAY_DARAJA__INITIATOR_NAME": "testapi",
            "PENPAY_DARAJA__INITIATOR_PASSWORD": "password",
            "PENPAY_DARAJA__CERTIFICATE": certificate,
            "PENPAY_DERIV__WS_URL": f"ws://127.0.0.1:{self.port}/deriv",
            "PENPAY_DERIV__APP_ID": "1089",
            "PENPAY_DERIV__AGENT_TOKEN": "agent-token",
            "PENPAY_DERIV__AGENT_LOGINID": AGENT,
            "PENPAY_DERIV__OAUTH_URL": f"{base}/oauth",
            "PENPAY_FX__URL": f"{base}/rates",
            "PENPAY_FX__SECOND_URL": f"{base}/rates",
            "PENPAY_SMS__URL": f"{base}/version1/messaging",
            "PENPAY_SMS__USERNAME": "sandbox",
            "PENPAY_SMS__API_KEY": "key",
        }

    async def _token(self, _request: web.Request) -> web.Response:
        return web.json_response({"access_token": "token", "expires_in": "3599"})

    async def _rates(self, _request: web.Request) -> web.Response:
        now = int(datetime.now(UTC).timestamp())
        return web.json_response({"base": "USD", "rates": {"KES": 129.5}, "timestamp": now})

    async def _push(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.pushes.append(asked)
        number = len(self.pushes)
        checkout = f"ws_CO_{number:020d}"
        task = asyncio.create_task(self._pay(asked, checkout, f"SJK{number:07d}"))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.json_response(
            {
                "MerchantRequestID": f"m-{number}",
                "CheckoutRequestID": checkout,
                "ResponseCode": "0",
                "ResponseDescription": "Success. Request accepted for processing",
                "CustomerMessage": "Success. Request accepted for processing",
            }
        )

    async def _pay(self, asked: dict[str, Any], checkout: str, receipt: str) -> None:
        """The payer enters the PIN; Safaricom tells it once, without a signature."""
        await asyncio.sleep(0.3)
        items = [
            {"Name": "Amount", "Value": float(asked["Amount"])},
            {"Name": "MpesaReceiptNumber", "Value": receipt},
            {"Name": "Balance"},
            {"Name": "TransactionDate", "Value": int(asked["Timestamp"])},
            {"Name": "PhoneNumber", "Value": int(asked["PhoneNumber"])},
        ]
        callback = {
            "MerchantRequestID": "m",
            "CheckoutRequestID": checkout,
            "ResultCode": 0,
            "ResultDesc": "The service request is processed successfully.",
            "CallbackMetadata": {"Item": items},
        }
        async with aiohttp.ClientSession() as session:
            body = {"Body": {"stkCallback": callback}}
            async with session.post(asked["CallBackURL"], json=body) as answer:
                assert answer.status == 200

    async def _deriv(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            asked = json.loads(message.data)
            answer = self._answer(asked)
            if answer is not None:
                await socket.send_json({**answer, "echo_req": {}, "req_id": asked["req_id"]})
        return socket

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        if "authorize" in asked:
            who = {"loginid": AGENT, "currency": "USD", "scopes": ["read", "payments"], "is_virtual": 0, "balance": 1e4}
            return {"msg_type": "authorize", "authorize": who}
        if "ping" in asked:
            return {"msg_type": "ping", "ping": "pong"}
        if asked.get("paymentagent_transfer") == 1:
            kind = {"msg_type": "paymentagent_transfer", "client_to_loginid": asked["transfer_to"]}
            if asked.get("dry_run"):
                return {**kind, "paymentagent_transfer": 2}
            self.transfers.append(asked)
            return {**kind, "paymentagent_transfer": 1, "transaction_id": 1000 + len(self.transfers)}
        name = next(iter(asked))
        self.refused.add(name)
        error = {"code": "UnrecognisedRequest", "message": "Unrecognised request."}
        return None if self.silent else {"msg_type": "error", "error": error}
