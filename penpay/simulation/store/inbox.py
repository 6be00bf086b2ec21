"""The callback inbox in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from penpay.domain.suspicion import IN_HAND, SUSPECT, found_by_a_start
from penpay.messages import InboxRow
from penpay.simulation.store.node import MemoryNode
from penpay.simulation.store.rows import StoredEvidence
from penpay.simulation.store.sagas import arrival
from penpay.simulation.store.schema import Schema
from penpay.simulation.store.tables import Change

COLUMNS_MAX = {"kind": 16, "operation_id": 26, "dedupe_key": 190, "source": 64}
RAILS_SHARD = 0xFFFF


def checked(row: InboxRow, dedupe_key: str, source: str) -> StoredEvidence:
    """A row of the inbox. Raises `ValueError` for a text that would be cut."""
    lengths = {"kind": row.kind, "operation_id": row.operation_id, "dedupe_key": dedupe_key, "source": source}
    for column, value in lengths.items():
        if len(value) > COLUMNS_MAX[column] or not value.isascii():
            raise ValueError(f"callback_inbox.{column} does not take this value")
    return StoredEvidence(row, dedupe_key, source, "NEW")


def put_once(schema: Schema, stored: StoredEvidence, changes: list[Change]) -> InboxRow:
    """Store it unless its key is there; the row that holds the key."""
    holder = schema.callback_inbox.holder("uq_inbox_dedupe", stored.dedupe_key)
    if holder is not None:
        return schema.callback_inbox.rows[holder].row
    schema.callback_inbox.insert(stored, changes)
    return stored.row


def left_behind(schema: Schema, shard: int, changes: list[Change]) -> None:
    """A new incarnation of a shard's ledger finds what earlier ones have not used up."""
    for stored in list(schema.callback_inbox.under("new_shard", shard)):
        row = stored.row
        deliveries, suspicion = found_by_a_start(deliveries=row.deliveries, suspicion=row.suspicion)
        found = replace(row, deliveries=deliveries, suspicion=suspicion)
        schema.callback_inbox.change(row.id, stored._replace(row=found), changes)


class MemoryInboxStore:
    """`penpay.ports.InboxStore`. Raises `Unavailable`."""

    def __init__(self, node: MemoryNode) -> None:
        self._node = node

    async def add(self, row: InboxRow, *, dedupe_key: str, source: str) -> bool:
        stored, schema = checked(row, dedupe_key, source), self._node.server.schema
        holder = await self._node.write("inbox.add", lambda changes: put_once(schema, stored, changes))
        return holder.id == row.id

    async def waiting(self, shard: int, *, older_than: datetime, limit: int) -> Sequence[InboxRow]:
        schema = await self._node.look("inbox.waiting")
        new = schema.callback_inbox.under("new_shard", shard)
        old = [stored for stored in new if stored.row.received_at < older_than]
        return [stored.row for stored in sorted(old, key=arrival)[:limit]]

    async def transactions_of(self, operation_ids: Sequence[str]) -> Mapping[str, str]:
        schema = await self._node.look("inbox.transactions_of")
        found = map(schema.provider_operations.get, operation_ids)
        return {operation.id: operation.transaction_id for operation in found if operation is not None}

    async def delivered(self, inbox_ids: Sequence[str]) -> None:
        inbox = self._node.server.schema.callback_inbox

        def count(changes: list[Change]) -> None:
            for id_ in sorted(set(inbox_ids)):
                stored = inbox.get(id_)
                if stored is not None and stored.status == "NEW":
                    suspicion = min(stored.row.suspicion, SUSPECT)
                    row = replace(stored.row, deliveries=stored.row.deliveries + 1, suspicion=suspicion)
                    inbox.change(id_, stored._replace(row=row), changes)

        await self._node.write("inbox.delivered", count)

    async def suspect(self, inbox_id: str, *, in_hand: bool) -> None:
        inbox = self._node.server.schema.callback_inbox

        def hold(changes: list[Change]) -> None:
            stored = inbox.get(inbox_id)
            if stored is not None and stored.status == "NEW":
                row = replace(stored.row, suspicion=IN_HAND if in_hand else SUSPECT)
                inbox.change(inbox_id, stored._replace(row=row), changes)

        await self._node.write("inbox.suspect", hold)

    async def consumed_by_rail(self, inbox_ids: Sequence[str]) -> None:
        inbox = self._node.server.schema.callback_inbox

        def consume(changes: list[Change]) -> None:
            for id_ in sorted(set(inbox_ids)):
                stored = inbox.get(id_)
                if stored is not None and stored.status == "NEW" and stored.row.shard == RAILS_SHARD:
                    inbox.change(id_, stored._replace(status="CONSUMED"), changes)

        await self._node.write("inbox.consumed_by_rail", consume)
