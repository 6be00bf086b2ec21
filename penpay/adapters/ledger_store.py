"""The ledger's store: one explicit transaction per batch, in as few statements as its tables allow."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from penpay.adapters.database import LEDGER, Database
from penpay.adapters.ledger_rows import BatchRows
from penpay.adapters.mysql import Connection, Row
from penpay.adapters.sql_text import Queries, row
from penpay.domain.incoming import Incoming
from penpay.domain.ledger import Phase
from penpay.domain.unit import UserStatusChange
from penpay.ports import Duplicate
from penpay.ports_ledger import (
    DeadUnit,
    Fence,
    Found,
    Heads,
    Key,
    LedgerBatch,
    OperationHead,
    Ref,
    TransactionHead,
    Wanted,
)

ACCOUNTS_MAX = 128
TRANSACTIONS_MAX = 64
OPERATIONS_MAX = 96
"""Rows per changing statement: each row looks for its place in the list, once per column."""


class MySqlLedgerStore:
    """`penpay.ports_ledger.LedgerStore` on the database, for fences that `boot_id` owns."""

    def __init__(self, database: Database, *, boot_id: str) -> None:
        self._database = database
        self._boot_id = boot_id
        self._queries = database.queries("ledger")

    async def take_fence(self, shard: int) -> Fence | None:
        """Not repeated after a lost answer by itself: one epoch more or less is all the same."""
        name = f"shard/{shard}"
        async with self._database.connection(LEDGER) as connection:
            await connection.begin()
            taken = await connection.query(self._queries("take_fence", name=name, owner=self._boot_id))
            fence = _fence((await connection.rows(self._queries("lock_fence", name=name)))[0])
            await connection.commit()
        return fence if taken else None

    @asynccontextmanager
    async def transaction(self, shard: int) -> AsyncIterator["MySqlLedgerTransaction"]:
        """A session that an error left in a transaction is closed by its lane, which rolls back."""
        async with self._database.connection(LEDGER) as connection:
            await connection.begin()
            transaction = MySqlLedgerTransaction(connection, self._queries, shard)
            yield transaction
            if connection.in_transaction:
                await connection.rollback()


def _parts(ids: list[str], size: int) -> list[list[str]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]


def _fence(found: Row) -> Fence:
    owner, epoch, unit_seq, chain_seq, chain_hash, audit_seq, audit_hash, outbox_seq, server = found
    heads = Heads(
        unit_seq=unit_seq,
        chain_seq=chain_seq,
        chain_hash=chain_hash,
        audit_seq=audit_seq,
        audit_hash=audit_hash,
        outbox_seq=outbox_seq,
    )
    return Fence(owner, epoch, heads, server)


class MySqlLedgerTransaction:
    """`penpay.ports_ledger.LedgerTransaction` on one session."""

    def __init__(self, connection: Connection, queries: Queries, shard: int) -> None:
        self._connection = connection
        self._queries = queries
        self._shard = shard

    async def lock_fence(self) -> Fence:
        return _fence((await self._connection.rows(self._queries("lock_fence", name=f"shard/{self._shard}")))[0])

    async def commit(self) -> None:
        await self._connection.commit()

    async def read(self, wanted: Wanted) -> Found:
        found = Found()
        if wanted.units:
            found.units = dict(await self._by_ids("units", wanted.units))
        if wanted.accounts:
            rows = await self._by_ids("accounts", wanted.accounts)
            found.accounts = {account_id: (balance, version) for account_id, balance, version in rows}
        if wanted.transactions:
            found.transactions = await self._transactions(wanted.transactions)
        if wanted.operations:
            rows = await self._by_ids("operations", wanted.operations)
            found.operations = {id_: OperationHead(owner, state, closed) for id_, owner, state, closed in rows}
        if wanted.users:
            found.frozen = {user_id for (user_id,) in await self._by_ids("frozen", wanted.users)}
        if wanted.quotes:
            found.quotes = dict(await self._by_ids("quotes", wanted.quotes))
        if wanted.references:
            rows = await self._by_rows("references", wanted.references)
            found.references = {(kind, ref): operation_id for kind, ref, operation_id in rows}
        if wanted.keys:
            for query in ("keys_of_answers", "keys_of_transactions"):
                rows = await self._by_rows(query, wanted.keys)
                found.keys |= {(user, route, key_hash): holder for user, route, key_hash, holder in rows}
        if wanted.attempts:
            await self._by_ids("lock_operations", wanted.attempts)
            found.attempts = dict(await self._by_ids("attempts", wanted.attempts))
        return found

    async def _by_ids(self, query: str, ids: set[str]) -> tuple[Row, ...]:
        return await self._connection.rows(self._queries(query, ids=sorted(ids)))

    async def _by_rows(self, query: str, keys: set[Ref] | set[Key]) -> tuple[Row, ...]:
        return await self._connection.rows(self._queries.with_rows(query, [row(*key) for key in sorted(keys)]))

    async def _transactions(self, ids: set[str]) -> dict[str, TransactionHead]:
        heads = {id_: (version, events) for id_, version, events in await self._by_ids("transactions", ids)}
        keys: dict[str, set[str]] = {id_: set() for id_ in heads}
        pending: dict[str, set[str]] = {id_: set() for id_ in heads}
        resolved: dict[str, set[str]] = {id_: set() for id_ in heads}
        if heads:
            for id_, key, phase, resolves in await self._by_ids("postings", set(heads)):
                keys[id_].add(key)
                resolved[id_].add(resolves)
                if phase == Phase.PENDING:
                    pending[id_].add(key)
        return {
            id_: TransactionHead(version, events, frozenset(keys[id_]), frozenset(pending[id_] - resolved[id_]))
            for id_, (version, events) in heads.items()
        }

    async def apply(self, batch: LedgerBatch) -> None:
        """Parents before children, the heads last."""
        for query, table, rows in BatchRows(batch).inserts():
            await self._run(table, self._queries.with_rows(query, rows))
        await self._changes(batch)
        heads = batch.heads
        await self._run(
            "fences",
            self._queries(
                "move_heads",
                name=f"shard/{self._shard}",
                unit_seq=heads.unit_seq,
                chain_seq=heads.chain_seq,
                chain_hash=heads.chain_hash,
                audit_seq=heads.audit_seq,
                audit_hash=heads.audit_hash,
                outbox_seq=heads.outbox_seq,
            ),
        )

    async def _run(self, table: str, statement: str) -> None:
        try:
            await self._connection.query(statement)
        except Duplicate as error:
            raise Duplicate(f"{table}.{error.key}") from error

    async def _changes(self, batch: LedgerBatch) -> None:
        await self._accounts(batch)
        await self._transactions_changed(batch)
        await self._operations(batch)
        for status, field in (("CONSUMED", "consumes"), ("QUARANTINED", "quarantines")):
            used = {
                inbox_id: planned.incoming.unit.unit_id
                for planned in batch.units
                for inbox_id in getattr(planned.incoming.unit, field)
            }
            if used:
                query = self._queries("settle_inbox", status=status, ids=list(used), units=list(used.values()))
                await self._run("callback_inbox", query)
        for planned in batch.units:
            unit = planned.incoming.unit
            if unit.reviews_closed or unit.user_status is not None or unit.outbox_cursor is not None:
                await self._rare(planned.incoming)

    async def _accounts(self, batch: LedgerBatch) -> None:
        for some in _parts(sorted(batch.accounts.keys() - batch.new_accounts), ACCOUNTS_MAX):
            query = self._queries(
                "change_accounts",
                ids=some,
                balances=[batch.accounts[id_][1] for id_ in some],
                versions=[batch.accounts[id_][2] for id_ in some],
            )
            await self._run("accounts", query)

    async def _transactions_changed(self, batch: LedgerBatch) -> None:
        for some in _parts(sorted(batch.changed), TRANSACTIONS_MAX):
            rows = [batch.changed[id_][0] for id_ in some]
            query = self._queries(
                "change_transactions",
                ids=some,
                states=[row.state for row in rows],
                statuses=[row.status for row in rows],
                versions=[row.version for row in rows],
                event_counts=[batch.changed[id_][1] for id_ in some],
                limits_usd_minor=[row.limit_usd_minor for row in rows],
                counts=[row.counts for row in rows],
                failure_codes=[row.failure_code for row in rows],
                data=[row.data for row in rows],
                next_wakes_at=[row.next_wake_at for row in rows],
                updated_at=[row.updated_at for row in rows],
                completed_at=[row.completed_at for row in rows],
            )
            await self._run("transactions", query)

    async def _operations(self, batch: LedgerBatch) -> None:
        changes: dict[str, tuple[str, str, str]] = {}
        for planned in batch.units:
            for change in planned.incoming.unit.operations:
                _, ref, code = changes.get(change.id, ("", "", ""))
                changes[change.id] = (planned.incoming.at, change.provider_ref or ref, change.code or code)
        for some in _parts(sorted(changes), OPERATIONS_MAX):
            query = self._queries(
                "change_operations",
                ids=some,
                states=[batch.operations[id_].state for id_ in some],
                provider_refs=[changes[id_][1] for id_ in some],
                codes=[changes[id_][2] for id_ in some],
                attempts_closed=[batch.operations[id_].attempts_closed for id_ in some],
                times=[changes[id_][0] for id_ in some],
            )
            await self._run("provider_operations", query)

    async def _rare(self, incoming: Incoming) -> None:
        unit, at = incoming.unit, incoming.at
        for closed in unit.reviews_closed:
            query = self._queries(
                "close_reviews",
                at=at,
                resolution=closed.resolution[:500],
                transaction_id=closed.transaction_id,
                kind=closed.kind,
            )
            await self._run("review_items", query)
        if unit.user_status is not None:
            await self._status(unit.user_status, at)
        if unit.outbox_cursor is not None:
            query = self._queries("set_outbox_cursor", shard=self._shard, seq=unit.outbox_cursor, at=at)
            await self._run("outbox_cursors", query)

    async def _status(self, change: UserStatusChange, at: str) -> None:
        add = self._queries("add_user_status", user_id=change.user_id, shard=self._shard, at=at)
        await self._run("user_status", add)
        query = self._queries(
            "set_user_status",
            user_id=change.user_id,
            status=change.status,
            frozen_at=at if change.status == "FROZEN" else None,
            reason=change.reason[:200],
            at=at,
        )
        await self._run("user_status", query)

    async def bury(self, unit: DeadUnit) -> None:
        letter = self._queries(
            "bury", id=unit.id, shard=self._shard, unit_id=unit.unit_id, reason=unit.reason, at=unit.at
        )
        await self._run("dead_letters", letter)
        question = self._queries(
            "ask_about_dead",
            id=unit.id,
            transaction_id=unit.transaction_id,
            reason=unit.reason,
            at=unit.at,
            shard=self._shard,
        )
        await self._run("review_items", question)
