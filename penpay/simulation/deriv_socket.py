"""A WebSocket of the simulated world: two ends, frames in order, and every way of breaking in between."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from penpay.domain.errors import NotSent
from penpay.domain.rail_end import NOT_CONNECTED
from penpay.ports import ConnectionLost
from penpay.simulation.loop import NodeLoop
from penpay.simulation.odds import Odds
from penpay.simulation.post import Post


class ServerEnd:
    """Deriv's end of a socket."""

    __slots__ = ("_client", "_post", "closed", "deaf", "loginid", "streams")

    def __init__(self, client: "ClientEnd", post: Post) -> None:
        self._client = client
        self._post = post
        self.loginid = ""
        self.streams: dict[str, dict[str, Any]] = {}
        self.closed = False
        self.deaf = False

    def say(self, text: str) -> None:
        """A frame to the client; lost when the socket is gone."""
        if not self.closed:
            self._client.under_way.append(text)
            self._post.after(self._post.travel_s(), self._client.arrive)

    def drop(self) -> None:
        """Gone, without a word; what was said before still arrives first."""
        if not self.closed:
            self.closed = self.deaf = True
            self._client.under_way.append(None)
            self._post.after(self._post.travel_s(), self._client.arrive)


class ClientEnd:
    """`DerivSocket` of a node."""

    __slots__ = ("_hear", "_heard", "_loop", "_over", "_post", "_server", "_spoken", "_waiter", "lost", "under_way")

    def __init__(
        self, loop: NodeLoop, post: Post, hear: Callable[[ServerEnd, str], None], over: Callable[[ServerEnd], None]
    ) -> None:
        self._loop = loop
        self._post = post
        self._hear = hear
        self._over = over
        self._server = ServerEnd(self, post)
        self._spoken: deque[str] = deque()
        self._heard: deque[str] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self.under_way: deque[str | None] = deque()
        self.lost = False

    async def send(self, frame: str) -> None:
        """See `DerivSocket`. What was sent arrives behind what was sent before, also when we are gone by then."""
        if self.lost:
            raise NotSent(NOT_CONNECTED)
        self._spoken.append(frame)
        self._post.after(self._post.travel_s(), self._reach)

    async def receive(self) -> str:
        """See `DerivSocket`."""
        while not self._heard:
            if self.lost:
                raise ConnectionLost(commit_sent=False)
            self._waiter = self._loop.create_future()
            await self._waiter
        return self._heard.popleft()

    async def close(self) -> None:
        """See `DerivSocket`."""
        self.cut()

    def _reach(self) -> None:
        frame = self._spoken.popleft()
        if not self._server.deaf:
            self._hear(self._server, frame)

    def arrive(self) -> None:
        """The next frame is here, or the end of all frames."""
        text = self.under_way.popleft()
        if self.lost:
            return
        if text is None:
            self.cut()
        else:
            self._heard.append(text)
            self._wake()

    def cut(self) -> None:
        """Nothing is heard here any more."""
        self.lost = True
        self._over(self._server)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class SimDialer:
    """`DerivDialer` of one node."""

    def __init__(
        self,
        loop: NodeLoop,
        post: Post,
        odds: Odds,
        hear: Callable[[ServerEnd, str], None],
        gone: Callable[[ServerEnd], None],
    ) -> None:
        self._loop = loop
        self._post = post
        self._odds = odds
        self._hear = hear
        self._gone = gone
        self._sockets: dict[ClientEnd, None] = {}

    async def connect(self) -> ClientEnd:
        """See `DerivDialer`."""
        await asyncio.sleep(self._post.travel_s())
        if self._odds.hits("deriv.not_connected"):
            raise NotSent(NOT_CONNECTED)
        client = ClientEnd(self._loop, self._post, self._hear, self._closed)
        self._sockets[client] = None
        return client

    def _closed(self, end: ServerEnd) -> None:
        end.closed = True
        self._gone(end)
        self._sockets = {one: None for one in self._sockets if not one.lost}

    def cut_all(self) -> None:
        """The process at this end is gone."""
        for client in list(self._sockets):
            client.cut()
