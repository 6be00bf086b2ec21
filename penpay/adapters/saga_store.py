"""Reads of sagas."""

from collections.abc import Sequence
from datetime import datetime

from penpay.adapters.database import Database
from penpay.adapters.review_store import filed_credit
from penpay.adapters.row_shapes import inbox_row, operation_row, transaction_row
from penpay.domain.strays import Filed
from penpay.ports import SagaRows, Sealer


class MySqlSagaStore:
    """`penpay.ports.SagaStore` on the database. Raises `Unavailable`."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._queries = database.queries("sagas")

    async def load(self, transaction_id: str) -> SagaRows | None:
        """Row, operations and evidence. Evidence that arrives between the reads comes with its bell."""
        async with self._database.reading() as connection:
            found = await connection.rows(self._queries("transactions", ids=[transaction_id]))
            if not found:
                return None
            rows = await connection.rows(self._queries("operations", transaction_ids=[transaction_id]))
            operations = tuple(map(operation_row, rows))
            operation_ids = [operation.id for operation in operations]
            evidence = await connection.rows(self._queries("evidence", operation_ids=operation_ids))
        inbox = tuple(inbox_row(row, self._sealer) for row in evidence)
        return SagaRows(transaction_row(found[0]), operations, inbox)

    async def filed_credit(self, ref: str) -> Filed | None:
        rows = await self._database.rows(self._queries("filed_credit", ref=ref))
        return filed_credit(rows[0]) if rows else None

    async def has_open_question(self, transaction_id: str, kind: str) -> bool:
        return bool(
            await self._database.rows(self._queries("has_open_question", transaction_id=transaction_id, kind=kind))
        )

    async def due(self, shard: int, *, now: datetime, limit: int) -> Sequence[tuple[str, datetime]]:
        rows = await self._database.rows(self._queries("due", shard=shard, now=now, limit=limit))
        return [(transaction_id, due_at) for transaction_id, due_at in rows]
