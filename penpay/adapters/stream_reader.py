"""Reads the streams of all shards from Redis and hands each event on: what makes Server-Sent Events live on any node.

A client of its own without a read time-out: a blocking read with one would be cut, and repeated behind our back.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from penpay.ports import OutboxRow

_BLOCK_MS = 3000
_PAGE = 500
_PAUSE_S = 1.0
_STREAMS = ("transactions", "balances")
log = structlog.get_logger()


def blocking_client(url: str) -> Redis:
    """A client for blocking reads only."""
    return Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
        socket_timeout=None,
        socket_connect_timeout=5.0,
        health_check_interval=0,
        decode_responses=True,
        max_connections=2,
    )


def _place(entry_id: str) -> tuple[int, ...]:
    return tuple(map(int, entry_id.split("-")))


def _unheard(_user_id: str) -> None:
    """For who shows no streams to anybody."""


class StreamReader:
    """`Listener` that feeds `publish` with every new event of these shards. Missed ones are in SQL.

    `ring` hears the customers whose sessions ended on other nodes.
    """

    def __init__(
        self,
        client: Redis,
        *,
        shards: int,
        publish: Callable[[OutboxRow], None],
        ring: Callable[[str], None] = _unheard,
        prefix: str = "penpay.",
    ) -> None:
        self._client = client
        self._publish = publish
        self._ring = ring
        self._sessions = f"{prefix}sessions"
        # Only what comes from now on: open streams have read the rest from SQL.
        self._names = [f"{prefix}{name}:{shard}" for name in _STREAMS for shard in range(shards)]
        self._names.append(self._sessions)
        self._places: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to read. Redis may come and go; nothing here fails with it."""
        self._task = asyncio.get_running_loop().create_task(self._read(), name="event streams")

    async def close(self) -> None:
        """Stop reading. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._client.aclose()

    async def _read(self) -> None:
        while True:
            try:
                if not self._places:
                    await self._begin()
                page = await self._page()
                for stream, entries in page:
                    self._hand_on(stream, entries)
                if not page:
                    await self._begin_again()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("event_streams_are_away", reason=type(error).__name__)
                # A flush forgets the streams; their ids go on from the shard's own order all the same.
                self._places.clear()
                await asyncio.sleep(_PAUSE_S)

    async def _begin(self) -> None:
        """Start behind the newest entry of each stream: `$` would skip what arrives between two reads."""
        self._places = {name: newest or "0-0" for name, newest in await self._newest()}

    async def _begin_again(self) -> None:
        """A stream whose newest entry lies before our place was made anew: its events are read from the first one."""
        for name, newest in await self._newest():
            if newest and _place(newest) < _place(self._places[name]):
                log.warning("event_stream_was_made_anew", stream=name)
                self._places[name] = "0-0"

    async def _newest(self) -> Sequence[tuple[str, str]]:
        """The id of the newest entry of each stream; empty without one."""
        async with self._client.pipeline(transaction=False) as batch:
            for name in self._names:
                batch.xrevrange(name, count=1)
            found = await batch.execute()
        return [(name, entries[0][0] if entries else "") for name, entries in zip(self._names, found, strict=True)]

    async def _page(self) -> Sequence[tuple[str, Sequence[tuple[str, Mapping[str, str]]]]]:
        places: dict[Any, Any] = dict(self._places)
        answer: Any = await self._client.xread(places, count=_PAGE, block=_BLOCK_MS)
        if isinstance(answer, dict):
            # RESP3 wraps the entries of a stream in one more list.
            return [(name, [entry for page in pages for entry in page]) for name, pages in answer.items()]
        return list(answer or ())

    def _hand_on(self, stream: str, entries: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        if stream == self._sessions:
            for entry_id, fields in entries:
                self._places[stream] = entry_id
                self._ring(fields["user_id"])
            return
        shard = int(stream.rpartition(":")[2])
        for entry_id, fields in entries:
            self._places[stream] = entry_id
            self._publish(
                OutboxRow(
                    shard=shard,
                    seq=int(fields["seq"]),
                    stream=stream.rpartition(":")[0].rpartition(".")[2],
                    event_id=fields["id"],
                    type=fields["type"],
                    user_id=fields["user_id"],
                    body=fields["body"],
                )
            )
