"""A ledger batch as the statements that write it: parents before children, the heads last."""

from collections.abc import Mapping

from penpay.adapters.ledger_rows import BatchRows
from penpay.adapters.mysql import Labelled
from penpay.adapters.sql_text import CASES_MAX, Queries, json_rows
from penpay.domain.incoming import Incoming
from penpay.domain.unit import UserStatusChange
from penpay.ports_ledger import LedgerBatch

_TRANSACTION_COLUMNS = (
    *("state", "status", "version", "event_count", "limit_usd_minor", "counts", "failure_code", "data"),
    *("next_wake_at", "updated_at", "completed_at"),
)


class BatchStatements:
    """The statements of a batch, each with the table that it changes."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def of(self, batch: LedgerBatch) -> list[Labelled]:
        """In the order in which they are run, with the heads and the COMMIT at the end."""
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
            name=f"shard/{batch.shard}",
            unit_seq=heads.unit_seq,
            chain_seq=heads.chain_seq,
            chain_hash=heads.chain_hash,
            audit_seq=heads.audit_seq,
            audit_hash=heads.audit_hash,
            outbox_seq=heads.outbox_seq,
        )
        return [*statements, ("fences", move), ("", "COMMIT")]

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
        # In the order of their ids, as whoever else locks several of them does.
        ids = sorted(batch.changed)
        return [
            ("transactions", self._change_transactions(batch, ids[first : first + CASES_MAX]))
            for first in range(0, len(ids), CASES_MAX)
        ]

    def _change_transactions(self, batch: LedgerBatch, ids: list[str]) -> str:
        rows = [
            (
                *(row.state, row.status, row.version, events, row.limit_usd_minor, row.counts),
                *(row.failure_code, row.data, row.next_wake_at, row.updated_at, row.completed_at),
            )
            for row, events in map(batch.changed.__getitem__, ids)
        ]
        columns = dict(zip(_TRANSACTION_COLUMNS, zip(*rows, strict=True), strict=True))
        return self._queries.with_cases("change_transactions", ids, columns, ids=ids)

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
            which = {"item_id": closed.item_id} if closed.item_id else {"kinds": sorted(closed.kinds)}
            query = self._queries(
                "close_review" if closed.item_id else "close_reviews",
                at=at,
                resolution=closed.resolution[:500],
                transaction_id=closed.transaction_id,
                **which,
            )
            statements.append(("review_items", query))
        if unit.user_status is not None:
            statements += self._status(unit.user_status, unit.shard, at)
        if unit.outbox_cursor is not None:
            query = self._queries("set_outbox_cursor", shard=incoming.unit.shard, seq=unit.outbox_cursor, at=at)
            statements.append(("outbox_cursors", query))
        return statements

    def _status(self, change: UserStatusChange, shard: int, at: str) -> list[Labelled]:
        add = self._queries("add_user_status", user_id=change.user_id, shard=shard, at=at)
        query = self._queries(
            "set_user_status",
            user_id=change.user_id,
            status=change.status,
            reason=change.reason[:200],
            at=at,
        )
        return [("user_status", add), ("user_status", query)]
