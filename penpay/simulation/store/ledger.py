"""The ledger's store in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from penpay.domain.incoming import Incoming
from penpay.domain.ledger import Phase
from penpay.ports_ledger import (
    DeadUnit,
    Fence,
    Found,
    Heads,
    LedgerBatch,
    OperationHead,
    TransactionHead,
    Wanted,
)
from penpay.simulation.store.inbox import left_behind
from penpay.simulation.store.ledger_batch import write_batch
from penpay.simulation.store.node import MemoryNode
from penpay.simulation.store.rows import DeadLetterRow, FenceRow, ReviewRow
from penpay.simulation.store.schema import Schema
from penpay.simulation.store.sessions import Session
from penpay.simulation.store.tables import Change

DEAD_UNIT_DUE = timedelta(hours=4)


def fence_lock(name: str) -> tuple[str, str]:
    """The lock of a fence row."""
    return "fences", name


def operation_locks(ids: set[str]) -> list[tuple[str, str]]:
    """The locks of operations, in the order of their ids, so that two never wait for each other in a circle."""
    return [("provider_operations", id_) for id_ in sorted(ids)]


class MemoryLedgerStore:
    """`penpay.ports_ledger.LedgerStore` for fences that this process owns."""

    def __init__(self, node: MemoryNode) -> None:
        self._node = node

    async def take_fence(self, shard: int) -> Fence | None:
        """Passing troubles come as they are: the ledger tries again by itself."""
        node, name = self._node, f"shard/{shard}"
        with node.server.connect(node.boot_id) as session:
            await node.weather.at("ledger.take_fence")
            await session.lock(fence_lock(name))
            await node.weather.at("ledger.take_fence.locked")
            row = node.server.schema.fences.rows[name]
            taken = row._replace(epoch=row.epoch + 1) if row.owner == node.boot_id else None

            def take(changes: list[Change]) -> None:
                if taken is not None:
                    node.server.schema.fences.change(name, taken, changes)
                    left_behind(node.server.schema, shard, changes)

            session.commit(take)
            await node.weather.at("ledger.take_fence.done")
        return _fence(taken, node) if taken is not None else None

    def prepared(self, incoming: Incoming) -> object:
        """Nothing: rows in memory are made in one go."""
        del incoming
        return None

    def rendered(self, batch: LedgerBatch) -> object:
        """Nothing, for the same reason."""
        del batch
        return None

    @asynccontextmanager
    async def transaction(self, shard: int) -> AsyncIterator["MemoryLedgerTransaction"]:
        """Raises `Unavailable` without a server, and `ConnectionLost` when there is nobody left to roll back for."""
        with self._node.server.connect(self._node.boot_id) as session:
            transaction = MemoryLedgerTransaction(self._node, session, shard)
            yield transaction
            if not transaction.is_over:
                session.alive()


def _fence(row: FenceRow, node: MemoryNode) -> Fence:
    heads = Heads(
        unit_seq=row.unit_seq,
        chain_seq=row.chain_seq,
        chain_hash=row.chain_hash,
        audit_seq=row.audit_seq,
        audit_hash=row.audit_hash,
        outbox_seq=row.outbox_seq,
    )
    return Fence(row.owner, row.epoch, heads, node.server.identity)


class MemoryLedgerTransaction:
    """`penpay.ports_ledger.LedgerTransaction`. After any error the session is gone, and with it the transaction."""

    def __init__(self, node: MemoryNode, session: Session, shard: int) -> None:
        self._node = node
        self._session = session
        self._shard = shard
        self._name = f"shard/{shard}"
        self.is_over = False
        """Committed, or lost with an error that was told."""

    async def open(self, wanted: Wanted) -> tuple[Fence, Found]:
        try:
            await self._node.weather.at("ledger.open")
            await self._session.lock(fence_lock(self._name))
            fence = _fence(self._node.server.schema.fences.rows[self._name], self._node)
            found = await self._look(wanted)
            await self._node.weather.at("ledger.open.locked")
            self._session.alive()
        except BaseException:
            self._lost()
            raise
        return fence, found

    async def read(self, wanted: Wanted) -> Found:
        try:
            await self._node.weather.at("ledger.read")
            self._session.alive()
            return await self._look(wanted)
        except BaseException:
            self._lost()
            raise

    async def _look(self, wanted: Wanted) -> Found:
        if wanted.attempts:
            schema = self._node.server.schema
            await self._session.lock(*operation_locks(wanted.attempts & schema.provider_operations.rows.keys()))
        return _found(self._node.server.schema, wanted)

    async def commit(self, batch: LedgerBatch) -> None:
        """The rails' locks on operations that change are waited for, as any UPDATE does."""
        schema = self._node.server.schema
        try:
            await self._node.weather.at("ledger.commit")
            self._session.alive(commit_sent=True)
            if batch.operations:
                changed = {change.id for planned in batch.units for change in planned.incoming.unit.operations}
                await self._session.lock(*operation_locks(changed & schema.provider_operations.rows.keys()))
            self._session.commit(lambda changes: write_batch(schema, batch, self._node.server.now(), changes))
        except BaseException:
            self._lost()
            raise
        self.is_over = True
        await self._node.weather.at("ledger.commit.done")

    def _lost(self) -> None:
        self.is_over = True
        self._session.kill()

    async def bury(self, unit: DeadUnit) -> None:
        schema, shard = self._node.server.schema, self._shard
        at = datetime.fromisoformat(unit.at).replace(tzinfo=UTC)
        letter = DeadLetterRow(unit.id, shard, "unit", unit.unit_id, unit.reason, at)
        question = ReviewRow(
            id=unit.id,
            shard=shard,
            transaction_id=unit.transaction_id,
            operation_id="",
            kind="unit_quarantined",
            reason=unit.reason,
            owner_role="OPS",
            evidence="{}",
            due_at=at + DEAD_UNIT_DUE,
            opened_at=at,
            closed_at=None,
            resolution="",
        )

        def put(changes: list[Change]) -> None:
            schema.dead_letters.insert(letter, changes)
            schema.review_items.insert(question, changes)

        try:
            await self._node.weather.at("ledger.bury")
            self._session.commit(put)
        except BaseException:
            self._lost()
            raise
        self.is_over = True
        await self._node.weather.at("ledger.bury.done")


