"""Reads of the outbox, for the relay and for replays to browsers."""

from collections.abc import Sequence

from penpay.adapters.database import Database
from penpay.ports import OutboxRow


class MySqlOutboxStore:
    """`penpay.ports.OutboxStore` on the database. Raises `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries("outbox")

    async def after(self, shard: int, seq: int, *, limit: int) -> Sequence[OutboxRow]:
        rows = await self._database.rows(self._queries("after", shard=shard, seq=seq, limit=limit))
        return [
            OutboxRow(shard=owner, seq=place, stream=stream, event_id=event_id, type=type_, user_id=user_id, body=body)
            for owner, place, stream, event_id, type_, user_id, body in rows
        ]

    async def newest(self, shard: int) -> int:
        """Place of the shard's newest event; 0 before the first."""
        rows = await self._database.rows(self._queries("newest", fence=f"shard/{shard}"))
        return int(rows[0][0]) if rows else 0

    async def cursor(self, shard: int) -> int:
        """0 when the relay has never recorded one."""
        rows = await self._database.rows(self._queries("cursor", shard=shard))
        return int(rows[0][0]) if rows else 0
