"""A listening socket with an application behind it, opened and closed with its actor."""

from collections.abc import Callable

import structlog
from aiohttp import web

from config.limits import HEADER_BYTES_MAX, HEADERS_MAX
from penpay.http.connection import ConnectionBounds, Runner

log = structlog.get_logger()
_KEEP_ALIVE_S = 75.0
_LINGER_S = 1.0
"""How long the rest of a refused body is still read, so that its sender sees the refusal."""
_BACKLOG = 1024


class Site:
    """`Listener` for one application, made anew at each opening. A port 0 is chosen once and then kept.

    `make_app` may be an application itself, for a site that is opened only once.
    """

    def __init__(
        self,
        name: str,
        make_app: Callable[[], web.Application],
        *,
        host: str,
        port: int,
        close_s: float = 5.0,
        bounds: ConnectionBounds | None = None,
    ) -> None:
        self._name = name
        self._make_app = make_app
        self._host = host
        self._port = port
        self._close_s = close_s
        self._bounds = bounds or ConnectionBounds()
        self._runner: Runner | None = None

    @property
    def port(self) -> int:
        """Where it listens; 0 while closed."""
        addresses = self._runner.addresses if self._runner is not None else []
        return int(addresses[0][1]) if addresses else 0

    async def open(self) -> None:
        """Begin to listen; an address in use raises `OSError`."""
        runner = Runner(
            self._make_app(),
            self._bounds,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=_KEEP_ALIVE_S,
            lingering_time=_LINGER_S,
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