def _found(schema: Schema, wanted: Wanted) -> Found:
    found = Found()
    for unit_id in wanted.units:
        if (unit := schema.units.get(unit_id)) is not None:
            found.units[unit_id] = unit.content_hash
    for account_id in wanted.accounts:
        if (account := schema.accounts.get(account_id)) is not None:
            found.accounts[account_id] = account.balance_minor, account.version
    for transaction_id in wanted.transactions:
        if (stored := schema.transactions.get(transaction_id)) is not None:
            found.transactions[transaction_id] = _head(schema, transaction_id, stored.row.version, stored.event_count)
    for operation_id in wanted.operations:
        if (operation := schema.provider_operations.get(operation_id)) is not None:
            head = OperationHead(
                operation.transaction_id, operation.state, operation.attempts_closed, operation.staff_approved
            )
            found.operations[operation_id] = head
    _find_rare(schema, wanted, found)
    return found


def _find_rare(schema: Schema, wanted: Wanted, found: Found) -> None:
    for ref in wanted.references:
        if (reference := schema.provider_references.get(ref)) is not None:
            found.references[ref] = reference.operation_id
    for key in wanted.keys:
        if (answer := schema.answers.get(key)) is not None:
            found.keys[key] = answer.unit_id
        if (holder := schema.transactions.holder("uq_transactions_request", key)) is not None:
            found.keys[key] = holder
    for quote_id in wanted.quotes:
        if (user := schema.transactions.holder("uq_transactions_quote", quote_id)) is not None:
            found.quotes[quote_id] = user
    for user_id in wanted.users:
        if (status := schema.user_status.get(user_id)) is not None and status.status == "FROZEN":
            found.frozen.add(user_id)
    for operation_id in wanted.attempts:
        if count := len(schema.rail_attempts.under("operation", operation_id)):
            found.attempts[operation_id] = count


def _head(schema: Schema, transaction_id: str, version: int, events: int) -> TransactionHead:
    postings = schema.postings.under("transaction", transaction_id)
    resolved = {posting.resolves for posting in postings}
    pending = {posting.posting_key for posting in postings if posting.phase == Phase.PENDING}
    keys = frozenset(posting.posting_key for posting in postings)
    return TransactionHead(version, events, keys, frozenset(pending - resolved))
