"""S47: a login that may neither flush nor configure nor search is enough for everything that we do with Redis."""

import asyncio

import pytest
from redis.exceptions import NoPermissionError

from penpay.adapters.rate_limits import RedisRateLimits
from penpay.adapters.redis_streams import RedisStreams, redis_client
from penpay.adapters.stream_reader import StreamReader, blocking_client
from penpay.adapters.system import SystemClock
from penpay.domain.throttle import Hit, Rule
from penpay.ports import OutboxRow

RIGHTS = (
    *("+@connection", "+ping", "+eval", "+get", "+set", "+pexpire"),
    *("+zadd", "+zcard", "+zrange", "+zremrangebyscore", "+zscore"),
    *("+xadd", "+xread", "+xrevrange", "+xtrim", "+del", "+multi", "+exec", "~penpay.*"),
)
ROW = OutboxRow(shard=0, seq=1, stream="transactions", event_id="e", type="t", user_id="u", body="{}")


@pytest.fixture
def url(redis) -> str:
    assert redis.command("ACL", "SETUSER", "penpay", "reset", "on", ">word", *RIGHTS) == "+OK"
    return redis.url().replace("unix://", "unix://penpay:word@")


async def test_it_is_enough_for_limits_and_streams(url: str):
    client = redis_client(url)
    limits = RedisRateLimits(client, SystemClock(), call_s=10.0)
    plain, once = Rule(name="p", limit=1, window_s=60, strict=True), Rule(name="o", limit=1, window_s=60, distinct=True)
    assert [await limits.wait_s([Hit(plain, "u")]) > 0 for _ in range(2)] == [False, True]
    assert await limits.wait_s([Hit(once, "u", "k")]) == 0
    await limits.give_back([Hit(plain, "u"), Hit(once, "u", "k")])
    assert await limits.room_s([Hit(plain, "u"), Hit(once, "u", "l")]) == [0, 0]
    got: asyncio.Queue[OutboxRow] = asyncio.Queue()
    rung: list[str] = []
    reader = StreamReader(blocking_client(url), shards=1, publish=got.put_nowait, ring=rung.append)
    streams = RedisStreams(client)
    await reader.open()
    async with asyncio.timeout(60):
        while not reader._places:
            await asyncio.sleep(0)
        await streams.publish(0, [ROW])
        assert await got.get() == ROW
    await reader.close()
    await client.aclose()


@pytest.mark.parametrize("command", ["FLUSHALL", "CONFIG GET dir", "KEYS *", "SHUTDOWN", "SCRIPT FLUSH", "ACL LIST"])
async def test_it_is_not_enough_for_harm(url: str, command: str):
    client = redis_client(url)
    with pytest.raises(NoPermissionError):
        await client.execute_command(*command.split())
    with pytest.raises(NoPermissionError):
        await client.get("another.application")
    await client.aclose()
