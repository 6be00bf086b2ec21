"""Server-Sent Events of the signed-in customer: `transaction.updated`, `balance.updated`.

An event's id is `<shard>-<seq>`, its place in the shard's gapless order. Reconnecting with Last-Event-ID reads what was
missed from SQL, then goes on live. Live events only save time: each silence ends with a look into SQL, so that a stream
is complete while Redis is away.
"""

import asyncio
import re

from aiohttp import web

from config import limits
from penpay.domain.errors import Unavailable
from penpay.http.dispatch import Call
from penpay.http.event_hub import NO_PLACE, LiveEvent, Subscription
from penpay.http.replies import Stop

HEARTBEAT_S = 15.0
_PAGE = 200
_EVENT_ID = re.compile(r"([0-9]{1,5})-([0-9]{1,18})", re.ASCII)


async def stream(call: Call) -> web.StreamResponse:
    """Events until either side leaves."""
    edge, who = call.edge, call.who
    if who.status != "ACTIVE":
        raise Stop("account_frozen")
    after_seq = await _place(call)
    subscription = edge.events.subscribe(who.user_id)
    if subscription is None:
        raise Stop("overloaded", "Too many event streams are open.", retry_after_s=5)
    # An open stream is no request in progress: it has bounds of its own.
    edge.admission.requests -= 1
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    try:
        await response.prepare(call.request)
        await _Feed(call, response, subscription, after_seq).run()
    except ConnectionResetError:
        # The client left, or may not listen any more: that is how streams end.
        pass
    finally:
        edge.admission.requests += 1
        edge.events.unsubscribe(subscription)
    return response


async def _place(call: Call) -> int:
    """Behind which event to begin. Another shard's id, or none, begins at the newest."""
    shard = call.who.shard
    given = _EVENT_ID.fullmatch(call.request.headers.get("Last-Event-ID", ""))
    # 0 is before the first event, in whatever shard that would have been.
    if given is not None and (int(given[1]) == shard or int(given[2]) == 0):
        return int(given[2])
    return await call.edge.reads.newest_seq(shard)


class _Feed:
    """One stream being written."""

    def __init__(self, call: Call, response: web.StreamResponse, subscription: Subscription, after_seq: int) -> None:
        self._call = call
        self._response = response
        self._subscription = subscription
        self._seq = after_seq
        self._signed_in_at_s = call.edge.clock.monotonic_s()

    async def run(self) -> None:
        who = self._call.who
        # What ended between the look at the request and the subscription rang for nobody.
        await self._still_signed_in()
        await self._write(f"retry: 2000\nid: {who.shard}-{self._seq}\nevent: ready\ndata: {{}}\n\n".encode())
        await self._catch_up()
        while not self._subscription.ended:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    event = await self._subscription.queue.get()
            except TimeoutError:
                await self._write(b": still here\n\n")
                await self._still_signed_in()
                await self._catch_up()
                continue
            # Rung for; and a stream that is never silent ends with its session also when no bell was heard.
            if self._subscription.doubted or self._call.edge.clock.monotonic_s() - self._signed_in_at_s >= HEARTBEAT_S:
                await self._still_signed_in()
            if self._subscription.lagged:
                await self._catch_up()
            elif event is not None:
                await self._emit(event)

    async def _still_signed_in(self) -> None:
        claims = self._call.claims
        assert claims is not None
        self._subscription.doubted = False
        try:
            identity = await self._call.edge.accounts.identity(claims.user_id, claims.session_id)
        except Unavailable:
            return
        if identity is None or not identity.session_live or identity.status != "ACTIVE":
            raise ConnectionResetError("the session has ended")
        self._signed_in_at_s = self._call.edge.clock.monotonic_s()

    async def _catch_up(self) -> None:
        """Read from SQL what lies behind the last event, in pages. Live ones among them are dropped by their place."""
        who = self._call.who
        self._subscription.lagged = False
        while True:
            try:
                rows = await self._call.edge.reads.events(who.user_id, who.shard, after_seq=self._seq, limit=_PAGE)
            except Unavailable:
                return
            for row in rows:
                event = LiveEvent(shard=row.shard, seq=row.seq, type=row.type, user_id=row.user_id, body=row.body)
                await self._emit(event)
            if len(rows) < _PAGE:
                return

    async def _emit(self, event: LiveEvent) -> None:
        if event.seq != NO_PLACE:
            if event.seq <= self._seq:
                return
            self._seq = event.seq
        # JSON bodies have no line breaks, so one data line holds them. Without a place, the last one stays the place.
        place = f"{self._call.who.shard}-{self._seq}"
        await self._write(f"id: {place}\nevent: {event.type}\ndata: {event.body}\n\n".encode())

    async def _write(self, data: bytes) -> None:
        """A reader that does not read holds what fits into the socket, and is cut in the end."""
        try:
            async with asyncio.timeout(limits.WRITE_S):
                await self._response.write(data)
        except TimeoutError:
            if self._call.request.transport is not None:
                self._call.request.transport.abort()
            raise ConnectionResetError("the reader does not read") from None
