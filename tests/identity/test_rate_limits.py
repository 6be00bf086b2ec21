"""Rate limits in Redis, and alone."""

import asyncio
import itertools
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from penpay.adapters.rate_limits import RedisRateLimits
from penpay.adapters.redis_streams import redis_client
from penpay.domain.errors import Unavailable
from penpay.domain.throttle import Hit, Rule
from penpay.http.rates import RateRules, rate_rules

MINUTE = Rule(name="m", limit=3, window_s=60)
STRICT = Rule(name="s", limit=3, window_s=60, strict=True)
DISTINCT = Rule(name="d", limit=3, window_s=60, distinct=True)
BEGAN = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@dataclass
class Hand:
    """A clock that the test turns."""

    at: datetime = BEGAN

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return (self.at - BEGAN).total_seconds() + 1000


class Away:
    def eval(self, *_: object):
        raise ConnectionError("away")


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture(params=["shared", "alone"])
async def limits(request, hand: Hand):
    if request.param == "alone":
        yield RedisRateLimits(Away(), hand)
        return
    client = redis_client(request.getfixturevalue("redis").url())
    yield RedisRateLimits(client, hand, call_s=10.0)
    await client.aclose()


async def test_the_limit_is_taken_and_one_more_waits(limits: RedisRateLimits):
    waits = [await limits.wait_s([Hit(MINUTE, "a")]) for _ in range(4)]
    assert waits[:3] == [0, 0, 0]
    assert waits[3] == 60
    assert await limits.wait_s([Hit(MINUTE, "b")]) == 0


async def test_room_comes_back_as_each_hit_leaves_the_window(limits: RedisRateLimits, hand: Hand):
    for second in (0, 10, 20):
        hand.at = BEGAN + timedelta(seconds=second)
        assert await limits.wait_s([Hit(MINUTE, "a")]) == 0
    assert await limits.wait_s([Hit(MINUTE, "a")]) == 40
    hand.at = BEGAN + timedelta(seconds=60)
    assert [await limits.wait_s([Hit(MINUTE, "a")]) for _ in range(2)] == [0, 10]
    hand.at = BEGAN + timedelta(seconds=80)
    assert [await limits.wait_s([Hit(MINUTE, "a")]) for _ in range(3)] == [0, 0, 40]


@pytest.mark.parametrize("name", RateRules.__slots__)
async def test_who_comes_again_when_told_to_is_let_through(limits: RedisRateLimits, hand: Hand, name: str):
    rule = replace(getattr(rate_rules(), name), strict=False)
    members = (f"key-{n}" for n in itertools.count())

    def hit() -> list[Hit]:
        return [Hit(rule, "a", next(members))]

    # The first half at once, the others over half a window.
    later = rule.limit // 2
    for _ in range(rule.limit - later):
        assert await limits.wait_s(hit()) == 0
    for _ in range(later):
        hand.at += timedelta(seconds=rule.window_s / 2 / later)
        assert await limits.wait_s(hit()) == 0
    # Impatience costs nothing.
    (told_s,) = {await limits.wait_s(hit()) for _ in range(rule.limit + 5)}
    assert 0 < told_s <= rule.window_s
    told_at = hand.at + timedelta(seconds=told_s)
    for left_s in (told_s / 2, 1.001):
        hand.at = told_at - timedelta(seconds=left_s)
        assert await limits.wait_s(hit()) == math.ceil(left_s)
    hand.at = told_at
    assert await limits.wait_s(hit()) == 0


async def test_a_request_that_one_rule_refuses_costs_nothing_elsewhere(limits: RedisRateLimits, hand: Hand):
    day = Rule(name="day", limit=2, window_s=86_400)
    once = Rule(name="once", limit=1, window_s=60)
    both = [Hit(once, "a"), Hit(day, "a")]
    assert await limits.wait_s(both) == 0
    assert {await limits.wait_s(both) for _ in range(20)} == {60}
    hand.at += timedelta(seconds=60)
    assert await limits.wait_s(both) == 0
    assert await limits.wait_s(both) == 86_340


async def test_looking_costs_nothing(limits: RedisRateLimits):
    once = Rule(name="once", limit=1, window_s=60)
    both = [Hit(once, "a"), Hit(MINUTE, "a")]
    assert [await limits.room_s(both) for _ in range(5)] == [[0, 0]] * 5
    assert await limits.wait_s(both) == 0
    assert await limits.room_s(both) == [60, 0]


async def test_equal_members_count_once(limits: RedisRateLimits):
    for _ in range(10):
        assert await limits.wait_s([Hit(DISTINCT, "a", "key-1")]) == 0
    assert await limits.wait_s([Hit(DISTINCT, "a", "key-2")]) == 0
    assert await limits.wait_s([Hit(DISTINCT, "a", "key-3")]) == 0
    assert await limits.wait_s([Hit(DISTINCT, "a", "key-4")]) == 60


async def test_what_is_given_back_leaves_room_for_another(limits: RedisRateLimits):
    assert [await limits.wait_s([Hit(MINUTE, "a")]) for _ in range(4)] == [0, 0, 0, 60]
    await limits.give_back([Hit(MINUTE, "a")])
    assert [await limits.wait_s([Hit(MINUTE, "a")]) for _ in range(2)] == [0, 60]
    await limits.give_back([Hit(MINUTE, "a"), Hit(MINUTE, "a"), Hit(MINUTE, "b")])
    assert [await limits.wait_s([Hit(MINUTE, "a")]) for _ in range(3)] == [0, 0, 60]


