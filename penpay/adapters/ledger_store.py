"""The ledger's store: one explicit transaction per batch, in as few statements as its tables allow."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from penpay.adapters.database import LEDGER, Database
from penpay.adapters.ledger_rows import UnitTexts
from penpay.adapters.ledger_statements import BatchStatements
from penpay.adapters.mysql import Connection, Labelled
from penpay.adapters.mysql_wire import Row
from penpay.adapters.sql_text import Queries, row
from penpay.domain.incoming import Incoming
from penpay.domain.ledger import Phase
from penpay.domain.suspicion import IN_HAND, SUSPECT
from penpay.ports_ledger import (
    NO_KEYS,
    DeadUnit,
    Fence,
    Found,
    Heads,
    LedgerBatch,
    OperationHead,
    TransactionHead,
    Wanted,
)

KEY_LOOKS = ("keys_of_answers", "keys_of_transactions")


class MySqlLedgerStore:
    """`penpay.ports_ledger.LedgerStore` on the database, for fences that `boot_id` owns."""

    def __init__(self, database: Database, *, boot_id: str) -> None:
        self._database = database
        self._boot_id = boot_id
        self._queries = database.queries("ledger")
        self._statements = BatchStatements(self._queries)

    async def take_fence(self, shard: int) -> Fence | None:
        """Not repeated after a lost answer by itself: one epoch more or less is all the same."""
        name = f"shard/{shard}"
        async with self._database.connection(LEDGER) as connection:
            await connection.begin()
            taken = await connection.query(self._queries("take_fence", name=name, owner=self._boot_id))
            if taken:
                await connection.query(self._queries("left_behind", shard=shard, suspect=SUSPECT, in_hand=IN_HAND))
            fence = _fence((await connection.rows(self._queries("lock_fence", name=name)))[0])
            await connection.commit()
        return fence if taken else None

    def prepared(self, incoming: Incoming) -> UnitTexts:
        return UnitTexts(incoming)

    def rendered(self, batch: LedgerBatch) -> list[Labelled]:
        return self._statements.of(batch)

    @asynccontextmanager
    async def transaction(self, shard: int) -> AsyncIterator["MySqlLedgerTransaction"]:
        """A session that an error left in a transaction is closed by its lane, which rolls back."""
        async with self._database.connection(LEDGER) as connection:
            transaction = MySqlLedgerTransaction(connection, self._queries, self._statements, shard)
            yield transaction
            if connection.in_transaction and connection.usable:
                await connection.rollback()


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

    def __init__(self, connection: Connection, queries: Queries, statements: BatchStatements, shard: int) -> None:
        self._connection = connection
        self._queries = queries
        self._statements = statements
        self._shard = shard

    async def open(self, wanted: Wanted) -> tuple[Fence, Found]:
        """One round trip. Under READ COMMITTED each look-up sees what was committed before the fence was ours."""
        lock = self._queries("lock_fence", name=f"shard/{self._shard}")
        looks = self._looks(wanted)
        # From the first byte on a transaction may be open, whatever becomes of the answer.
        self._connection.in_transaction = True
        begin = [("", "START TRANSACTION"), ("fences", lock)]
        _, fence, *answers = await self._run([*begin, *((look, text) for look, text in looks)])
        return _fence(fence[0]), _found([look for look, _ in looks], answers)

    async def read(self, wanted: Wanted) -> Found:
        looks = self._looks(wanted)
        return _found([look for look, _ in looks], await self._run(looks) if looks else [])

    def _looks(self, wanted: Wanted) -> list[tuple[str, str]]:
        by_ids = (
            *(("units", wanted.units), ("accounts", wanted.accounts), ("transactions", wanted.transactions)),
            *(("postings", wanted.transactions), ("operations", wanted.operations), ("frozen", wanted.users)),
            *(("quotes", wanted.quotes), ("lock_operations", wanted.attempts), ("attempts", wanted.attempts)),
        )
        looks = [(name, self._queries(name, ids=sorted(ids))) for name, ids in by_ids if ids]
        if wanted.keys:
            rows = [row(*key) for key in sorted(wanted.keys)]
            looks += [(name, self._queries.with_rows(name, rows)) for name in KEY_LOOKS]
        if wanted.references:
            rows = [row(*ref) for ref in sorted(wanted.references)]
            looks.append(("references", self._queries.with_rows("references", rows)))
        return looks

    async def commit(self, batch: LedgerBatch) -> None:
        """All rows, the heads and the COMMIT in one round trip; the first statement that fails ends it."""
        statements = batch.rendered if batch.rendered is not None else self._statements.of(batch)
        await self._run(cast("list[Labelled]", statements), commits=True)
        self._connection.in_transaction = False

    async def bury(self, unit: DeadUnit) -> None:
        letter = self._queries(
            "bury", id=unit.id, shard=self._shard, unit_id=unit.unit_id, reason=unit.reason, at=unit.at
        )
        question = self._queries(
            "ask_about_dead",
            id=unit.id,
            transaction_id=unit.transaction_id,
            reason=unit.reason,
            at=unit.at,
            shard=self._shard,
        )
        statements = [("dead_letters", letter), ("review_items", question), ("", "COMMIT")]
        await self._run(statements, commits=True)
        self._connection.in_transaction = False

    async def _run(self, statements: list[Labelled], *, commits: bool = False) -> list[tuple[Row, ...]]:
        """After any error the session is closed.

        A lock wait undoes one statement only, and would leave a transaction that could be committed without its fence.
        """
        try:
            return await self._connection.run_all(statements, commits=commits)
        except BaseException:
            self._connection.close()
            raise


def _found(looks: list[str], answers: list[tuple[Row, ...]]) -> Found:
    rows = dict(zip(looks, answers, strict=True))
    found = Found(
        units=dict(rows.get("units", ())),
        accounts={id_: (balance, version) for id_, balance, version in rows.get("accounts", ())},
        transactions=_transaction_heads(rows.get("transactions", ()), rows.get("postings", ())),
        operations={
            id_: OperationHead(owner, state, closed, bool(approved))
            for id_, owner, state, closed, approved in rows.get("operations", ())
        },
        references={(kind, ref): operation_id for kind, ref, operation_id in rows.get("references", ())},
        quotes=dict(rows.get("quotes", ())),
        frozen={user_id for (user_id,) in rows.get("frozen", ())},
        attempts=dict(rows.get("attempts", ())),
    )
    for look in KEY_LOOKS:
        found.keys |= {(user, route, key_hash): holder for user, route, key_hash, holder in rows.get(look, ())}
    return found


def _transaction_heads(rows: tuple[Row, ...], postings: tuple[Row, ...]) -> dict[str, TransactionHead]:
    keys: dict[str, set[str]] = {id_: set() for id_, _, _ in rows}
    pending: dict[str, set[str]] = {id_: set() for id_, _, _ in rows}
    resolved: dict[str, set[str]] = {id_: set() for id_, _, _ in rows}
    for id_, key, phase, resolves in postings:
        keys[id_].add(key)
        resolved[id_].add(resolves)
        if phase == Phase.PENDING:
            pending[id_].add(key)
    return {
        id_: TransactionHead(
            version, events, frozenset(keys[id_]) or NO_KEYS, frozenset(pending[id_] - resolved[id_]) or NO_KEYS
        )
        for id_, version, events in rows
    }
