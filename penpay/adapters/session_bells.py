"""Tells the other nodes, through Redis, that sessions or the standing of somebody changed: open streams look at once.

Who hears it reads the database, which decides. A bell that nobody hears costs seconds: streams look by themselves too.
"""

import asyncio

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

_KEEP = 1_000
_RINGING_MAX = 1_000
log = structlog.get_logger()


class RedisSessionBells:
    """`penpay.ports.SessionBell` for every node that reads the streams."""

    def __init__(self, client: Redis, *, prefix: str = "penpay.") -> None:
        self._client = client
        self._stream = f"{prefix}sessions"
        self._ringing: set[asyncio.Task[None]] = set()

    def ring(self, user_id: str) -> None:
        """Never waits, and fails nobody."""
        if len(self._ringing) >= _RINGING_MAX:
            log.warning("session_bell_not_rung", reason="Redis does not keep up")
            return
        task = asyncio.get_running_loop().create_task(self._add(user_id), name="session bell")
        self._ringing.add(task)
        task.add_done_callback(self._ringing.discard)

    async def close(self) -> None:
        """Let those that ring end."""
        await asyncio.gather(*self._ringing)

    async def _add(self, user_id: str) -> None:
        try:
            await self._client.xadd(self._stream, {"user_id": user_id}, maxlen=_KEEP, approximate=True)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("session_bell_not_rung", reason=type(error).__name__)
