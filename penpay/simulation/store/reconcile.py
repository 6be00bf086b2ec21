"""What the books say to Safaricom's list, in memory."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from penpay.domain.payments import REFERENCE
from penpay.simulation.store.node import MemoryNode
from penpay.simulation.store.rows import ListCursorRow
from penpay.simulation.store.tables import Change


class MemoryPaymentBooks:
    """`penpay.ports_rails.PaymentBooks`. Raises `Unavailable`."""

    def __init__(self, node: MemoryNode) -> None:
        self._node = node

    async def claims(self, references: Sequence[str]) -> Mapping[str, str]:
        if not references:
            return {}
        schema = await self._node.look("payments.claims")
        pushes = [row for one in references for row in schema.provider_operations.under("push", one)]
        return {row.reference: row.id for row in pushes if not self._has_receipt(row.id)}

    def _has_receipt(self, operation_id: str) -> bool:
        used = self._node.server.schema.provider_references.under("operation", operation_id)
        return any(row.kind == REFERENCE for row in used)

    async def cursors(self) -> Mapping[str, datetime]:
        schema = await self._node.look("payments.cursors")
        return {row.source: row.agreed_until for row in schema.reconcile_cursors}

    async def move_cursor(self, source: str, until: datetime, *, at: datetime) -> None:
        cursors, until = self._node.server.schema.reconcile_cursors, min(until, self._node.server.now())

        def move(changes: list[Change]) -> None:
            known = cursors.get(source)
            if known is None:
                cursors.insert(ListCursorRow(source, until, at), changes)
            else:
                further = known._replace(agreed_until=max(known.agreed_until, until), updated_at=at)
                cursors.change(source, further, changes)

        await self._node.write("payments.move_cursor", move)
