"""The outbox relay of a shard: committed events go to the streams in order, at least once, and Redis may forget."""

from collections.abc import Mapping
from typing import Any

import structlog

from actors.base import AsyncioActor
from actors.recording import record
from penpay.domain.errors import Unavailable
from penpay.domain.unit import UnitOfWork
from penpay.messages import OutboxBell
from penpay.ports import Addresses, Clock, OutboxStore, Streams

log = structlog.get_logger()

PAGE_MAX = 500
WINDOW = 10_000
"""How many of the last events are sent again when Redis has forgotten where we were."""
GATHER_S = 0.02
"""What is committed within this goes out together: a read, a write and a follower's read for many events, not for each.
Nobody who watches a screen notices."""


class OutboxActor(AsyncioActor):
    """Rung by `OutboxBell`; looks by itself every `look_s`; records its cursor every `cursor_s` as a ledger unit."""

    KIND = "outbox"
    LEVEL = 5

    def __init__(
        self,
        *,
        shard: int,
        addresses: Addresses,
        store: OutboxStore,
        streams: Streams,
        clock: Clock,
        look_s: float = 0.5,
        cursor_s: float = 1.0,
        retry_s: float = 1.0,
    ) -> None:
        super().__init__()
        self._shard = shard
        self._addresses = addresses
        self._store = store
        self._streams = streams
        self._clock = clock
        self._look_s = look_s
        self._cursor_s = cursor_s
        self._retry_s = retry_s
        self._sent: int | None = None
        self._known = 0
        self._recorded = 0
        self._checked_s = 0.0
        self._rung = False
        self._problem = ""

    def observable_state(self) -> Mapping[str, object]:
        """How far the relay is, and how far the shard."""
        return {"sent": self._sent, "known": self._known, "recorded": self._recorded, "problem": self._problem}

    async def on_start(self) -> None:
        """Looks at once: events of an earlier owner may wait."""
        self.timers.every("look", self._look_s, "look")
        self.timers.every("cursor", self._cursor_s, "cursor")
        self.actor_ref.tell("look")

    async def on_stop(self) -> None:
        """What is committed goes out, and how far it went is recorded: perhaps there is no next owner for a while."""
        await self._guarded(self._relay)
        await self._guarded(self._record_cursor)

    async def on_receive(self, message: Any) -> None:
        """Bells coalesce: one look takes all that is there."""
        match message:
            case OutboxBell(seq):
                self._known = max(self._known, seq)
                if not self._rung:
                    self._rung = True
                    self.timers.once("rung", GATHER_S, "rung")
            case "cursor":
                await self._guarded(self._record_cursor)
            case _:
                self._rung = False
                await self._guarded(self._relay)

    async def _guarded(self, step: Any) -> None:
        try:
            await step()
            self._problem = ""
        except Unavailable as error:
            self._problem = str(error)
            self._sent = None  # where Redis stands is asked again

    async def _relay(self) -> None:
        sent = await self._position()
        full = True
        while full and (rows := await self._store.after(self._shard, sent, limit=PAGE_MAX)):
            await self._streams.publish(self._shard, rows)
            sent = self._sent = rows[-1].seq
            self._known = max(self._known, sent)
            full = len(rows) == PAGE_MAX

    async def _position(self) -> int:
        """Where Redis stands. The marker is asked for now and then even while all goes well: a flush makes no noise."""
        now_s = self._clock.monotonic_s()
        if self._sent is not None and now_s - self._checked_s < self._retry_s:
            return self._sent
        self._checked_s = now_s
        marker = await self._streams.marker(self._shard)
        recorded = await self._store.cursor(self._shard)
        self._recorded = max(self._recorded, recorded)
        cursor = max(recorded, self._sent or 0)
        if max(marker or 0, cursor) > self._known:
            self._known = max(self._known, await self._store.newest(self._shard))
            cursor = min(cursor, self._known)
        if marker is not None and marker > self._known:
            # Redis outlived a database that was restored or made anew: its places would hide our events.
            log.warning("streams_of_another_history", shard=self._shard, marker=marker, newest=self._known)
            await self._streams.forget(self._shard)
            marker = None
        if marker is None or marker < cursor:
            start = max(0, cursor - WINDOW)
            if cursor:
                log.warning("streams_refilled", shard=self._shard, after=start)
            self._sent = start
        else:
            self._sent = marker
        return self._sent

    async def _record_cursor(self) -> None:
        sent = self._sent
        if sent is None or sent <= self._recorded:
            return
        unit = UnitOfWork(
            unit_id=f"shard:{self._shard}:cursor:{sent}", shard=self._shard, at=self._clock.now(), outbox_cursor=sent
        )
        await record(self._addresses, unit)
        self._recorded = sent
