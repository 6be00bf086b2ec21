"""The API proxy in front of every Daraja call: tokens, error envelope, spike arrest, and scripted transport faults."""

import asyncio
import base64
import secrets
import socket
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import orjson
from aiohttp import web

from penpay.sandbox.config import DarajaKnobs, SandboxConfig
from penpay.sandbox.daraja import fields
from penpay.sandbox.ids import Ids, now_epoch_s
from penpay.sandbox.steps import Script, Step
from penpay.sandbox.truth import Truth

Body = Mapping[str, Any]


class Refusal(NamedTuple):
    """A synchronous failure: HTTP status, dotted code and text of the error envelope."""

    http: int
    code: str
    message: str


# Which code an invalid token gets depends on the API.
TOKEN_STK = Refusal(404, "404.001.03", "Invalid Access Token")
TOKEN_B2C = Refusal(401, "401.002.01", "Error Occurred - Invalid Access Token")
TOKEN_C2B = Refusal(400, "400.003.01", "Invalid Access Token")

BAD_AUTH_HEADER = Refusal(404, "404.001.04", "Invalid Authentication Header")
WRONG_METHOD = Refusal(405, "405.001", "Method Not Allowed")
WRONG_ENDPOINT = Refusal(404, "404.001.01", "Resource not found")
SPIKE_ARREST = Refusal(500, "500.003.02", "Error Occurred: Spike Arrest Violation")
NO_PRODUCT = Refusal(401, "401.001.01", "Invalid API call as no apiproduct match found")


def invalid(field: str) -> Refusal:
    """The refusal that names one bad field."""
    return Refusal(400, "400.002.02", f"Bad Request - Invalid {field}")


class Operation(Protocol):
    """One Daraja API behind the gate."""

    name: str
    rules: fields.Rules
    token_error: Refusal

    def check(self, body: Body) -> Refusal | None:
        """Refuse before anything is recorded."""

    def pick(self, body: Body) -> Step:
        """The script step for this request, used up by asking."""

    async def accept(self, body: Body, step: Step) -> Refusal | dict[str, Any]:
        """Record the request and return the reply; facts are durable before it leaves."""


def reset(request: web.Request) -> None:
    """Cut the connection with a TCP reset, as a failing proxy does."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Gate:
    """Checks in the order of the real proxy: traffic, token, media type, fields; then the operation itself."""

    def __init__(self, config: SandboxConfig, knobs: DarajaKnobs, truth: Truth, ids: Ids, script: Script) -> None:
        self._config = config
        self._knobs = knobs
        self._truth = truth
        self._ids = ids
        self._script = script
        self._tokens: dict[str, float] = {}
        self._spike_level = 0.0
        self._spike_at_epoch_s = 0.0
        pair = f"{config.consumer_key}:{config.consumer_secret}"
        self._basic = "Basic " + base64.b64encode(pair.encode()).decode()

    def expire_tokens(self) -> None:
        """Forget every access token, as an expiry or a rotation would."""
        self._tokens.clear()

    def error(self, refusal: Refusal, request_id: str = "") -> web.Response:
        envelope = {
            "requestId": request_id or self._ids.request_id(),
            "errorCode": refusal.code,
            "errorMessage": refusal.message,
        }
        return web.Response(status=refusal.http, body=orjson.dumps(envelope), content_type="application/json")

    async def oauth(self, request: web.Request) -> web.Response:
        """`GET /oauth/v1/generate?grant_type=client_credentials`; a wrong Basic pair gets an empty 400."""
        step = self._script.take("oauth", {}) or Step()
        if (failed := await self._before(request, step)) is not None:
            return failed
        if request.query.get("grant_type") != "client_credentials":
            return web.Response(status=400)
        if request.headers.get("Authorization", "") != self._basic:
            return web.Response(status=400)
        token = secrets.token_urlsafe(21)
        self._tokens[token] = now_epoch_s() + self._knobs.token_ttl_s
        body = orjson.dumps({"access_token": token, "expires_in": str(int(self._knobs.token_ttl_s))})
        return await self._after(request, step, web.Response(body=body, content_type="application/json"))

    async def call(self, request: web.Request, operation: Operation) -> web.Response:
        """Serve one API call from the proxy to the reply."""
        if self._knobs.latency_s:
            await asyncio.sleep(self._knobs.latency_s)
        refusal = self._proxy_refusal(request, operation)
        body: Any = None
        if refusal is None:
            try:
                body = orjson.loads(await request.read())
            except orjson.JSONDecodeError:
                body = None
            if not isinstance(body, dict):
                refusal = invalid("Request Body")
        if refusal is None:
            field = fields.first_bad_field(body, operation.rules)
            refusal = invalid(field) if field else operation.check(body)
        if refusal is not None:
            return self.error(refusal)
        step = operation.pick(body)
        if (failed := await self._before(request, step)) is not None:
            return failed
        answer = await operation.accept(body, step)
        await self._truth.durable()
        if isinstance(answer, Refusal):
            return self.error(answer, str(body.get("CheckoutRequestID", "")))
        return await self._after(
            request, step, web.Response(body=orjson.dumps(answer), content_type="application/json")
        )

    def _proxy_refusal(self, request: web.Request, operation: Operation) -> Refusal | None:
        if self._spiking():
            return SPIKE_ARREST
        if request.method != "POST":
            return WRONG_METHOD
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            return BAD_AUTH_HEADER
        if self._tokens.get(token, 0.0) <= now_epoch_s():
            return operation.token_error
        if operation.name in self._knobs.products_off:
            return NO_PRODUCT
        if request.content_type != "application/json":
            return invalid("Content-Type")
        return None

    def _spiking(self) -> bool:
        """Spike arrest: a bucket that leaks at the configured rate and holds one second of it."""
        rate = self._knobs.spike_per_s
        if rate <= 0:
            return False
        now = now_epoch_s()
        self._spike_level = max(0.0, self._spike_level - (now - self._spike_at_epoch_s) * rate)
        self._spike_at_epoch_s = now
        if self._spike_level + 1 > max(rate, 1.0):
            return True
        self._spike_level += 1
        return False

    async def _before(self, request: web.Request, step: Step) -> web.Response | None:
        """Faults in which nothing is executed."""
        if step.fault == "error":
            return self.error(Refusal(step.error_http, step.error_code, step.error_message))
        if step.fault == "refused_200":
            # Some refusals come as a success of HTTP whose ResponseCode is not 0.
            soft = {"ResponseCode": "1", "ResponseDescription": step.error_message}
            return web.Response(body=orjson.dumps(soft), content_type="application/json")
        if step.fault == "html":
            return _html(502)
        if step.fault == "reset":
            reset(request)
            return web.Response()
        return None

    async def _after(self, request: web.Request, step: Step, response: web.Response) -> web.Response:
        """Faults in which everything was executed and recorded, and only the reply suffers."""
        if step.fault == "reset_after":
            reset(request)
        elif step.fault == "html_after":
            return _html(502)
        elif step.fault == "truncated":
            body = response.body
            assert isinstance(body, bytes)
            return web.Response(body=body[: len(body) // 2], content_type="application/json")
        elif step.fault == "late":
            await asyncio.sleep(step.fault_delay_s)
        return response


def _html(status: int) -> web.Response:
    page = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
    return web.Response(status=status, text=page, content_type="text/html")
