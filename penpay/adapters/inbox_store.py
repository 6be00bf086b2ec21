"""The callback inbox: evidence is durable before anybody is told that we have it.

All callbacks of a node share one writer on a connection of its own: concurrent ones become one INSERT and one fsync.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from penpay.adapters.batching import Batcher
from penpay.adapters.database import CALLBACKS, Database
from penpay.adapters.row_shapes import inbox_aad, inbox_row
from penpay.adapters.sql_text import row
from penpay.domain.errors import StoreError
from penpay.domain.suspicion import IN_HAND, SUSPECT
from penpay.messages import InboxRow
from penpay.ports import Sealer

BATCH_MAX = 128
WAITING_MAX = 4096
GATHER_S = 0.005
"""Added to the time in which a provider hears that its callback is stored."""
COLUMNS_MAX = {"kind": 16, "operation_id": 26, "dedupe_key": 190, "source": 64}


@dataclass(frozen=True, slots=True)
class _Arrival:
    id: str
    dedupe_key: str
    text: str


class MySqlInboxStore:
    """`penpay.ports.InboxStore` on the database. Raises `Unavailable`."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._queries = database.queries("inbox")
        self._writer: Batcher[_Arrival, bool] = Batcher(
            self._insert, size=BATCH_MAX, waiting_max=WAITING_MAX, gather_s=GATHER_S
        )

    async def add(self, row: InboxRow, *, dedupe_key: str, source: str) -> bool:
        return await self._writer.put(_Arrival(row.id, dedupe_key, inbox_values(row, dedupe_key, source, self._sealer)))

    async def _insert(self, arrivals: Sequence[_Arrival]) -> Sequence[bool | StoreError]:
        statement = self._queries.with_rows("add", [arrival.text for arrival in arrivals])
        if await self._database.write(statement, lane=CALLBACKS) == len(arrivals):
            return [True] * len(arrivals)
        # Some keys were there before, or an answer was lost and this is the second run: whose rows hold the keys?
        keys = [arrival.dedupe_key for arrival in arrivals]
        holders: dict[str, str] = dict(
            await self._database.rows(self._queries("holders", dedupe_keys=keys), lane=CALLBACKS)
        )
        return [holders[arrival.dedupe_key] == arrival.id for arrival in arrivals]

    async def waiting(self, shard: int, *, older_than: datetime, limit: int) -> Sequence[InboxRow]:
        query = self._queries("waiting", shard=shard, older_than=older_than, limit=limit)
        return [inbox_row(row, self._sealer) for row in await self._database.rows(query)]

    async def transactions_of(self, operation_ids: Sequence[str]) -> Mapping[str, str]:
        query = self._queries("transactions_of", operation_ids=operation_ids)
        return dict(await self._database.rows(query))

    async def delivered(self, inbox_ids: Sequence[str]) -> None:
        await self._database.write(self._queries("delivered", ids=inbox_ids, suspect=SUSPECT))

    async def suspect(self, inbox_id: str, *, in_hand: bool) -> None:
        suspicion = IN_HAND if in_hand else SUSPECT
        await self._database.write(self._queries("suspect", id=inbox_id, suspicion=suspicion))

    async def consumed_by_rail(self, inbox_ids: Sequence[str]) -> None:
        await self._database.write(self._queries("consumed_by_rail", ids=inbox_ids))


def inbox_values(inbox: InboxRow, dedupe_key: str, source: str, sealer: Sealer) -> str:
    """One row of the INSERT, its body sealed. Lengths are the caller's to keep: no text may be cut silently."""
    lengths = {"kind": inbox.kind, "operation_id": inbox.operation_id, "dedupe_key": dedupe_key, "source": source}
    for column, value in lengths.items():
        if len(value) > COLUMNS_MAX[column] or not value.isascii():
            raise ValueError(f"callback_inbox.{column} does not take this value")
    sealed = sealer.seal(inbox.body, aad=inbox_aad(inbox.id))
    return row(
        inbox.id,
        inbox.shard,
        inbox.kind,
        inbox.operation_id,
        dedupe_key,
        source,
        inbox.trusted_source,
        sealed,
        inbox.received_at,
        "NEW",
        inbox.deliveries,
    )
