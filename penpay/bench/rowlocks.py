"""What the ledger is compared with: a database transaction per request, with row locks, as most systems do it."""

import asyncio
from itertools import count

from penpay.adapters.database import GENERAL, Database
from penpay.adapters.ledger_rows import POSTING_ID_STEP
from penpay.adapters.mysql import Connection
from penpay.adapters.sql_text import Queries, row, with_schemas
from penpay.domain.unit import UnitOfWork

CONNECTIONS = 16
"""Where MariaDB on two cores is at its best; more make it slower."""
QUERIES = {
    "lock": "SELECT id, balance_minor, version FROM {ledger}.accounts WHERE id IN (:ids) ORDER BY id FOR UPDATE",
    "move": "UPDATE {ledger}.accounts SET balance_minor = :balance, version = :version WHERE id = :id",
    "insert_accounts": "INSERT IGNORE INTO {ledger}.accounts VALUES {rows}",
    "insert_units": "INSERT INTO {ledger}.units VALUES {rows}",
    "insert_postings": "INSERT INTO {ledger}.postings VALUES {rows}",
    "insert_ledger_entries": "INSERT INTO {ledger}.ledger_entries VALUES {rows}",
}


class RowLocks:
    """Plain transfers: lock both accounts in the order of their ids, write five rows, commit. No chain, no replay."""

    def __init__(self, database: Database, *, shard: int) -> None:
        self._database = database
        self._queries = Queries({name: with_schemas(query, database.prefix) for name, query in QUERIES.items()})
        self._shard = shard
        self._seqs = count(1)
        self._lane = asyncio.Semaphore(CONNECTIONS)

    async def prepare(self, units: list[UnitOfWork]) -> None:
        """The accounts exist before anything is measured, as they do for the ledger."""
        accounts = {entry.account.id: entry.account for unit in units for entry in unit.postings[0].entries}
        rows = [
            row(id_, self._shard, found.code, found.currency, found.user_id, 0, 1) for id_, found in accounts.items()
        ]
        for start in range(0, len(rows), 500):
            await self._database.write(self._insert("accounts", rows[start : start + 500]))

    async def record(self, unit: UnitOfWork) -> None:
        """One transfer; deadlocks and lock waits are run again."""
        async with self._lane:
            await self._database.transact(lambda connection: self._write(connection, unit), lane=GENERAL)

    async def _write(self, connection: Connection, unit: UnitOfWork) -> None:
        seq = next(self._seqs)
        posting, posting_id, zero = unit.postings[0], self._shard * POSTING_ID_STEP + seq, bytes(32)
        ids = sorted(entry.account.id for entry in posting.entries)
        held = await connection.rows(self._queries("lock", ids=ids))
        balances = {id_: (balance, version) for id_, balance, version in held}
        await connection.query(self._insert("units", [row(unit.unit_id, self._shard, seq, 0, zero, unit.at)]))
        posted = (posting.key, posting.phase, None, seq, zero, zero, unit.at)
        await connection.query(self._insert("postings", [row(posting_id, unit.unit_id, self._shard, None, *posted)]))
        legs = []
        for line, entry in enumerate(posting.entries):
            balance, version = balances[entry.account.id]
            after = balance + entry.amount_minor
            balances[entry.account.id] = (after, version + 1)
            account = entry.account
            legs.append(row(posting_id, line, account.id, account.currency, entry.amount_minor, after, version + 1))
        await connection.query(self._insert("ledger_entries", legs))
        for id_, (balance, version) in balances.items():
            await connection.query(self._queries("move", id=id_, balance=balance, version=version))

    def _insert(self, table: str, rows: list[str]) -> str:
        return self._queries.with_rows(f"insert_{table}", rows)
