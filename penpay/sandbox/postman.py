"""Delivers callbacks as Safaricom does: unsigned, from a source address of its own, once, and never again."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from penpay.sandbox.config import DarajaKnobs
from penpay.sandbox.ids import now_epoch_s

_HEADERS = {"Content-Type": "application/json", "User-Agent": "Jakarta Commons-HttpClient/3.1"}


@dataclass(slots=True)
class Delivery:
    """One attempt to deliver. Status 0 means that nobody answered; the copy is lost."""

    at_epoch_s: float
    kind: str
    url: str
    status: int


class Postman:
    """Sends callbacks in the background and remembers the last of them."""

    def __init__(self, knobs: DarajaKnobs) -> None:
        self._knobs = knobs
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._closed = False
        self.deliveries: deque[Delivery] = deque(maxlen=5000)
        self.counts: dict[str, int] = {"delivered": 0, "refused": 0, "lost": 0}

    def _session(self, source: str) -> aiohttp.ClientSession:
        session = self._sessions.get(source)
        if session is None or session.closed:
            connector = aiohttp.TCPConnector(
                limit=256, local_addr=(source, 0) if source else None, family=socket.AF_UNSPEC, ttl_dns_cache=300
            )
            session = self._sessions[source] = aiohttp.ClientSession(
                connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
            )
        return session

    async def deliver(self, kind: str, url: str, body: bytes, *, source: str | None = None) -> int:
        """Send one copy now and return the answer's status, 0 when there was none."""
        session = self._session(self._knobs.callback_source if source is None else source)
        status = 0
        try:
            async with session.post(
                url,
                data=body,
                headers=_HEADERS,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._knobs.callback_timeout_s),
            ) as answer:
                status = answer.status
                await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            status = 0
        self.deliveries.append(Delivery(now_epoch_s(), kind, url, status))
        outcome = "delivered" if 200 <= status < 300 else "refused" if status else "lost"
        self.counts[outcome] += 1
        return status

    def send(self, kind: str, url: str, body: bytes, *, delay_s: float = 0.0, copies: int = 1) -> None:
        """Send copies later, all at the same moment."""
        if delay_s > 0:
            self.after(delay_s, lambda: self.send(kind, url, body, copies=copies))
            return
        for _ in range(copies):
            self.spawn(kind, url, body)

    def spawn(self, kind: str, url: str, body: bytes) -> None:
        if self._closed:
            return
        task = asyncio.get_running_loop().create_task(self._deliver(kind, url, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, kind: str, url: str, body: bytes) -> None:
        await self.deliver(kind, url, body)

    def after(self, delay_s: float, call: Callable[[], object]) -> None:
        """Do something later; forgotten when the sandbox stops."""
        loop = asyncio.get_running_loop()
        handle: asyncio.TimerHandle

        def run() -> None:
            self._timers.discard(handle)
            call()

        handle = loop.call_later(max(delay_s, 0.0), run)
        self._timers.add(handle)

    async def close(self) -> None:
        """Drop what was not yet sent, and what is sent from here on: to the receiver these callbacks are lost."""
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for session in self._sessions.values():
            await session.close()
