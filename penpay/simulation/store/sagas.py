"""Reads of sagas in memory."""

import json
from collections.abc import Sequence
from datetime import datetime

from penpay.domain.errors import Unavailable
from penpay.domain.review import ReviewItem
from penpay.domain.strays import CLAIMED, CREDIT, Filed
from penpay.ports import SagaRows
from penpay.simulation.store.node import PASSING, MemoryNode
from penpay.simulation.store.operations import OLDEST_FIRST, operation_row
from penpay.simulation.store.rows import StoredEvidence, StoredTransaction

_FIRST = frozenset({"DEBITED", "B2C_SENDING", "B2C_HELD", "AWAITING_RESULT", "RETURN_SENDING"})
_SECOND = frozenset({"PAID", "DERIV_SENDING", "DERIV_HELD", "REFUND_SENDING"})


def arrival(stored: StoredEvidence) -> tuple[datetime, str]:
    """The order in which evidence is read."""
    return stored.row.received_at, stored.row.id


def _urgency(stored: StoredTransaction) -> tuple[int, datetime]:
    state, wake_at = stored.row.state, stored.row.next_wake_at
    assert wake_at is not None
    if state == "FAILED":
        return 4, wake_at
    rank = 0 if state in _FIRST else 1 if state in _SECOND else 2 if state.endswith("UNKNOWN") else 3
    return rank, wake_at


class MemorySagaStore:
    """`penpay.ports.SagaStore`. Raises `Unavailable`."""

    def __init__(self, node: MemoryNode) -> None:
        self._node = node

    async def load(self, transaction_id: str) -> SagaRows | None:
        """Two looks, as in the database: what is committed between them is seen by the second only."""
        node, server = self._node, self._node.server
        try:
            server.reachable(node.boot_id)
            await node.weather.at("sagas.load")
            server.reachable(node.boot_id)
            stored = server.schema.transactions.get(transaction_id)
            if stored is None:
                return None
            await node.weather.at("sagas.load.more")
            server.reachable(node.boot_id)
        except PASSING as error:
            raise Unavailable("database") from error
        operations = server.schema.provider_operations.under("transaction", transaction_id)
        rows = tuple(operation_row(server, operation) for operation in sorted(operations, key=OLDEST_FIRST))
        inbox = server.schema.callback_inbox
        evidence = [found for row in rows for found in inbox.under("new_operation", row.id)]
        return SagaRows(stored.row, rows, tuple(found.row for found in sorted(evidence, key=arrival)))

    async def filed_credit(self, ref: str) -> Filed | None:
        schema = await self._node.look("sagas.filed_credit")
        claim = schema.provider_references.get((CLAIMED, ref))
        for row in schema.review_items:
            if row.kind == CREDIT and json.loads(row.evidence)["ref"] == ref:
                item = ReviewItem(**row._asdict() | {"evidence": json.loads(row.evidence)})
                return Filed(item=item, claimed_by=claim.operation_id if claim is not None else "")
        return None

    async def has_open_question(self, transaction_id: str, kind: str) -> bool:
        schema = await self._node.look("sagas.has_open_question")
        asked = schema.review_items.under("transaction", transaction_id)
        return any(row.kind == kind and row.closed_at is None for row in asked)

    async def due(self, shard: int, *, now: datetime, limit: int) -> Sequence[tuple[str, datetime]]:
        schema = await self._node.look("sagas.due")
        due = []
        for stored in schema.transactions.under("waiting", shard):
            wake_at = stored.row.next_wake_at
            if wake_at is not None and wake_at <= now:
                due.append((*_urgency(stored), stored.row.id))
        return [(transaction_id, wake_at) for _, wake_at, transaction_id in sorted(due)[:limit]]
