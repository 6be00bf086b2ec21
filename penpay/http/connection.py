"""Connections of our listeners: broken HTTP answered like everything else, slow peers cut, a bound per address.

Source: faults.md S32, S38, S40.
"""

import asyncio
import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.web_protocol import ERROR, RequestHandler

from config import limits
from penpay.domain.json_text import json_bytes
from penpay.domain.problems import CONTENT_TYPE, problem
from penpay.http.peers import Network, limited_as, within
from penpay.http.replies import put_common_headers

log = structlog.get_logger()
_BY_STATUS = {413: "payload_too_large", 417: "expectation_failed", 431: "headers_too_large"}
_REQUEST_LINE = re.compile(rb"[A-Z]+ (/[!-~]*) HTTP/1\.[01]\r?\n")
_LINE_MAX = 9000
"""More than the parser takes of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionBounds:
    """How many connections one address may hold, 0 for any number, and how long a request's head may take to arrive.

    Trusted proxies hold as many as they like: their clients share their address.
    """

    per_address_max: int = 0
    unbounded: Sequence[Network] = ()
    head_s: float = limits.READ_HEAD_S


@dataclass(slots=True)
class Doorkeeper:
    """Counts the open connections of each address."""

    bounds: ConnectionBounds
    open: Counter[str] = field(default_factory=Counter)

    def enter(self, transport: asyncio.BaseTransport) -> str | None:
        """Whom to count this connection for, empty for nobody; None when that address holds too many already."""
        peer = transport.get_extra_info("peername")
        if not self.bounds.per_address_max or not isinstance(peer, tuple):
            return ""
        address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
        address = address.ipv4_mapped or address if address.version == 6 else address
        if within(address, self.bounds.unbounded):
            return ""
        name = limited_as(address)
        if self.open[name] >= self.bounds.per_address_max:
            return None
        self.open[name] += 1
        return name

    def leave(self, name: str) -> None:
        """The connection ended."""
        self.open[name] -= 1
        if not self.open[name]:
            del self.open[name]


def when_lost(request: web.BaseRequest, tell: Callable[[], None] | None) -> None:
    """Have it told when the client of this request leaves, or nobody any more: a handler is not cancelled by that."""
    if isinstance(request.protocol, _Connection):
        request.protocol.tell_lost = tell


class Runner(web.AppRunner):
    """An application's runner whose connections are ours."""

    def __init__(self, app: web.Application, bounds: ConnectionBounds, **more: Any) -> None:
        super().__init__(app, **more)
        self._doorkeeper = Doorkeeper(bounds)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        server = _Server(
            made.request_handler,
            request_factory=made.request_factory,
            loop=asyncio.get_running_loop(),
            **self._kwargs,
        )
        server.doorkeeper = self._doorkeeper
        return server


class _Server(web.Server):
    doorkeeper: Doorkeeper

    def __call__(self) -> RequestHandler:
        return _Connection(self, self.doorkeeper, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    """One connection."""

    def __init__(
        self, server: _Server, doorkeeper: Doorkeeper, *, loop: asyncio.AbstractEventLoop, **more: object
    ) -> None:
        super().__init__(server, loop=loop, **more)  # type: ignore[arg-type]
        self._doorkeeper = doorkeeper
        self._counted_for = ""
        self._head_due: asyncio.TimerHandle | None = None
        self._line = b""
        """How the head that is arriving begins: the parser keeps nothing of one that it refuses."""
        self._path = ""
        """Of the newest head; empty where its first line is none."""
        self.tell_lost: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        counted_for = self._doorkeeper.enter(transport)
        if counted_for is None:
            # Not worth an answer: who opens hundreds does not read it.
            assert isinstance(transport, asyncio.Transport)
            transport.abort()
            return
        self._counted_for = counted_for
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._counted_for:
            self._doorkeeper.leave(self._counted_for)
            self._counted_for = ""
        self._head_arrived()
        super().connection_lost(exc)
        if self.tell_lost is not None:
            self.tell_lost()
            self.tell_lost = None

    async def start(self) -> None:
        """Answer until the end; then whatever nobody has read is not kept for long."""
        await super().start()
        self._abandon_unread()

    def force_close(self) -> None:
        self._abandon_unread()
        super().force_close()

    def _abandon_unread(self) -> None:
        """A closed connection stays until all of it was read, which may be never."""
        if self.transport is not None and self.transport.get_write_buffer_size():
            self._loop.call_later(limits.WRITE_S, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        before = self._request_count
        if not self._request_in_progress and b"\n" not in self._line:
            self._line += data[: _LINE_MAX - len(self._line)]
        super().data_received(data)
        if self._request_count != before:
            self._head_arrived()
            self._path, self._line = _path_in(self._line), b""
        elif self._head_due is None and not self._request_in_progress:
            # The first bytes of the next head; between two requests a connection may rest longer.
            self._expect_head()

    def _expect_head(self) -> None:
        self._head_due = self._loop.call_later(self._doorkeeper.bounds.head_s, self._head_too_late)

    def _head_arrived(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _head_too_late(self) -> None:
        self._head_due = None
        if not self._request_in_progress:
            self.force_close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """A problem document; the parser's words may quote what was sent, so they stay inside."""
        del message
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        # Who leaves in the middle of a body is nobody's fault.
        if status >= 500 and not isinstance(exc, ConnectionError):
            log.error("connection failed", exc_info=exc)
        return self._problem(request, 431 if _is_too_long(exc) else status)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Have an answer read, or cut the connection: its bytes and its place are not kept for who reads nothing.

        Also the last chance to keep the framework's own words (an `Expect` that nobody knows) inside. Says, as its
        parent does, whether the reader is gone.
        """
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            resp = self._problem(request, resp.status)
        try:
            async with asyncio.timeout(limits.WRITE_S + (resp.content_length or 0) / limits.WRITE_BYTES_PER_S):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            if self.transport is not None:
                self.transport.abort()
            return resp, True

    def _problem(self, request: web.BaseRequest, status: int) -> web.Response:
        # What the parser refuses comes with a request that the framework makes up.
        instance = self._path if request.method == ERROR.method else request.path
        code = _BY_STATUS.get(status, "internal_error" if status >= 500 else "malformed_request")
        body = json_bytes(problem(code, instance=instance))
        response = web.Response(body=body, status=status, content_type=CONTENT_TYPE)
        # Here no application's signal may be heard any more.
        put_common_headers(request, response)
        response.force_close()
        return response


def _path_in(line: bytes) -> str:
    found = _REQUEST_LINE.match(line)
    return found[1].decode().partition("?")[0] if found else ""


def _is_too_long(error: BaseException | None) -> bool:
    """The parser refuses too much of a head by size of a line or by number of fields."""
    return isinstance(error, LineTooLong) or (
        isinstance(error, BadHttpMessage) and error.message.startswith("Too many headers")
    )
