"""The customer's events as they happen: reconnects by itself, and misses none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import orjson

from penpay.client.answers import JSON
from penpay.client.problems import ApiProblem

READY = "ready"
_PAUSE_S = 1.0
_SILENCE_S = 60.0
"""Heartbeats come every 15 seconds: this much silence is a dead line."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `id` is its place, from which a later stream can go on."""

    id: str
    type: str
    data: JSON


async def stream(response: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    """The events of one connection, until it ends."""
    place, kind, data = "", "", b""
    async for raw in response.content:
        line = raw.rstrip(b"\r\n")
        if line:
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            match name:
                case b"id":
                    place = value.decode()
                case b"event":
                    kind = value.decode()
                case b"data":
                    data += value
        elif data:
            yield Event(place, kind or "message", orjson.loads(data))
            kind, data = "", b""


async def follow(
    session: aiohttp.ClientSession,
    url: str,
    headers: Callable[[], dict[str, str]],
    renewed: Callable[[], Awaitable[bool]],
    *,
    after: str = "",
) -> AsyncIterator[Event]:
    """Events without end, each once and in order, and a `ready` whenever a line begins.

    Raises `ApiProblem` when the session is over: `renewed` may bring another access token once per line.
    """
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENCE_S)
    while True:
        resume = {"Last-Event-ID": after} if after else {}
        pause_s = _PAUSE_S
        try:
            async with session.get(url, headers={**headers(), **resume}, timeout=timeout) as response:
                if response.status == 200:
                    async for event in stream(response):
                        after = event.id
                        yield event
                elif response.status in {429, 503}:
                    pause_s = float(response.headers.get("Retry-After", _PAUSE_S))
                elif response.status != 401 or not await renewed():
                    raise ApiProblem(response.status, orjson.loads(await response.read()))
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError):
            # The line broke: everything since `after` is told again.
            pass
        await asyncio.sleep(pause_s)
