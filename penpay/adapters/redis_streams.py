"""Redis Streams as doorbell and event log: one stream per shard and kind of event, refilled from SQL when lost.

Redis is never the source of truth. Keys: `<prefix>transactions:<shard>`, `<prefix>balances:<shard>`,
`<prefix>audit:<shard>` and the marker `<prefix>marker:<shard>`; entry ids are `<seq>-0`, the shard's own order.
"""

from collections.abc import Sequence

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.typing import EncodableT, FieldT

from penpay.domain.errors import Unavailable
from penpay.ports import OutboxRow

STREAMS = ("transactions", "balances", "audit")
_KEEP = 10_000
_CALL_S = 5.0
_IS_THERE_ALREADY = "equal or smaller than the target stream top item"


def redis_client(url: str) -> "Redis":
    """A client that never repeats a command by itself: a repeated XADD would be a second entry."""
    return Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
        socket_timeout=_CALL_S,
        socket_connect_timeout=_CALL_S,
        health_check_interval=0,
        decode_responses=True,
    )


class RedisStreams:
    """`Streams`. Entries and the marker of a call appear together or not at all."""

    def __init__(self, client: "Redis", *, prefix: str = "penpay.") -> None:
        self._client = client
        self._prefix = prefix

    def stream(self, name: str, shard: int) -> str:
        """Key of a stream."""
        return f"{self._prefix}{name}:{shard}"

    async def publish(self, shard: int, rows: Sequence[OutboxRow]) -> None:
        """Add events in order. An event that is there already stays as it is. Raises `Unavailable`."""
        if not rows:
            return
        async with self._client.pipeline(transaction=True) as batch:
            for row in rows:
                key = self.stream(row.stream, shard)
                batch.xadd(key, _fields(row), id=f"{row.seq}-0", maxlen=_KEEP, approximate=True)
            batch.set(f"{self._prefix}marker:{shard}", rows[-1].seq)
            try:
                results = await batch.execute(raise_on_error=False)
            except (RedisError, OSError, TimeoutError) as error:
                raise Unavailable("redis") from error
        for result in results:
            if isinstance(result, ResponseError) and _IS_THERE_ALREADY in str(result):
                continue
            if isinstance(result, Exception):
                raise Unavailable("redis") from result

    async def marker(self, shard: int) -> int | None:
        """Newest seq that was published for this shard; None after a flush. Raises `Unavailable`."""
        try:
            found = await self._client.get(f"{self._prefix}marker:{shard}")
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable("redis") from error
        return int(found) if found is not None and str(found).isdigit() else None

    async def forget(self, shard: int) -> None:
        """An emptied stream would still refuse lower places: its key goes. Raises `Unavailable`."""
        keys = [self.stream(name, shard) for name in (*STREAMS, "marker")]
        try:
            await self._client.delete(*keys)
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable("redis") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _fields(row: OutboxRow) -> dict[FieldT, EncodableT]:
    return {"id": row.event_id, "type": row.type, "user_id": row.user_id, "body": row.body, "seq": row.seq}
