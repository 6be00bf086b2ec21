"""Stored operations as the core sees them: with their number of attempts and what opens their payee."""

import json
from collections.abc import Iterable
from operator import attrgetter

from penpay.ports import OperationRow
from penpay.simulation.store.rows import StoredOperation
from penpay.simulation.store.server import MemoryServer

OLDEST_FIRST = attrgetter("created_at", "id")


def operation_row(server: MemoryServer, stored: StoredOperation, *, attempts: int | None = None) -> OperationRow:
    """One of them. A fresh mapping every time: nobody gets what is stored."""
    made = server.schema.rail_attempts.under("operation", stored.id)
    return OperationRow(
        id=stored.id,
        transaction_id=stored.transaction_id,
        shard=stored.shard,
        user_id=stored.user_id,
        kind=stored.kind,
        state=stored.state,
        amount=stored.amount,
        recipient=stored.recipient,
        reference=stored.reference,
        request=json.loads(stored.request),
        provider_ref=stored.provider_ref,
        code=stored.code,
        attempts=len(made) if attempts is None else attempts,
        attempts_closed=stored.attempts_closed,
        created_at=stored.created_at,
        under_way=any(not row.outcome for row in made),
        sealed_request=stored.sealed_request,
        data_key=server.data_keys.get(stored.user_id, b""),
    )


def open_operations(server: MemoryServer, kinds: Iterable[str]) -> list[StoredOperation]:
    """Operations of these kinds without a final state, oldest first."""
    found = [stored for kind in set(kinds) for stored in server.schema.provider_operations.under("open_kind", kind)]
    return sorted(found, key=OLDEST_FIRST)