async def test_the_newest_is_given_back_and_a_member_by_itself(limits: RedisRateLimits, hand: Hand):
    hits = [Hit(DISTINCT, "a", f"key-{n}") for n in range(3)]
    for hit in hits:
        assert await limits.wait_s([hit, Hit(MINUTE, "a")]) == 0
        hand.at += timedelta(seconds=10)
    await limits.give_back([hits[0], Hit(MINUTE, "a")])
    assert await limits.wait_s([hits[0]]) == 0
    assert await limits.wait_s([Hit(DISTINCT, "a", "key-4")]) == 40, "until the second leaves"
    assert await limits.wait_s([Hit(MINUTE, "a")]) == 0
    assert await limits.wait_s([Hit(MINUTE, "a")]) == 30, "until the first leaves"
    await limits.give_back([Hit(DISTINCT, "a", "never counted")])
    assert await limits.wait_s([Hit(DISTINCT, "a", "key-4")]) == 40


async def test_what_cannot_be_given_back_stays_counted(redis, hand: Hand):
    client = redis_client(redis.url())
    limits = RedisRateLimits(client, hand, call_s=10.0)
    for _ in range(3):
        assert await limits.wait_s([Hit(MINUTE, "a")]) == 0
    limits._client = Away()
    for _ in range(2):
        await limits.give_back([Hit(MINUTE, "a")])
    limits._client = client
    hand.at += timedelta(seconds=1)
    assert await limits.wait_s([Hit(MINUTE, "a")]) == 59
    await client.aclose()


async def test_the_fullest_rule_decides(limits: RedisRateLimits):
    hour = Rule(name="h", limit=1, window_s=3600)
    await limits.wait_s([Hit(hour, "a")])
    assert await limits.wait_s([Hit(MINUTE, "a"), Hit(hour, "a")]) > 60


async def test_a_strict_rule_lets_nobody_through_alone(hand: Hand):
    limits = RedisRateLimits(Away(), hand)
    with pytest.raises(Unavailable):
        await limits.wait_s([Hit(MINUTE, "a"), Hit(STRICT, "a")])
    assert await limits.wait_s([Hit(MINUTE, "a")]) == 0


async def test_redis_is_asked_again_after_a_second(redis, hand: Hand):
    client = redis_client(redis.url())
    limits = RedisRateLimits(client, hand, call_s=10.0)
    limits._client = Away()
    await limits.wait_s([Hit(MINUTE, "a")])
    limits._client = client
    with pytest.raises(Unavailable):
        await limits.wait_s([Hit(STRICT, "a")])
    hand.at += timedelta(seconds=1)
    assert await limits.wait_s([Hit(STRICT, "a")]) == 0
    await client.aclose()


async def test_counters_leave_redis_by_themselves_and_hold_no_plain_key(redis, hand: Hand):
    client = redis_client(redis.url())
    await RedisRateLimits(client, hand, call_s=10.0).wait_s([Hit(MINUTE, "k"), Hit(DISTINCT, "k", "m")])
    keys = [key async for key in client.scan_iter("*")]
    assert len(keys) == 2
    assert all([0 < await client.ttl(key) <= 60 for key in keys])
    await client.aclose()


async def test_redis_keeps_no_more_of_a_key_than_its_limit(redis, hand: Hand):
    client = redis_client(redis.url())
    limits = RedisRateLimits(client, hand, call_s=10.0)
    for second in range(200):
        hand.at = BEGAN + timedelta(seconds=second)
        await asyncio.gather(
            *(limits.wait_s([Hit(MINUTE, "k"), Hit(DISTINCT, "k", f"{second}-{n}")]) for n in range(5))
        )
    sizes = [await client.zcard(key) async for key in client.scan_iter("*")]
    assert len(sizes) == 2
    assert max(sizes) <= 3
    await client.aclose()


async def test_requests_that_come_together_are_counted_one_by_one(limits: RedisRateLimits):
    waits = await asyncio.gather(*(limits.wait_s([Hit(MINUTE, "a"), Hit(DISTINCT, "a", "k")]) for _ in range(5)))
    assert waits == [0, 0, 0, 60, 60]
    assert await limits.wait_s([]) == 0


@pytest.mark.parametrize("shared", [True, False])
async def test_a_known_member_passes_also_at_the_limit_and_a_refused_one_is_not_known(redis, shared: bool):
    client, hand = redis_client(redis.url()), Hand()
    limits = RedisRateLimits(client if shared else Away(), hand, call_s=10.0)
    for member in ("a", "b", "c"):
        assert await limits.wait_s([Hit(DISTINCT, "u", member)]) == 0
    for _ in range(3):
        assert await limits.wait_s([Hit(DISTINCT, "u", "d")]) > 0
        assert await limits.wait_s([Hit(DISTINCT, "u", "a")]) == 0
    hand.at += timedelta(seconds=60)
    assert await limits.wait_s([Hit(DISTINCT, "u", "b")]) == 0
    hand.at += timedelta(seconds=61)
    assert await limits.wait_s([Hit(DISTINCT, "u", "d")]) == 0
    await client.aclose()
