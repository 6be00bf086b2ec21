"""A small client of the public API, for the demo, the tests and whoever wants one."""

from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

JSON = Mapping[str, Any]


class ApiProblem(Exception):
    """The API said no: its problem document, with status and code."""

    def __init__(self, status: int, body: JSON) -> None:
        super().__init__(f"{status} {body.get('code', '')}: {body.get('detail', '')}")
        self.status = status
        self.body = body
        self.code = str(body.get("code", ""))


class Client:
    """One customer's session with one node. Calls raise `ApiProblem` on 4xx and 5xx."""

    def __init__(self, base_url: str, session: aiohttp.ClientSession | None = None) -> None:
        self._base = base_url.rstrip("/") + "/api/v1"
        self._own = session is None
        self._session = session or aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        self._token = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own:
            await self._session.close()

    @property
    def token(self) -> str:
        """The access token of the last login."""
        return self._token

    def carry(self, token: str) -> None:
        """Go on with the access token of another client: a session is known to every node."""
        self._token = token

    async def call(self, method: str, path: str, body: JSON | None = None, *, key: str = "", **params: str) -> JSON:
        """One request; `key` becomes the Idempotency-Key."""
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if key:
            headers["Idempotency-Key"] = key
        async with self._session.request(
            method, self._base + path, json=body, headers=headers, params=params, allow_redirects=False
        ) as answer:
            raw = await answer.read()
            content: JSON = orjson.loads(raw) if raw else {}
            if answer.status >= 400:
                raise ApiProblem(answer.status, content)
            return content

    async def register(self, *, email: str, phone: str, password: str, full_name: str) -> JSON:
        """Begin: a code goes out by SMS."""
        return await self.call(
            "POST", "/auth/register", {"email": email, "phone": phone, "password": password, "full_name": full_name}
        )

    async def verify_phone(self, phone: str, code: str) -> JSON:
        """The code of the SMS makes the phone the account's own."""
        return await self.call("POST", "/auth/phone/verify", {"phone": phone, "code": code})

    async def login(self, *, email: str, password: str, device_id: str) -> JSON:
        """Sign in on a device; later calls carry the token."""
        device = {"id": device_id, "name": "demo phone", "platform": "android"}
        answer = await self.call("POST", "/auth/login", {"email": email, "password": password, "device": device})
        self._token = str(answer["access_token"])
        return answer

    async def link_deriv(self) -> str:
        """Where the customer's browser must go to authorise us at Deriv."""
        return str((await self.call("POST", "/deriv/link"))["authorize_url"])

    async def deposit(self, amount: str, currency: str, *, key: str) -> JSON:
        """Ask for a deposit; the answer is the transaction."""
        return await self.call("POST", "/deposits", {"amount": {"amount": amount, "currency": currency}}, key=key)

    async def set_pin(self, pin: str, *, password: str) -> None:
        """Set or change the PIN of withdrawals."""
        await self.call("PUT", "/me/pin", {"pin": pin, "password": password})

    async def quote(self, type_: str, amount: str, currency: str) -> JSON:
        """Lock a rate for `DEPOSIT` or `WITHDRAWAL`."""
        body = {"type": type_, "amount": {"amount": amount, "currency": currency}}
        return await self.call("POST", "/quotes", body)

    async def withdrawal_code(self, amount: str = "", *, quote_id: str = "") -> JSON:
        """Have Deriv mail a code for these dollars, or for those of a quote."""
        return await self.call("POST", "/withdrawals/code", _dollars(amount, quote_id))

    async def withdraw(self, amount: str = "", *, code: str, pin: str, key: str, quote_id: str = "") -> JSON:
        """Ask for a withdrawal; the answer is the transaction."""
        approved = {"verification_code": code, "pin": pin}
        return await self.call("POST", "/withdrawals", {**_dollars(amount, quote_id), **approved}, key=key)

    async def transaction(self, transaction_id: str) -> JSON:
        """One transaction as it stands."""
        return await self.call("GET", f"/transactions/{transaction_id}")

    async def events(self) -> AsyncIterator[JSON]:
        """Follow the customer's events; ends with the connection."""
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "text/event-stream"}
        endless = aiohttp.ClientTimeout(total=None)
        async with self._session.get(self._base + "/events", headers=headers, timeout=endless) as stream:
            async for line in stream.content:
                if line.startswith(b"data:"):
                    yield orjson.loads(line[5:])


def _dollars(amount: str, quote_id: str) -> JSON:
    return {"quote_id": quote_id} if quote_id else {"amount": {"amount": amount, "currency": "USD"}}
