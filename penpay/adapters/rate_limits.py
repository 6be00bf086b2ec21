"""Rate limits counted in Redis for all nodes; in this process alone while Redis is away.

Kept are the times of what was let through, and nothing else: at most `limit` of them per rule and key, for one window.
So a refusal costs nothing, and the wait that it names is exact. Requests that come together are counted together, in
one command: a busy node asks once for many, over one connection.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from penpay.adapters.batching import Batcher
from penpay.domain.errors import Unavailable
from penpay.domain.throttle import Hit
from penpay.ports import Clock

_CALL_S = 0.25
"""A counter that is slower than this is treated as away: it must not slow every request."""
_AWAY_S = 1.0
"""How long it is left alone then."""
_PREFIX = "penpay."
_LOCAL_MAX = 50_000
_BATCH_MAX = 128
_WAITING_MAX = 4096
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COUNT: Final = """
local now = tonumber(ARGV[1])

local function wait_of(key, limit, window, member)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  local over = redis.call('ZCARD', key) - limit
  if over < 0 or (member ~= '' and redis.call('ZSCORE', key, member)) then
    return 0
  end
  local leaves = redis.call('ZRANGE', key, over, over, 'WITHSCORES')[2] + window
  return math.min(leaves - now, window)
end

local function record(key, window, member)
  local number = 0
  if member ~= '' then
    redis.call('ZADD', key, 'NX', now, member)
  else
    while redis.call('ZADD', key, 'NX', now, ARGV[1] .. '-' .. number) == 0 do
      number = number + 1
    end
  end
  redis.call('PEXPIRE', key, window)
end

local waits, request, at = {}, 2, 0
while request <= #ARGV do
  local size, counts, longest = tonumber(ARGV[request]), ARGV[request + 1] == '1', 0
  for hit = 1, size do
    local limit, window, member = unpack(ARGV, request + 3 * hit - 1, request + 3 * hit + 1)
    waits[at + hit] = wait_of(KEYS[at + hit], tonumber(limit), tonumber(window), member)
    longest = math.max(longest, waits[at + hit])
  end
  for hit = 1, counts and longest == 0 and size or 0 do
    local window, member = unpack(ARGV, request + 3 * hit, request + 3 * hit + 1)
    record(KEYS[at + hit], window, member)
  end
  request, at = request + 2 + 3 * size, at + size
end
return waits
"""
"""One key per hit. The values: the time; then per request how many hits it is of, 1 if they count, and per hit the
limit, the window and a distinct member or ''. Answers the wait of each hit; all times in milliseconds. A request is
recorded only when each of its hits is let through; a member that was let through before needs no room. A wait is never
longer than the window, whatever another node's clock says: after it the key is gone."""
_GIVE_BACK: Final = """
for at, key in ipairs(KEYS) do
  local member = ARGV[at] ~= '' and ARGV[at] or redis.call('ZRANGE', key, -1, -1)[1]
  if member then
    redis.call('ZADD', key, 'XX', 0, member)
  end
end
"""
"""One key per hit; the values: its member, or '' for the newest. What is given back lies at the beginning of time, and
is swept away by the next look."""
_Asked = tuple[Sequence[Hit], bool]
log = structlog.get_logger()


