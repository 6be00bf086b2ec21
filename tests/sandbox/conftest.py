"""A sandbox per test in this process, and raw clients that know the wire shapes from the documents only."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding

from penpay.sandbox.config import SandboxConfig
from penpay.sandbox.house import House
from penpay.sandbox.server import running

PASSKEY = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"
PHONE = "254708374149"


@dataclass
class Inbox:
    """The merchant's callback listener: it keeps what arrives and answers 200."""

    url: str = ""
    received: "asyncio.Queue[tuple[str, dict[str, Any]]]" = field(default_factory=asyncio.Queue)
    peers: list[str] = field(default_factory=list)

    async def next(self) -> tuple[str, dict[str, Any]]:
        return await asyncio.wait_for(self.received.get(), 5)

    async def next_stk(self) -> dict[str, Any]:
        path, body = await self.next()
        assert path == "/cb/d/00aa"
        return body["Body"]["stkCallback"]

    async def next_result(self) -> dict[str, Any]:
        path, body = await self.next()
        assert path == "/cb/r/00aa"
        return body["Result"]


@dataclass
class Rails:
    """One sandbox, its merchant inbox and a plain HTTP client."""

    house: House
    http: aiohttp.ClientSession
    inbox: Inbox
    token: str = ""

    @property
    def url(self) -> str:
        return self.house.identity["url"]

    async def control(self, path: str, body: dict[str, Any] | None = None, *, expect: int = 200) -> dict[str, Any]:
        """POST with a body, GET without."""
        method = "GET" if body is None else "POST"
        async with self.http.request(method, f"{self.url}/control{path}", json=body) as answer:
            told = await answer.json()
            assert answer.status == expect, told
            return told

    async def login(self) -> None:
        basic = base64.b64encode(b"sandbox-consumer-key:sandbox-consumer-secret").decode()
        async with self.http.get(
            f"{self.url}/oauth/v1/generate?grant_type=client_credentials", headers={"Authorization": f"Basic {basic}"}
        ) as answer:
            self.token = (await answer.json())["access_token"]

    async def post(self, path: str, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
        if not self.token:
            await self.login()
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers}
        async with self.http.post(f"{self.url}{path}", data=json.dumps(body), headers=sent) as answer:
            return answer.status, await answer.json()

    def stk_body(self, **changes: Any) -> dict[str, Any]:
        timestamp = "20261120150000"
        body = {
            "BusinessShortCode": "174379",
            "Password": base64.b64encode(f"174379{PASSKEY}{timestamp}".encode()).decode(),
            "Timestamp": timestamp,
            "TransactionType": "CustomerPayBillOnline",
            "Amount": 1300,
            "PartyA": int(PHONE),
            "PartyB": "174379",
            "PhoneNumber": int(PHONE),
            "CallBackURL": f"{self.inbox.url}/cb/d/00aa",
            "AccountReference": "9K3W01J9ZAB",
            "TransactionDesc": "Deposit",
        }
        return {key: value for key, value in {**body, **changes}.items() if value is not None}

    async def push(self, **changes: Any) -> tuple[int, dict[str, Any]]:
        return await self.post("/mpesa/stkpush/v1/processrequest", self.stk_body(**changes))

    async def query(self, checkout_id: str) -> tuple[int, dict[str, Any]]:
        body = self.stk_body()
        keep = {key: body[key] for key in ("BusinessShortCode", "Password", "Timestamp")}
        return await self.post("/mpesa/stkpushquery/v1/query", {**keep, "CheckoutRequestID": checkout_id})

    async def ended(self, checkout_id: str) -> None:
        """Wait until the query no longer says that the prompt is being processed."""
        async with asyncio.timeout(5):
            while (await self.query(checkout_id))[0] != 200:
                await asyncio.sleep(0.01)

    async def delivered(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many deliveries were attempted."""
        async with asyncio.timeout(5):
            while len(log := (await self.control("/deliveries"))["deliveries"]) < count:
                await asyncio.sleep(0.01)
        return log

    async def paid(self, **changes: Any) -> dict[str, Any]:
        """A push that its customer pays; returns the callback's items by name."""
        status, _ = await self.push(**changes)
        assert status == 200
        callback = await self.inbox.next_stk()
        assert callback["ResultCode"] == 0
        return {item["Name"]: item.get("Value") for item in callback["CallbackMetadata"]["Item"]}

    def credential(self, password: str = "Sandbox#2026") -> str:
        pem = Path(self.house.identity["environment"]["PENPAY_DARAJA__CERTIFICATE"]).read_bytes()
        key = x509.load_pem_x509_certificate(pem).public_key()
        return base64.b64encode(key.encrypt(password.encode(), padding.PKCS1v15())).decode()

    def async_body(self, **fields: Any) -> dict[str, Any]:
        body = {
            "Initiator": "testapi",
            "SecurityCredential": self.credential(),
            "ResultURL": f"{self.inbox.url}/cb/r/00aa",
            "QueueTimeOutURL": f"{self.inbox.url}/cb/t/00aa",
            "Remarks": "ok",
        }
        return {key: value for key, value in {**body, **fields}.items() if value is not None}

    async def reverse(self, receipt: str, amount: int, **changes: Any) -> tuple[int, dict[str, Any]]:
        body = self.async_body(
            CommandID="TransactionReversal",
            TransactionID=receipt,
            Amount=amount,
            ReceiverParty="174379",
            RecieverIdentifierType="11",
        )
        return await self.post("/mpesa/reversal/v1/request", {**body, **changes})

    async def status(self, **fields: Any) -> dict[str, Any]:
        body = self.async_body(CommandID="TransactionStatusQuery", PartyA="174379", IdentifierType="4", **fields)
        status, ack = await self.post("/mpesa/transactionstatus/v1/query", body)
        assert (status, ack["ResponseCode"]) == (200, "0")
        return await self.inbox.next_result()

    async def payout(self, originator_id: str, **changes: Any) -> tuple[int, dict[str, Any]]:
        body = self.async_body(
            Initiator=None,
            InitiatorName="testapi",
            OriginatorConversationID=originator_id,
            CommandID="BusinessPayment",
            Amount=2490,
            PartyA="600992",
            PartyB=PHONE,
            Occassion="",
        )
        return await self.post("/mpesa/b2c/v3/paymentrequest", {**body, **changes})

    async def deriv(self, app_id: str = "36544") -> "Deriv":
        socket = await self.http.ws_connect(f"{self.url}/websockets/v3?app_id={app_id}&l=EN", autoping=True)
        return Deriv(socket)

    async def agent(self) -> "Deriv":
        deriv = await self.deriv()
        reply = await deriv.ask({"authorize": "agent-CR9000001-sandbox"})
        assert reply["authorize"]["loginid"] == "CR9000001"
        return deriv

    async def customer(self, **fields: Any) -> dict[str, Any]:
        body = {"loginid": "CR123456", "fullname": "Jane Wanjiku", "email": "jane@example.com", **fields}
        return await self.control("/deriv/customers", body)


@dataclass
class Deriv:
    """A raw v3 client: it correlates nothing by itself."""

    socket: aiohttp.ClientWebSocketResponse

    async def send(self, request: dict[str, Any]) -> None:
        await self.socket.send_str(json.dumps(request))

    async def next(self, timeout_s: float = 5) -> dict[str, Any]:
        message = await self.socket.receive(timeout_s)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return json.loads(message.data)

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        await self.send(request)
        return await self.next()

    async def refused(self, request: dict[str, Any]) -> str:
        reply = await self.ask(request)
        return reply["error"]["code"]

    async def dropped(self) -> bool:
        """True when the server has ended the socket; False when a frame came instead."""
        message = await self.socket.receive(5)
        return message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)

    async def silent(self, for_s: float = 0.15) -> bool:
        try:
            await self.socket.receive(for_s)
        except TimeoutError:
            return True
        return False


