"""Server-Sent Events of the signed-in customer: `transaction.updated`, `balance.updated`.

An event's id is `<shard>-<seq>`, its place in the shard's gapless order. Reconnecting with Last-Event-ID reads what was
missed from SQL, then goes on live. Live events only save time: each silence ends with a look into SQL, so that a stream
is complete while Redis is away.

Balances come from the customer's own Deriv session, which is open while somebody asks: so a stream asks when it begins,
and again before the session counts as idle.
"""

import asyncio
import math
import re

from aiohttp import web

from config import limits
from penpay.domain.errors import Unavailable
from penpay.http.connection import when_lost
from penpay.http.dispatch import Call
from penpay.http.event_hub import NO_PLACE, LiveEvent, Subscription, balance_event
from penpay.http.me import deriv_balance
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
    # Phones reconnect every other second on a bad line: one whose client left must not count until it is written to.
    when_lost(call.request, subscription.end)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    try:
        await response.prepare(call.request)
        feed = _Feed(call, response, subscription, after_seq)
        try:
            await feed.run()
        finally:
            feed.close()
    except ConnectionResetError:
        # The client left, or may not listen any more: that is how streams end.
        pass
    finally:
        when_lost(call.request, None)
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
        self._linked = bool(call.who.deriv_loginid)
        self._asked_at_s = -math.inf
        self._asking: asyncio.Task[None] | None = None
        self._balance = ""

    def close(self) -> None:
        """Nobody waits for a balance any more."""
        if self._asking is not None:
            self._asking.cancel()

    async def run(self) -> None:
        who = self._call.who
        # What ended between the look at the request and the subscription rang for nobody.
        await self._still_signed_in()
        await self._write(f"retry: 2000\nid: {who.shard}-{self._seq}\nevent: ready\ndata: {{}}\n\n".encode())
        await self._catch_up()
        while not self._subscription.ended:
            self._ask_for_balance()
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
        self._linked = bool(identity.deriv_loginid)
        self._signed_in_at_s = self._call.edge.clock.monotonic_s()

    def _ask_for_balance(self) -> None:
        """Now and then, beside the stream, which waits for no answer."""
        now_s = self._call.edge.clock.monotonic_s()
        if not self._linked or now_s - self._asked_at_s < limits.BALANCE_EVERY_S:
            return
        if (self._asking is None or self._asking.done()) and self._call.edge.events.follows_balance(self._subscription):
            self._asked_at_s = now_s
            self._asking = asyncio.create_task(self._put_balance(), name="balance of a stream")

    async def _put_balance(self) -> None:
        """A balance that is not live is no news."""
        try:
            seen = await deriv_balance(self._call)
        except Unavailable:
            return
        if seen is not None and seen.live and not self._subscription.queue.full():
            self._subscription.queue.put_nowait(balance_event(self._call.who.user_id, seen))

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
        elif event.body == self._balance:
            # Asked for, and told by the session as well.
            return
        else:
            self._balance = event.body
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
