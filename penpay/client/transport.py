"""One HTTP call with its repetitions: the same Idempotency-Key every time, as patient as the caller wants."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from penpay.client.answers import JSON, Tokens
from penpay.client.problems import ApiProblem

_AGAIN = frozenset({429, 503})
_LOST = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
"""The answer did not arrive; whether the request did is unknown, and the key makes asking again safe."""
Params = Mapping[str, str]
_PAUSE_S = 0.5
_PAUSE_MAX_S = 30.0


def new_key() -> str:
    """An Idempotency-Key nobody else has."""
    return secrets.token_urlsafe(24)


class Transport:
    """Signs, repeats and parses. `patience_s`: how long a call is repeated after 429, 503 or silence.

    Only reads and calls with a key are repeated. An access token that has expired is renewed once per call, when a
    refresh token is known.
    """

    def __init__(
        self,
        base_url: str,
        session: aiohttp.ClientSession | None = None,
        *,
        patience_s: float = 0.0,
        language: str = "",
    ) -> None:
        self._base = base_url.rstrip("/") + "/api/v1"
        self._own = session is None
        self._session = session or aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        self._patience_s = patience_s
        self._language = language
        self._token = ""
        self._refresh_token = ""
        self._device_id = ""
        self._renewing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, unless the session came from outside."""
        if self._own:
            await self._session.close()

    @property
    def token(self) -> str:
        """The access token of the last login."""
        return self._token

    def carry(self, token: str) -> None:
        """Go on with the access token of another client: a session is known to every node."""
        self._token = token

    def _signed_in(self, tokens: Tokens, device_id: str) -> None:
        self._token = tokens["access_token"]
        self._refresh_token = tokens.get("refresh_token", "")
        self._device_id = device_id

    async def call(
        self, method: str, path: str, body: JSON | None = None, *, key: str = "", params: Params | None = None
    ) -> Any:
        """One request; `key` becomes the Idempotency-Key. Raises `ApiProblem` on 4xx and 5xx."""
        raw = await self.read(method, path, body, key=key, params=params)
        return orjson.loads(raw) if raw else {}

    async def read(
        self, method: str, path: str, body: JSON | None = None, *, key: str = "", params: Params | None = None
    ) -> bytes:
        """The same, with the body as it came."""
        until_s = time.monotonic() + (self._patience_s if key or method == "GET" else 0.0)
        pause_s, used = _PAUSE_S, self._token
        while True:
            try:
                return await self._once(method, path, body, key, params or {})
            except ApiProblem as problem:
                if problem.status == 401 and used and await self._renewed(used):
                    used = ""
                    continue
                wait_s = problem.retry_after_s or pause_s
                if problem.status not in _AGAIN or time.monotonic() + wait_s > until_s:
                    raise
            except _LOST:
                wait_s = pause_s
                if time.monotonic() + wait_s > until_s:
                    raise
            await asyncio.sleep(wait_s)
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)

    async def _once(self, method: str, path: str, body: JSON | None, key: str, params: Params) -> bytes:
        headers = self._headers("application/json")
        if key:
            headers["Idempotency-Key"] = key
        async with self._session.request(
            method, self._base + path, json=body, headers=headers, params=params, allow_redirects=False
        ) as answer:
            raw = await answer.read()
            if answer.status >= 400:
                raise ApiProblem(answer.status, _document(raw), answer.headers.get("X-Request-Id", ""))
            return raw

    def _headers(self, accept: str) -> dict[str, str]:
        headers = {"Accept": accept}
        if self._language:
            headers["Accept-Language"] = self._language
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers

    async def _renewed(self, used: str) -> bool:
        """Whether there is another access token than `used` now. Many calls at once renew it once."""
        async with self._renewing:
            if self._token == used:
                if not self._refresh_token:
                    return False
                await self.refresh()
        return True

    async def refresh(self) -> Tokens:
        """Exchange the refresh token; it works once."""
        body = {"refresh_token": self._refresh_token, "device_id": self._device_id}
        self._refresh_token = ""
        answer: Tokens = orjson.loads(await self._once("POST", "/auth/refresh", body, "", {}))
        self._signed_in(answer, self._device_id)
        return answer


def _document(raw: bytes) -> JSON:
    """The problem; what stands between us and the node may answer in words of its own."""
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