async def _merchant(inbox: Inbox) -> web.AppRunner:
    async def receive(request: web.Request) -> web.Response:
        inbox.peers.append(request.remote or "")
        await inbox.received.put((request.path, await request.json()))
        return web.json_response({"ResultCode": 0, "ResultDesc": "Accepted"})

    app = web.Application()
    app.router.add_post("/cb/{kind}/{hex}", receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    inbox.url = f"http://{host}:{port}"
    return runner


@pytest.fixture
def config(tmp_path: Path) -> SandboxConfig:
    return SandboxConfig(data_dir=tmp_path / "truth", oauth_redirect_url="http://127.0.0.1:9/cb/oauth")


@pytest.fixture
async def rails(config: SandboxConfig) -> AsyncIterator[Rails]:
    """A sandbox whose customers answer at once and whose results come at once; the spacing of pushes is off."""
    inbox = Inbox()
    runner = await _merchant(inbox)
    async with running(config) as house, aiohttp.ClientSession() as http:
        house.daraja.knobs.answer_delay_s = 0.0
        house.daraja.knobs.result_delay_s = 0.0
        house.daraja.knobs.push_interval_s = 0.0
        yield Rails(house, http, inbox)
    await runner.cleanup()


@pytest.fixture
async def merchant() -> AsyncIterator[Inbox]:
    inbox = Inbox()
    runner = await _merchant(inbox)
    yield inbox
    await runner.cleanup()
