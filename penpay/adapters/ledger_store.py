"""The ledger's store: one explicit transaction per batch, in as few statements as its tables allow."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

from penpay.adapters.database import LEDGER, Database
from penpay.adapters.ledger_rows import BatchRows, UnitTexts
from penpay.adapters.mysql import Connection, Labelled, Row
from penpay.adapters.sql_text import Queries, json_rows, row
from penpay.domain.chain import at_text
from penpay.domain.incoming import Incoming
from penpay.domain.ledger import Phase
from penpay.domain.unit import UserStatusChange
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

KEY_LOOKS = ("keys_of_answers", "keys_of_transactions")


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

    def prepared(self, incoming: Incoming) -> UnitTexts:
        return UnitTexts(incoming)

    @asynccontextmanager
    async def transaction(self, shard: int) -> AsyncIterator["MySqlLedgerTransaction"]:
        """A session that an error left in a transaction is closed by its lane, which rolls back."""
        async with self._database.connection(LEDGER) as connection:
            transaction = MySqlLedgerTransaction(connection, self._queries, shard)
            yield transaction
            if connection.in_transaction:
                await connection.rollback()


def _at(value: datetime | None) -> str | None:
    return None if value is None else at_text(value)


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

    async def open(self, wanted: Wanted) -> tuple[Fence, Found]:
        """One round trip. Under READ COMMITTED each look-up sees what was committed before the fence was ours."""
        lock = self._queries("lock_fence", name=f"shard/{self._shard}")
        looks = self._looks(wanted)
        # From the first byte on a transaction may be open, whatever becomes of the answer.
        self._connection.in_transaction = True
        begin = [("", "START TRANSACTION"), ("fences", lock)]
        _, fence, *answers = await self._connection.run_all([*begin, *((look, text) for look, text in looks)])
        return _fence(fence[0]), _found([look for look, _ in looks], answers)

    async def read(self, wanted: Wanted) -> Found:
        looks = self._looks(wanted)
        return _found([look for look, _ in looks], await self._connection.run_all(looks) if looks else [])

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
        rows = BatchRows(batch)
        statements = [(table, self._queries.with_rows(query, some)) for table, query, some in rows.inserts()]
        statements += self._accounts(batch)
        statements += self._transactions(batch)
        statements += self._operations(batch)
        statements += self._inbox(batch)
        for planned in batch.units:
            unit = planned.incoming.unit
            if unit.reviews_closed or unit.user_status is not None or unit.outbox_cursor is not None:
                statements += self._rare(planned.incoming)
        heads = batch.heads
        move = self._queries(
            "move_heads",
            name=f"shard/{self._shard}",
            unit_seq=heads.unit_seq,
            chain_seq=heads.chain_seq,
            chain_hash=heads.chain_hash,
            audit_seq=heads.audit_seq,
            audit_hash=heads.audit_hash,
            outbox_seq=heads.outbox_seq,
        )
        await self._connection.run_all([*statements, ("fences", move), ("", "COMMIT")], commits=True)
        self._connection.in_transaction = False

    def _inbox(self, batch: LedgerBatch) -> list[Labelled]:
        settled = {
            inbox_id: (inbox_id, status, planned.incoming.unit.unit_id)
            for planned in batch.units
            for status, used in (
                ("CONSUMED", planned.incoming.unit.consumes),
                ("QUARANTINED", planned.incoming.unit.quarantines),
            )
            for inbox_id in used
        }
        return self._changed("callback_inbox", "settle_inbox", settled)

    def _accounts(self, batch: LedgerBatch) -> list[Labelled]:
        new = batch.new_accounts
        moved = {
            id_: (id_, balance, version) for id_, (_, balance, version) in batch.accounts.items() if id_ not in new
        }
        return self._changed("accounts", "change_accounts", moved)

    def _transactions(self, batch: LedgerBatch) -> list[Labelled]:
        changed = {
            id_: (
                *(id_, row.state, row.status, row.version, events, row.limit_usd_minor, int(row.counts)),
                *(row.failure_code, row.data, _at(row.next_wake_at), _at(row.updated_at), _at(row.completed_at)),
            )
            for id_, (row, events) in batch.changed.items()
        }
        return self._changed("transactions", "change_transactions", changed)

    def _operations(self, batch: LedgerBatch) -> list[Labelled]:
        changed: dict[str, tuple[object, ...]] = {}
        for planned in batch.units:
            for change in planned.incoming.unit.operations:
                _, _, ref, code, *_ = changed.get(change.id, ("", "", "", ""))
                head = batch.operations[change.id]
                changed[change.id] = (
                    *(change.id, head.state, change.provider_ref or ref, change.code or code),
                    *(head.attempts_closed, planned.incoming.at),
                )
        return self._changed("provider_operations", "change_operations", changed)

    def _changed(self, table: str, query: str, rows: Mapping[str, tuple[object, ...]]) -> list[Labelled]:
        if not rows:
            return []
        # In the order of their ids, as whoever else locks several of them does.
        return [(table, self._queries(query, rows=json_rows([rows[id_] for id_ in sorted(rows)])))]

    def _rare(self, incoming: Incoming) -> list[Labelled]:
        unit, at = incoming.unit, incoming.at
        statements = []
        for closed in unit.reviews_closed:
            which = {"item_id": closed.item_id} if closed.item_id else {"kind": closed.kind}
            query = self._queries(
                "close_review" if closed.item_id else "close_reviews",
                at=at,
                resolution=closed.resolution[:500],
                transaction_id=closed.transaction_id,
                **which,
            )
            statements.append(("review_items", query))
        if unit.user_status is not None:
            statements += self._status(unit.user_status, at)
        if unit.outbox_cursor is not None:
            query = self._queries("set_outbox_cursor", shard=self._shard, seq=unit.outbox_cursor, at=at)
            statements.append(("outbox_cursors", query))
        return statements

    def _status(self, change: UserStatusChange, at: str) -> list[Labelled]:
        add = self._queries("add_user_status", user_id=change.user_id, shard=self._shard, at=at)
        query = self._queries(
            "set_user_status",
            user_id=change.user_id,
            status=change.status,
            frozen_at=at if change.status == "FROZEN" else None,
            reason=change.reason[:200],
            at=at,
        )
        return [("user_status", add), ("user_status", query)]

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
        await self._connection.run_all(statements, commits=True)
        self._connection.in_transaction = False


def _found(looks: list[str], answers: list[tuple[Row, ...]]) -> Found:
    rows = dict(zip(looks, answers, strict=True))
    found = Found(
        units=dict(rows.get("units", ())),
        accounts={id_: (balance, version) for id_, balance, version in rows.get("accounts", ())},
        transactions=_transaction_heads(rows.get("transactions", ()), rows.get("postings", ())),
        operations={
            id_: OperationHead(owner, state, closed) for id_, owner, state, closed in rows.get("operations", ())
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
        id_: TransactionHead(version, events, frozenset(keys[id_]), frozenset(pending[id_] - resolved[id_]))
        for id_, version, events in rows
    }
