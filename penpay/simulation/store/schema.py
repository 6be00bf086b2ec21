"""All tables of one server, empty but for what a migration seeds."""

from datetime import datetime
from typing import Any

from penpay.domain.chain import GENESIS
from penpay.simulation.store import rows
from penpay.simulation.store.checks import CHECKS
from penpay.simulation.store.tables import Change, Spec, Table, spec

OPEN_STATES = frozenset({"INTENT", "SENT", "UNKNOWN"})
RAILS = ("rail/daraja", "rail/deriv")


def _spec(name: str, row: type) -> Spec:
    return spec(name, row, CHECKS.get(name, ()))


def _open_kind(row: rows.StoredOperation) -> str | None:
    return row.kind if row.state in OPEN_STATES else None


def _confirmed_ref(row: rows.StoredOperation) -> tuple[str, str] | None:
    return (row.kind, row.provider_ref) if row.provider_ref and row.state == "CONFIRMED" else None


def _new_shard(stored: rows.StoredEvidence) -> int | None:
    return stored.row.shard if stored.status == "NEW" else None


def _new_operation(stored: rows.StoredEvidence) -> str | None:
    return stored.row.operation_id if stored.status == "NEW" else None


def _waiting_shard(stored: rows.StoredTransaction) -> int | None:
    return stored.row.shard if stored.row.next_wake_at is not None else None


class Schema:
    """The tables by their names, with the look-ups that the queries use."""

    def __init__(self, *, shards: int, at: datetime) -> None:
        self._make_journal()
        self._make_sagas()
        self._make_surroundings()
        self._seed(shards, at)

    def _make_journal(self) -> None:
        table: Any = Table
        self.leases: Table[rows.LeaseRow] = table(_spec("leases", rows.LeaseRow))
        self.fences: Table[rows.FenceRow] = table(_spec("fences", rows.FenceRow))
        self.accounts: Table[rows.AccountRow] = table(_spec("accounts", rows.AccountRow))
        self.units: Table[rows.UnitRow] = table(_spec("units", rows.UnitRow))
        self.postings: Table[rows.PostingRow] = Table(
            _spec("postings", rows.PostingRow), transaction=lambda row: row.transaction_id or None
        )
        self.ledger_entries: Table[rows.EntryRow] = Table(
            _spec("ledger_entries", rows.EntryRow), posting=lambda row: row.posting_id
        )

    def _make_sagas(self) -> None:
        self.transactions: Table[rows.StoredTransaction] = Table(
            _spec("transactions", rows.StoredTransaction),
            user=lambda stored: stored.row.user_id,
            waiting=_waiting_shard,
        )
        self.transaction_events: Table[rows.EventRow] = Table(
            _spec("transaction_events", rows.EventRow), transaction=lambda row: row.transaction_id
        )
        self.provider_operations: Table[rows.StoredOperation] = Table(
            _spec("provider_operations", rows.StoredOperation),
            transaction=lambda row: row.transaction_id,
            user=lambda row: row.user_id,
            open_kind=_open_kind,
            confirmed_ref=_confirmed_ref,
            push=lambda row: row.reference if row.kind == "STK" else None,
        )
        self.rail_attempts: Table[rows.AttemptRow] = Table(
            _spec("rail_attempts", rows.AttemptRow),
            operation=lambda row: row.operation_id,
            open_rail=lambda row: row.rail if not row.outcome else None,
            confirmed_ref=lambda row: row.provider_ref if row.outcome == "CONFIRMED" else None,
        )
        self.provider_references: Table[rows.ReferenceRow] = Table(
            _spec("provider_references", rows.ReferenceRow), operation=lambda row: row.operation_id
        )
        self.callback_inbox: Table[rows.StoredEvidence] = Table(
            _spec("callback_inbox", rows.StoredEvidence), new_shard=_new_shard, new_operation=_new_operation
        )

    def _make_surroundings(self) -> None:
        table: Any = Table
        self.answers: Table[rows.AnswerRow] = table(_spec("answers", rows.AnswerRow))
        self.outbox: Table[rows.OutboxEntry] = table(_spec("outbox", rows.OutboxEntry))
        self.outbox_cursors: Table[rows.CursorRow] = table(_spec("outbox_cursors", rows.CursorRow))
        self.reconcile_cursors: Table[rows.ListCursorRow] = table(_spec("reconcile_cursors", rows.ListCursorRow))
        self.review_items: Table[rows.ReviewRow] = Table(
            _spec("review_items", rows.ReviewRow), transaction=lambda row: row.transaction_id
        )
        self.user_status: Table[rows.StatusRow] = table(_spec("user_status", rows.StatusRow))
        self.dead_letters: Table[rows.DeadLetterRow] = table(_spec("dead_letters", rows.DeadLetterRow))
        self.audit_log: Table[rows.AuditRow] = Table(
            _spec("audit_log", rows.AuditRow), unit=lambda row: row.unit_id or None
        )
        self.quotes: Table[rows.StoredQuote] = table(_spec("quotes", rows.StoredQuote))
        self.withdrawal_codes: Table[rows.CodeRow] = Table(
            _spec("withdrawal_codes", rows.CodeRow), user=lambda row: row.user_id
        )

    def _seed(self, shards: int, at: datetime) -> None:
        changes: list[Change] = []
        for name in (*(f"shard/{shard}" for shard in range(shards)), *RAILS):
            self.leases.insert(rows.LeaseRow(name, "", "", 0, at, "FREE"), changes)
            self.fences.insert(rows.FenceRow(name, "", 0, 0, 0, GENESIS, 0, GENESIS, 0), changes)
        for shard in range(shards):
            self.outbox_cursors.insert(rows.CursorRow(shard, 0, at), changes)

    def tables(self) -> dict[str, Table[Any]]:
        """All of them by name."""
        return {name: table for name, table in vars(self).items() if isinstance(table, Table)}
