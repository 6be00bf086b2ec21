"""Text messages through Africa's Talking."""

import json
from typing import Any

import aiohttp

from penpay.adapters.http_bodies import body_of
from penpay.domain.errors import Refused, Unavailable

_BODY_MAX = 64 * 1024
_ACCEPTED = frozenset({"100", "101", "102", "Success", "0"})
"""Processed, sent, queued; or the word for them, or nothing said against it."""
_TRY_LATER = frozenset({"500", "501", "502"})


class AfricasTalking:
    """`SmsGateway`. A message may arrive twice when an answer is lost: it is only words."""

    def __init__(self, *, url: str, username: str, api_key: str, sender: str = "", timeout_s: float = 10.0) -> None:
        self._url = url.rstrip("/")
        if not self._url.endswith("/version1/messaging"):
            self._url += "/version1/messaging"
        self._form = {"username": username, **({"from": sender} if sender else {})}
        self._headers = {"apiKey": api_key, "Accept": "application/json"}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, *, to: str, text: str) -> None:
        """Send one message to an E.164 number without plus. Raises `Unavailable` (try later) or `Refused`."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, trust_env=False)
        form = {**self._form, "to": f"+{to}", "message": text}
        try:
            async with self._session.post(
                self._url, data=form, headers=self._headers, allow_redirects=False
            ) as response:
                status, raw = response.status, await body_of(response, _BODY_MAX)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unavailable("sms", 5.0) from error
        if status == 429 or status >= 500:
            raise Unavailable("sms", 10.0)
        if status not in {200, 201}:
            raise Refused(f"http_{status}")
        _check_accepted(raw)

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _check_accepted(body: bytes) -> None:
    """Under a success of HTTP only a word against it counts: what is sent again for want of words comes twice."""
    if not body.strip():
        return
    try:
        raw: Any = json.loads(body)
        told = raw.get("SMSMessageData", {}).get("Recipients", [{}])
        code = told[0].get("statusCode", told[0].get("status", 0)) if told else "nobody"
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise Unavailable("sms", 10.0) from error
    code = str(code)
    if code in _TRY_LATER:
        raise Unavailable("sms", 10.0)
    if code not in _ACCEPTED:
        raise Refused(f"sms_{code}"[:64])
