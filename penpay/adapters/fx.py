"""A source of the mid rate over HTTP: `{"base":"USD","rates":{"KES":129.35},"timestamp":1732000000}`."""

import json
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import aiohttp

from penpay.adapters.http_bodies import body_of
from penpay.domain.errors import Refused, Unavailable

_BODY_MAX = 64 * 1024
_TIMESTAMP_MAX = 1 << 33


class HttpFxSource:
    """`FxSource` at one address."""

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None:
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def mid(self) -> tuple[Decimal, datetime]:
        """KES per USD and its time. Raises `Refused` for an absurd answer, `Unavailable` when there is none."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, trust_env=False)
        try:
            async with self._session.get(self._url, allow_redirects=False) as response:
                status, raw = response.status, await body_of(response, _BODY_MAX)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unavailable("fx", 5.0) from error
        if status != 200:
            raise Unavailable("fx", 5.0)
        return read_rate(raw)

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def read_rate(body: bytes) -> tuple[Decimal, datetime]:
    """Rate and time of an answer; raise `Refused` for another base, no number, zero, or less."""
    try:
        raw: Any = json.loads(body, parse_float=Decimal)
        base, rate, stamp = raw["base"], raw["rates"]["KES"], raw["timestamp"]
    except (ValueError, KeyError, TypeError, RecursionError, InvalidOperation) as error:
        raise Refused("fx_unreadable") from error
    if base != "USD":
        raise Refused("fx_other_base")
    if type(rate) is int:
        rate = Decimal(rate)
    if not isinstance(rate, Decimal) or not rate.is_finite() or rate <= 0 or not -7 < rate.adjusted() < 7:
        raise Refused("fx_absurd")
    if type(stamp) not in (int, Decimal) or not 0 < stamp < _TIMESTAMP_MAX:
        raise Refused("fx_without_time")
    return rate, datetime.fromtimestamp(int(stamp), UTC)
