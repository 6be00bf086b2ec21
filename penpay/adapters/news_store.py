"""How far those who follow what happened (mail, names) have come in each shard's outbox."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from penpay.adapters.database import Database
from penpay.adapters.mysql import Connection

CLAIM_S = 120
"""How long one node works on a shard's news undisturbed. A node that dies meanwhile leaves them to the next."""
NEWS_S = 86_400
"""What is older than a day when it is found for the first time is no news any more."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, and its place in the shard's order. `transaction` is empty when it is none that is followed."""

    seq: int
    event_id: str
    user_id: str
    transaction: dict[str, Any]


class MySqlNews:
    """Cursors over the outbox, claimed by one node at a time. Raises `Unavailable`.

    `type_`: of the transactions that are followed, or both. Events of others only carry the cursor along.
    """

    def __init__(self, database: Database, *, reader: str, type_: str = "") -> None:
        self._database = database
        self._about = f'%"type":"{type_}"%' if type_ else "%"
        self._reader = reader
        self._queries = database.queries("news")

    async def shards_with_news(self) -> Sequence[int]:
        """Where something happened since the last look."""
        rows = await self._database.rows(self._queries("news", reader=self._reader))
        return sorted(int(name.removeprefix("shard/")) for (name,) in rows)

    async def claim(self, shard: int, *, at: datetime, limit: int) -> Sequence[Happened] | None:
        """The next events of a shard; None while somebody else is at them. A claim ends with `told`, or by itself."""

        async def work(connection: Connection) -> int | None:
            since = at - timedelta(seconds=NEWS_S)
            await connection.query(self._queries("begin", reader=self._reader, shard=shard, since=since, at=at))
            rows = await connection.rows(self._queries("lock", reader=self._reader, shard=shard, at=at))
            if not rows:
                return None
            await connection.query(
                self._queries("claim", reader=self._reader, shard=shard, until=at + timedelta(seconds=CLAIM_S))
            )
            return int(rows[0][0])

        seq = await self._database.transact(work)
        if seq is None:
            return None
        rows = await self._database.rows(self._queries("next", shard=shard, seq=seq, about=self._about, limit=limit))
        return [
            Happened(place, event_id, user_id, json.loads(body) if body else {})
            for place, event_id, user_id, body in rows
        ]

    async def told(self, shard: int, seq: int, *, at: datetime) -> None:
        """Everything up to here is settled, and the shard is free again. 0 only frees it."""
        await self._database.write(self._queries("told", reader=self._reader, shard=shard, seq=seq, at=at))
