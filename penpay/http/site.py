"""A listening socket with an application behind it, opened and closed with its actor."""

import asyncio
import secrets
from collections.abc import Callable

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from config.limits import HEADER_BYTES_MAX, HEADERS_MAX
from penpay.domain.presentation import json_bytes
from penpay.domain.problems import CONTENT_TYPE, problem

log = structlog.get_logger()
_KEEP_ALIVE_S = 75.0
_BACKLOG = 1024
_BY_STATUS = {400: "malformed_request", 413: "payload_too_large", 431: "headers_too_large"}


class Site:
    """`Listener` for one application, made anew at each opening. A port 0 is chosen once and then kept.

    `make_app` may be an application itself, for a site that is opened only once.
    """

    def __init__(
        self, name: str, make_app: Callable[[], web.Application], *, host: str, port: int, close_s: float = 5.0
    ) -> None:
        self._name = name
        self._make_app = make_app
        self._host = host
        self._port = port
        self._close_s = close_s
        self._runner: _Runner | None = None

    @property
    def port(self) -> int:
        """Where it listens; 0 while closed."""
        addresses = self._runner.addresses if self._runner is not None else []
        return int(addresses[0][1]) if addresses else 0

    async def open(self) -> None:
        """Begin to listen; an address in use raises `OSError`."""
        runner = _Runner(
            self._make_app(),
            access_log=None,
            handle_signals=False,
            keepalive_timeout=_KEEP_ALIVE_S,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            max_headers=HEADERS_MAX,
            # A compressed body would be unpacked before its size could be judged; it is refused instead.
            auto_decompress=False,
            shutdown_timeout=self._close_s,
        )
        await runner.setup()
        site = web.TCPSite(runner, self._host, self._port, backlog=_BACKLOG)
        try:
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self._port = self.port
        log.info("listening", listener=self._name, host=self._host, port=self.port)

    async def close(self) -> None:
        """Finish what is being answered, within a bound, and stop. Idempotent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()


class _Runner(web.AppRunner):
    """Makes connections that answer broken HTTP the way the rest of the API answers."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            loop=asyncio.get_running_loop(),
            **self._kwargs,
        )


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    """What aiohttp would answer in its own words, with its version, for what never became a request."""

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """A problem document; the parser's words may quote what was sent, so they stay inside."""
        del message
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        if status >= 500:
            log.error("connection failed", exc_info=exc)
        code = _BY_STATUS.get(status, "internal_error" if status >= 500 else "malformed_request")
        response = web.Response(body=json_bytes(problem(code)), status=status, content_type=CONTENT_TYPE)
        response.headers["Server"] = "penpay"
        response.headers["X-Request-Id"] = secrets.token_hex(13)
        response.force_close()
        return response