class RedisRateLimits:
    """`penpay.http.edge.RateLimits`. The client must not repeat commands by itself."""

    def __init__(self, client: Redis, clock: Clock, *, call_s: float = _CALL_S) -> None:
        self._client = client
        self._clock = clock
        self._call_s = call_s
        self._away_until_s = 0.0
        self._local = _Local()
        self._together: Batcher[_Asked, Sequence[int] | None] = Batcher(
            self._shared, size=_BATCH_MAX, waiting_max=_WAITING_MAX
        )

    async def wait_s(self, hits: Sequence[Hit]) -> int:
        return max(await self._waits_s(hits, counts=True), default=0)

    async def room_s(self, hits: Sequence[Hit]) -> Sequence[int]:
        return await self._waits_s(hits, counts=False)

    async def give_back(self, hits: Sequence[Hit]) -> None:
        """Where they were counted, there or here. While Redis is away, those there stay until they leave the window."""
        self._local.give_back(hits)
        if not hits or self._clock.monotonic_s() < self._away_until_s:
            return
        keys = [_PREFIX + _name(hit) for hit in hits]
        try:
            async with asyncio.timeout(self._call_s):
                await cast("Awaitable[object]", self._client.eval(_GIVE_BACK, len(keys), *keys, *map(_member, hits)))
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("hits_not_given_back", reason=type(error).__name__)

    async def _waits_s(self, hits: Sequence[Hit], *, counts: bool) -> Sequence[int]:
        waits = await self._together.put((hits, counts)) if hits else []
        if waits is None:
            if any(hit.rule.strict for hit in hits):
                raise Unavailable("redis", retry_after_s=2.0)
            waits = self._local.waits_ms(hits, self._now_ms(), counts=counts)
        return [math.ceil(wait_ms / 1000) for wait_ms in waits]

    async def _shared(self, batch: Sequence[_Asked]) -> Sequence[Sequence[int] | None]:
        """The waits of each request's hits; nothing while Redis is away."""
        if self._clock.monotonic_s() < self._away_until_s:
            return [None] * len(batch)
        try:
            async with asyncio.timeout(self._call_s):
                waits = await self._counted_there(batch)
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until_s = self._clock.monotonic_s() + _AWAY_S
            log.warning("rate_limits_are_local", reason=type(error).__name__)
            return [None] * len(batch)
        places = iter(waits)
        return [[next(places) for _ in hits] for hits, _ in batch]

    async def _counted_there(self, batch: Sequence[_Asked]) -> list[int]:
        keys, values = [], [str(self._now_ms())]
        for hits, counts in batch:
            keys += [_PREFIX + _name(hit) for hit in hits]
            values += [str(len(hits)), "1" if counts else "0"]
            for hit in hits:
                values += [str(hit.rule.limit), str(_window_ms(hit)), _member(hit)]
        return await cast("Awaitable[list[int]]", self._client.eval(_COUNT, len(keys), *keys, *values))

    def _now_ms(self) -> int:
        """In whole milliseconds, cut as the times that we tell: what was told to be the time is the time."""
        return (self._clock.now() - _EPOCH) // timedelta(milliseconds=1)


class _Local:
    """The same in this process: per rule and key, the members let through and when, the oldest first."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, OrderedDict[str, int]] = OrderedDict()
        self._numbers = count()

    def waits_ms(self, hits: Sequence[Hit], now_ms: int, *, counts: bool) -> Sequence[int]:
        waits = [self._wait_ms(hit, now_ms) for hit in hits]
        if counts and not any(waits):
            for hit in hits:
                self._record(hit, now_ms)
        return waits

    def give_back(self, hits: Sequence[Hit]) -> None:
        for hit in hits:
            known = self._known.get(_name(hit))
            member = _member(hit) or next(reversed(known or {}), "")
            if known is not None:
                known.pop(member, None)

    def _wait_ms(self, hit: Hit, now_ms: int) -> int:
        known, window_ms = self._known.get(_name(hit), OrderedDict()), _window_ms(hit)
        while known and _oldest_ms(known) <= now_ms - window_ms:
            known.popitem(last=False)
        if len(known) < hit.rule.limit or _member(hit) in known:
            return 0
        return min(_oldest_ms(known) + window_ms - now_ms, window_ms)

    def _record(self, hit: Hit, now_ms: int) -> None:
        known = self._known.setdefault(_name(hit), OrderedDict())
        known.setdefault(_member(hit) or str(next(self._numbers)), now_ms)
        self._known.move_to_end(_name(hit))
        if len(self._known) > _LOCAL_MAX:
            self._known.popitem(last=False)


def _oldest_ms(known: OrderedDict[str, int]) -> int:
    return next(iter(known.values()))


def _name(hit: Hit) -> str:
    return f"limit:{hit.rule.name}:{hit.key}"


def _member(hit: Hit) -> str:
    """Marked, so that an empty one is still one; '' where each hit is one of its own."""
    return f"={hit.member}" if hit.rule.distinct else ""


def _window_ms(hit: Hit) -> int:
    return 1000 * hit.rule.window_s
