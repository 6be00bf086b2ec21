"""One WebSocket: identities, subscriptions, the reply envelope, and the faults that a script asks for."""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import WSMsgType, web

from penpay.sandbox.daraja.gate import reset
from penpay.sandbox.deriv import schema
from penpay.sandbox.deriv.money import DerivError
from penpay.sandbox.facts import Token
from penpay.sandbox.steps import DerivStep, Step

if TYPE_CHECKING:
    from penpay.sandbox.deriv.hub import Hub

_MONEY_CALLS = ("paymentagent_transfer", "paymentagent_withdraw")
_HIDDEN = ("authorize", "tokens")
_NO_STEP = DerivStep()


@dataclass(frozen=True, slots=True)
class Subscription:
    """One stream on one socket; its messages repeat the request that opened it."""

    id: str
    kind: str
    loginid: str
    request: Mapping[str, Any]


class Session:
    """One connection. Everything in here dies with the socket."""

    def __init__(self, hub: "Hub", request: web.Request, socket: web.WebSocketResponse) -> None:
        self._hub = hub
        self._request = request
        self._socket = socket
        self._outgoing: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._level = 0.0
        self._level_at_s = 0.0
        self.app_id = request.query.get("app_id", "")
        self.identities: dict[str, Token] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.heard_at_s = asyncio.get_running_loop().time()
        self.closed = False

    async def run(self) -> None:
        """Serve frames until the socket ends."""
        writer = asyncio.get_running_loop().create_task(self._write())
        try:
            async for message in self._socket:
                self.heard_at_s = asyncio.get_running_loop().time()
                if message.type is WSMsgType.TEXT:
                    self._on_text(message.data)
        finally:
            self.closed = True
            for subscription in list(self.subscriptions):
                self.forget(subscription)
            writer.cancel()

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outgoing:
                try:
                    await self._socket.send_frame(self._outgoing.popleft(), WSMsgType.TEXT)
                except ConnectionError:
                    return

    def send(self, *payloads: bytes) -> None:
        """Queue frames; to a closed socket they are lost."""
        if not self.closed:
            self._outgoing.extend(payloads)
            self._wake.set()

    def abort(self) -> None:
        """Drop the connection without a close frame."""
        self.closed = True
        reset(self._request)

    def identify(self, identities: dict[str, Token]) -> None:
        """Take on other identities; the streams of the former ones end."""
        self.identities = identities
        for subscription in list(self.subscriptions.values()):
            if subscription.loginid:
                self.forget(subscription.id)

    def subscribe(self, kind: str, loginid: str, request: Mapping[str, Any]) -> str:
        """Open a stream. The same stream cannot be opened twice on one socket."""
        if any(one.kind == kind and one.loginid == loginid for one in self.subscriptions.values()):
            raise DerivError("AlreadySubscribed", f"You are already subscribed to {kind}.")
        noise = self._hub.new_subscription_id()
        subscription = Subscription(noise, kind, loginid, request)
        self.subscriptions[noise] = subscription
        self._hub.watch(self, subscription)
        return noise

    def forget(self, subscription_id: str) -> bool:
        subscription = self.subscriptions.pop(subscription_id, None)
        if subscription is None:
            return False
        self._hub.unwatch(subscription)
        return True

    def forget_all(self, kinds: list[str]) -> list[str]:
        ended = [one.id for one in self.subscriptions.values() if one.kind in kinds]
        for subscription_id in ended:
            self.forget(subscription_id)
        return ended

    def stream(self, subscription: Subscription, member: Mapping[str, Any]) -> None:
        """Send one stream message, under the request and the id that opened the stream."""
        body = {subscription.kind: member, "subscription": {"id": subscription.id}}
        self._reply(subscription.kind, subscription.request, body)

    def _on_text(self, data: str) -> None:
        try:
            request = orjson.loads(data)
        except orjson.JSONDecodeError:
            request = None
        if not isinstance(request, dict):
            self._fail("error", {}, DerivError("BadRequest", "Request is not a JSON object."))
            return
        name = schema.method_of(request)
        if name is None:
            self._fail("error", request, DerivError("UnrecognisedRequest", "Unrecognised request."))
            return
        step = self._hub.take(name, {"dry_run": 0, **request} if name in _MONEY_CALLS else request) or _NO_STEP
        if step.fault == "before_read":
            self.abort()
            return
        try:
            loginid = self._admit(name, request)
        except DerivError as refusal:
            self._fail(name, request, refusal)
            return
        exact = request
        if name in _MONEY_CALLS:
            exact = {**request, "amount": json.loads(data, parse_float=Decimal)["amount"]}
        self._play(step, name, request, exact, loginid)

    def _admit(self, name: str, request: Mapping[str, Any]) -> str:
        """Application, traffic, schema, identity and scope; returns the login that the call runs as."""
        if self.app_id not in self._hub.app_ids:
            raise DerivError("InvalidAppID", "Your app_id is invalid.")
        if self._too_fast():
            raise DerivError("RateLimit", f"You have reached the rate limit for {name}.")
        field = schema.first_bad_field(name, request)
        if field is not None:
            raise DerivError("InputValidationFailed", f"Input validation failed: {field}", {field: "Invalid value."})
        scopes = schema.CALLS[name].scopes
        if not scopes:
            return ""
        return self._identity(request, scopes)

    def _identity(self, request: Mapping[str, Any], scopes: tuple[str, ...]) -> str:
        if not self.identities:
            raise DerivError("AuthorizationRequired", "Please log in.")
        loginid = request.get("loginid")
        if loginid is None:
            if len(self.identities) > 1:
                raise DerivError("InputValidationFailed", "Input validation failed: loginid", {"loginid": "Missing."})
            loginid = next(iter(self.identities))
        token = self.identities.get(loginid)
        if token is None:
            raise DerivError("PermissionDenied", "Permission denied, this login is not part of the session.")
        if not self._hub.is_valid(token):
            raise DerivError("InvalidToken", "The token is invalid.")
        if not any(scope in token.scopes for scope in scopes):
            raise DerivError("PermissionDenied", f"Permission denied, requires {scopes[0]} scope.")
        return str(loginid)

    def _too_fast(self) -> bool:
        per_min = self._hub.knobs.calls_per_min
        if per_min <= 0:
            return False
        now = asyncio.get_running_loop().time()
        self._level = max(0.0, self._level - (now - self._level_at_s) * per_min / 60)
        self._level_at_s = now
        if self._level + 1 > per_min:
            return True
        self._level += 1
        return False

    def _play(self, step: Step, name: str, request: Mapping[str, Any], exact: Mapping[str, Any], loginid: str) -> None:
        """Execute and answer, or whatever the script made of it."""
        assert isinstance(step, DerivStep)
        fault = step.fault
        if fault == "refuse":
            self._fail(name, request, DerivError(step.error_code, step.error_message))
            return
        if self._hub.knobs.zombie:
            if self._hub.knobs.zombie_executes:
                self._execute(name, request, exact, loginid)
            return
        if fault == "not_executed":
            self.abort()
            return
        if fault in ("late_execute", "slow"):
            if fault == "late_execute":
                self.abort()
            self._hub.after(step.fault_delay_s, lambda: self._answer("", step, name, request, exact, loginid))
            return
        if fault == "other_amount":
            exact = {**exact, "amount": Decimal(step.amount)}
        if fault == "other_recipient" or step.loginid:
            exact = {**exact, "transfer_to": step.loginid}
        self._answer(fault, step, name, request, exact, loginid)

    def _answer(
        self,
        fault: str,
        step: DerivStep,
        name: str,
        request: Mapping[str, Any],
        exact: Mapping[str, Any],
        loginid: str,
    ) -> None:
        payload = self._execute(name, request, exact, loginid)
        ends: Mapping[str, Callable[[], None]] = {
            "executed": self.abort,
            "no_reply": lambda: None,
            "late_reply": lambda: self._hub.after(step.fault_delay_s, lambda: self.send(payload)),
            "duplicate_reply": lambda: self.send(payload, payload),
            "garbage_reply": lambda: self.send(payload[: len(payload) // 2]),
        }
        end = ends.get(fault, lambda: self.send(payload))
        if self._hub.knobs.latency_s:
            plain, end = end, lambda: self._hub.after(self._hub.knobs.latency_s, plain)
        self._hub.when_durable(end)

    def _execute(self, name: str, request: Mapping[str, Any], exact: Mapping[str, Any], loginid: str) -> bytes:
        try:
            members = self._hub.calls.perform(self, name, exact, loginid)
        except DerivError as refusal:
            return _envelope(name, request, _error(refusal))
        return _envelope(name, request, members)

    def _fail(self, name: str, request: Mapping[str, Any], refusal: DerivError) -> None:
        if not self._hub.knobs.zombie:
            self._reply(name, request, _error(refusal))

    def _reply(self, name: str, request: Mapping[str, Any], members: Mapping[str, Any]) -> None:
        if not self._hub.knobs.zombie:
            self.send(_envelope(name, request, members))


def _error(refusal: DerivError) -> dict[str, Any]:
    error: dict[str, Any] = {"code": refusal.code, "message": refusal.message}
    if refusal.details is not None:
        error["details"] = refusal.details
    return {"error": error}


def _envelope(name: str, request: Mapping[str, Any], members: Mapping[str, Any]) -> bytes:
    """echo_req without secrets, msg_type, req_id as it was sent, and the members of the call."""
    echo = {key: "<not shown>" if key in _HIDDEN else value for key, value in request.items()}
    reply: dict[str, Any] = {"echo_req": echo, "msg_type": name, **members}
    if "req_id" in request:
        reply["req_id"] = request["req_id"]
    return orjson.dumps(reply)
