"""Deriv's WebSocket: connections and text frames, nothing of what they mean."""

import ssl
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.protocol import State

from penpay.domain.errors import NotSent
from penpay.domain.rail_end import NOT_CONNECTED
from penpay.ports import ConnectionLost

_FRAME_MAX = 4 << 20
_OPEN_S = 10.0
_CLOSE_S = 2.0
_PING_S = 20.0


class _Straight(connect):
    """Follows no redirect: nobody but our configuration says where the agent's token goes."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class WebSocketDialer:
    """`DerivDialer` for one endpoint and app id."""

    def __init__(self, *, ws_url: str, app_id: str) -> None:
        parts = urlsplit(ws_url)
        query = {**dict(parse_qsl(parts.query)), "app_id": app_id}
        self._url = urlunsplit(parts._replace(query=urlencode(query)))

    async def connect(self) -> "WebSocket":
        """Open a connection. Raises `NotSent` when there is none."""
        try:
            # Frames are small, and compression would cost more memory per customer's socket than it saves.
            connection = await _Straight(
                self._url,
                compression=None,
                max_size=_FRAME_MAX,
                open_timeout=_OPEN_S,
                close_timeout=_CLOSE_S,
                ping_interval=_PING_S,
                ping_timeout=_PING_S,
                proxy=None,
            )
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI, ssl.SSLError) as error:
            raise NotSent(NOT_CONNECTED, type(error).__name__) from error
        return WebSocket(connection)


class WebSocket:
    """`DerivSocket` over one connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, frame: str) -> None:
        """Hand a frame to the kernel. Raises `NotSent` before the first byte, `ConnectionLost` after it."""
        if self._connection.state is not State.OPEN:
            raise NotSent(NOT_CONNECTED)
        try:
            await self._connection.send(frame)
        except ConnectionClosed as error:
            raise ConnectionLost(commit_sent=True) from error

    async def receive(self) -> str:
        """Next frame. Raises `ConnectionLost` when the socket is gone."""
        try:
            frame = await self._connection.recv()
        except ConnectionClosed as error:
            raise ConnectionLost(commit_sent=True) from error
        # Deriv speaks text only; a binary frame is shown to the reader as text that is no JSON.
        return frame if isinstance(frame, str) else frame.decode(errors="replace")

    async def close(self) -> None:
        """Close it. Idempotent."""
        await self._connection.close()
