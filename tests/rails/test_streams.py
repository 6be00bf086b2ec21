"""Events in a real Redis."""

import pytest

from penpay.adapters.redis_streams import RedisStreams, redis_client
from penpay.domain.errors import Unavailable
from penpay.ports import OutboxRow


def rows(first, last, shard=3):
    return [
        OutboxRow(
            shard=shard,
            seq=seq,
            stream="transactions" if seq % 3 else "audit",
            event_id=f"event-{seq}",
            type="transaction.updated",
            user_id="u1",
            body='{"id":"x"}',
        )
        for seq in range(first, last + 1)
    ]


@pytest.fixture
async def streams(redis):
    adapter = RedisStreams(redis_client(redis.url()))
    yield adapter
    await adapter.close()


async def seqs(streams, name, shard=3):
    return [entry["seq"] for _, entry in await streams._client.xrange(streams.stream(name, shard))]


async def test_events_keep_the_order_of_the_shard_and_the_marker_follows(streams):
    assert await streams.marker(3) is None
    await streams.publish(3, rows(1, 6))
    assert await seqs(streams, "transactions") == ["1", "2", "4", "5"]
    assert await seqs(streams, "audit") == ["3", "6"]
    assert await streams.marker(3) == 6
    assert await streams.marker(4) is None


async def test_emitting_again_changes_nothing(streams):
    await streams.publish(3, rows(1, 6))
    await streams.publish(3, rows(2, 8))
    assert await seqs(streams, "transactions") == ["1", "2", "4", "5", "7", "8"]
    assert await streams.marker(3) == 8


async def test_after_a_flush_the_window_can_be_refilled(streams, redis):
    await streams.publish(3, rows(1, 6))
    redis.flush()
    assert await streams.marker(3) is None
    await streams.publish(3, rows(4, 7))
    assert await seqs(streams, "transactions") == ["4", "5", "7"]


async def test_what_was_forgotten_takes_lower_places_again(streams):
    await streams.publish(3, rows(1, 9))
    await streams.publish(4, rows(1, 2, shard=4))
    await streams.forget(3)
    assert (await streams.marker(3), await streams.marker(4)) == (None, 2)
    await streams.publish(3, rows(1, 4))
    assert await seqs(streams, "transactions") == ["1", "2", "4"]


async def test_without_redis_it_is_unavailable_and_not_repeated(private_redis):
    adapter = RedisStreams(redis_client(private_redis.url()))
    await adapter.publish(3, rows(1, 1))
    private_redis.stop()
    with pytest.raises(Unavailable):
        await adapter.publish(3, rows(2, 2))
    with pytest.raises(Unavailable):
        await adapter.marker(3)
    with pytest.raises(Unavailable):
        await adapter.forget(3)
    await adapter.close()


async def test_publishing_nothing_asks_nobody(redis):
    adapter = RedisStreams(redis_client("redis://127.0.0.1:1"))
    await adapter.publish(3, [])
    await adapter.close()
