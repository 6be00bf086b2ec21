"""Rate limits counted in Redis for all nodes; in this process alone while Redis is away.

A sliding window from two fixed ones: what the former window held counts by the share of it that still matters. Requests
that come together are counted together, in one command: a busy node asks once for many, over one connection.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
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
_LOCAL_MAX = 50_000
_BATCH_MAX = 128
_WAITING_MAX = 4096
_COUNT: Final = """
local counts = {}
for at = 1, #KEYS, 2 do
  local counter, former = KEYS[at], KEYS[at + 1]
  local member, kept_s = ARGV[2 * at - 1], ARGV[2 * at]
  local limit, share = tonumber(ARGV[2 * at + 1]), tonumber(ARGV[2 * at + 2])
  local here, before = 0, 0
  if member == '' then
    here, before = redis.call('INCR', counter), tonumber(redis.call('GET', former) or 0)
  elseif redis.call('SISMEMBER', counter, member) + redis.call('SISMEMBER', former, member) == 0 then
    here, before = redis.call('SCARD', counter) + 1, redis.call('SCARD', former)
    if here + before * share <= limit then
      redis.call('SADD', counter, member)
    end
  end
  redis.call('EXPIRE', counter, kept_s)
  counts[at], counts[at + 1] = here, before
end
return counts
"""
"""Two keys and four values per hit: this window's counter and the former one's; a distinct member or '', how long the
counter is kept, the limit, and the share of the former window that still matters. Answers both counts of each hit. A
member that was let through before counts nothing, one that is refused is not remembered."""
log = structlog.get_logger()


class RedisRateLimits:
    """`penpay.http.edge.RateLimits`. The client must not repeat commands by itself."""

    def __init__(self, client: Redis, clock: Clock, *, prefix: str = "penpay.") -> None:
        self._client = client
        self._clock = clock
        self._prefix = prefix
        self._away_until_s = 0.0
        self._local: OrderedDict[str, set[str] | int] = OrderedDict()
        self._together: Batcher[Sequence[Hit], list[tuple[int, int]] | None] = Batcher(
            self._shared, size=_BATCH_MAX, waiting_max=_WAITING_MAX
        )

    async def wait_s(self, hits: Sequence[Hit]) -> int:
        now_s = self._clock.now().timestamp()
        counts = await self._together.put(hits) if hits else []
        if counts is None:
            if any(hit.rule.strict for hit in hits):
                raise Unavailable("redis", retry_after_s=2.0)
            counts = [self._counted_here(hit, now_s) for hit in hits]
        waits = (_wait_s(hit, now_s, *count) for hit, count in zip(hits, counts, strict=True))
        return max(waits, default=0)

    async def _shared(self, batch: Sequence[Sequence[Hit]]) -> Sequence[list[tuple[int, int]] | None]:
        """The counts of each request's hits; nothing while Redis is away."""
        if self._clock.monotonic_s() < self._away_until_s:
            return [None] * len(batch)
        try:
            async with asyncio.timeout(_CALL_S):
                counts = await self._counted_there([hit for hits in batch for hit in hits])
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until_s = self._clock.monotonic_s() + _AWAY_S
            log.warning("rate_limits_are_local", reason=type(error).__name__)
            return [None] * len(batch)
        places = iter(counts)
        return [[next(places) for _ in hits] for hits in batch]

    async def _counted_there(self, hits: Sequence[Hit]) -> list[tuple[int, int]]:
        now_s = self._clock.now().timestamp()
        keys = [self._prefix + name for hit in hits for name in _keys(hit, now_s)]
        values = [value for hit in hits for value in _values(hit, now_s)]
        answer = cast("Awaitable[list[int]]", self._client.eval(_COUNT, len(keys), *keys, *values))
        counts = await answer
        return list(zip(counts[::2], counts[1::2], strict=True))

    def _counted_here(self, hit: Hit, now_s: float) -> tuple[int, int]:
        key, former = _keys(hit, now_s)
        held, before = self._local.pop(key, None), self._local.get(former)
        counts = (0, 0)
        if hit.rule.distinct:
            members = held if isinstance(held, set) else set()
            earlier = before if isinstance(before, set) else set()
            if hit.member not in members | earlier:
                counts = len(members) + 1, len(earlier)
                if _wait_s(hit, now_s, *counts) == 0:
                    members.add(hit.member)
            self._local[key] = members
        else:
            counts = (held if isinstance(held, int) else 0) + 1, before if isinstance(before, int) else 0
            self._local[key] = counts[0]
        if len(self._local) > _LOCAL_MAX:
            self._local.popitem(last=False)
        return counts


def _values(hit: Hit, now_s: float) -> tuple[str, ...]:
    """A member is marked, so that an empty one is still one."""
    rule = hit.rule
    member = f"={hit.member}" if rule.distinct else ""
    return member, str(2 * rule.window_s), str(rule.limit), repr(_share(hit, now_s))


def _share(hit: Hit, now_s: float) -> float:
    """How much of the former window lies in the last `window_s` seconds."""
    return 1 - (now_s % hit.rule.window_s) / hit.rule.window_s


def _keys(hit: Hit, now_s: float) -> tuple[str, str]:
    """The counters of this window and of the one before."""
    window = int(now_s // hit.rule.window_s)
    name = f"limit:{hit.rule.name}:{hit.key}"
    return f"{name}:{window}", f"{name}:{window - 1}"


def _wait_s(hit: Hit, now_s: float, count: int, former: int) -> int:
    """0 within the limit, else seconds until there is room: at the latest when this window has passed."""
    window_s = hit.rule.window_s
    passed_s = now_s % window_s
    if count + former * _share(hit, now_s) <= hit.rule.limit:
        return 0
    if count > hit.rule.limit or former == 0:
        return math.ceil(window_s - passed_s)
    enough_s = window_s * (1 - (hit.rule.limit - count) / former) - passed_s
    return max(1, math.ceil(min(enough_s, window_s - passed_s)))
