"""The other looks at the database: what rails ask beside their attempts, heads for anchors, whether it answers."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from penpay.domain.chain import GENESIS
from penpay.domain.ledger import AccountCode
from penpay.domain.money import Currency
from penpay.ports import OperationRow
from penpay.ports_audit import AUDIT, POSTINGS, SYS, ChainHead, Sighting
from penpay.simulation.store.node import MemoryNode
from penpay.simulation.store.operations import open_operations, operation_row


class MemoryRailReads:
    """`penpay.ports_rails.RailReads`. Raises `Unavailable`."""

    def __init__(self, node: MemoryNode) -> None:
        self._node = node

    async def operations(self, operation_ids: Sequence[str]) -> Mapping[str, OperationRow]:
        if not operation_ids:
            return {}
        schema = await self._node.look("rail_reads.operations")
        found = map(schema.provider_operations.get, operation_ids)
        return {stored.id: operation_row(self._node.server, stored) for stored in found if stored is not None}

    async def reserved_payouts_minor(self) -> int:
        schema = await self._node.look("rail_reads.reserved_payouts_minor")
        promised = sum(stored.amount.minor for stored in open_operations(self._node.server, ("B2C",)))
        for debit in open_operations(self._node.server, ("DERIV_WITHDRAW",)):
            owner = schema.transactions.get(debit.transaction_id)
            promised += owner.row.receive.minor if owner is not None else 0
        return promised

    async def booked_since(self, account: str) -> datetime:
        schema = await self._node.look("rail_reads.booked_since")
        opening = schema.units.get(f"opening:{account}")
        return opening.created_at if opening is not None else self._node.server.installed_at


class MemoryHeads:
    """`penpay.ports_audit.HeadsStore`. Nobody writes the `sys` chain here. Raises `Unavailable`."""

    def __init__(self, node: MemoryNode) -> None:
        self._node = node

    async def look(self) -> Sighting:
        server = self._node.server
        schema = await self._node.look("heads.look")
        heads, unit_seqs = [ChainHead(SYS, 0, GENESIS)], {}
        for shard in range(server.shards):
            fence = schema.fences.rows[f"shard/{shard}"]
            unit_seqs[shard] = fence.unit_seq
            heads.append(ChainHead(f"{POSTINGS}/{shard}", fence.chain_seq, fence.chain_hash))
            heads.append(ChainHead(f"{AUDIT}/{shard}", fence.audit_seq, fence.audit_hash))
        return Sighting(server.installation_id, server.identity, heads, unit_seqs)


class MemoryOverview:
    """What a node asks of the database before its business. Raises `Unavailable`."""

    def __init__(self, node: MemoryNode) -> None:
        self._node = node

    async def ping(self) -> None:
        """Nothing but an answer."""
        await self._node.look("overview.ping")

    async def is_recorded(self, unit_id: str) -> bool:
        """Whether this unit of work is durable."""
        return (await self._node.look("overview.is_recorded")).units.get(unit_id) is not None

    async def account_minor(self, code: AccountCode, currency: Currency) -> int:
        """What stands on an account of ours, over all shards."""
        accounts = (await self._node.look("overview.account_minor")).accounts
        return sum(
            row.balance_minor for row in accounts if (row.code, row.currency, row.user_id) == (code, currency, "")
        )
