"""A ledger batch as rows of INSERT statements. Text columns come first in every statement, then numbers and bytes.

This is the hottest code of the store: each row is one join, and texts are escaped only when one of them needs it.
"""

from collections.abc import Iterator
from datetime import datetime

from penpay.adapters.sql_text import blob, instant, text
from penpay.domain.unit import TransactionRow
from penpay.ports_ledger import LedgerBatch, PlannedUnit

_BETWEEN = "\x00"
POSTING_ID_STEP = 1 << 48
"""A posting's id is its shard times this, plus its seq."""


def texts(*values: str) -> str:
    """Several text literals, separated by commas. The same result as `text` for each, in a tenth of the time."""
    joined = _BETWEEN.join(values)
    if "'" in joined or "\\" in joined or joined.count(_BETWEEN) >= len(values):
        return ",".join(map(text, values))
    return "'" + joined.replace(_BETWEEN, "','") + "'"


def _maybe(value: str) -> str:
    return text(value) if value else "NULL"


def _maybe_at(value: datetime | None) -> str:
    return "NULL" if value is None else instant(value)


def transaction_text(row: TransactionRow, event_count: int) -> str:
    """A row of `transactions`."""
    first = texts(
        *(row.id, row.user_id, row.type, row.state, row.status, row.send.currency.value, row.receive.currency.value),
        *(row.phone_mask, row.deriv_loginid, row.route, row.key_hash, row.eat_day, row.failure_code, row.data),
    )
    return (
        f"({first},{instant(row.created_at)},{instant(row.updated_at)},{row.shard},{row.version},{event_count},"
        f"{row.send.minor},{row.receive.minor},{row.mid_rate_e6},{row.spread_e6},{row.limit_usd_minor},{int(row.counts)},"
        f"{_maybe(row.quote_id)},{_maybe_at(row.next_wake_at)},{_maybe_at(row.completed_at)})"
    )


class BatchRows:
    """Rows per statement, filled in one pass over the units."""

    def __init__(self, batch: LedgerBatch) -> None:
        self._batch = batch
        self.units: list[str] = []
        self.postings: list[str] = []
        self.entries: list[str] = []
        self.events: list[str] = []
        self.operations: list[str] = []
        self.references: list[str] = []
        self.outbox: list[str] = []
        self.audit: list[str] = []
        self.answers: list[str] = []
        self.reviews: list[str] = []
        for planned in batch.units:
            self._unit(planned)
        self.accounts = [
            f"({texts(account_id, account.code.value, account.currency.value, account.user_id)},"
            f"{account.shard},{balance},{version})"
            for account_id, (account, balance, version) in batch.accounts.items()
            if account_id in batch.new_accounts
        ]
        self.inserted = [transaction_text(row, events) for row, events in batch.inserted.values()]

    def inserts(self) -> Iterator[tuple[str, str, list[str]]]:
        """Query, table and rows of every statement that has any, parents before children."""
        for name, table, rows in (
            ("insert_units", "units", self.units),
            ("insert_accounts", "accounts", self.accounts),
            ("insert_postings", "postings", self.postings),
            ("insert_ledger_entries", "ledger_entries", self.entries),
            ("insert_transactions", "transactions", self.inserted),
            ("insert_transaction_events", "transaction_events", self.events),
            ("insert_provider_operations", "provider_operations", self.operations),
            ("insert_provider_references", "provider_references", self.references),
            ("insert_answers", "answers", self.answers),
            ("insert_outbox", "outbox", self.outbox),
            ("insert_audit_log", "audit_log", self.audit),
            ("insert_review_items", "review_items", self.reviews),
        ):
            if rows:
                yield name, table, rows

    def _unit(self, planned: PlannedUnit) -> None:
        incoming, batch = planned.incoming, self._batch
        unit, at = incoming.unit, incoming.at
        self.units.append(
            f"({texts(unit.unit_id, at)},{batch.shard},{planned.seq},{batch.epoch},{blob(incoming.content_hash)})"
        )
        if planned.postings:
            self._postings(planned)
        if unit.transaction is not None:
            self._history(planned)
        if unit.new_operations or unit.references:
            self._intents(planned)
        for number, event in enumerate(unit.outbox, planned.first_outbox_seq):
            fields = texts(event.stream, event.event_id, event.type, event.user_id, event.body, at)
            self.outbox.append(f"({fields},{batch.shard},{number})")
        for record, detail, place in zip(unit.audit, incoming.audit_details, planned.audit, strict=True):
            chain = f"shard/{batch.shard}"
            fields = texts(chain, unit.unit_id, record.actor, record.action, record.subject, detail, at)
            self.audit.append(f"({fields},{place.seq},{blob(place.prev_hash)},{blob(place.hash)})")
        if unit.answer is not None or unit.reviews:
            self._answer_and_reviews(planned)

    def _postings(self, planned: PlannedUnit) -> None:
        at, unit_id, shard = planned.incoming.at, planned.incoming.unit.unit_id, self._batch.shard
        for chained in planned.postings:
            posting = chained.posting
            posting_id = shard * POSTING_ID_STEP + chained.seq
            self.postings.append(
                f"({texts(unit_id, posting.key, posting.phase.value, at)},{posting_id},{shard},{chained.seq},"
                f"{blob(chained.prev_hash)},{blob(chained.hash)},{_maybe(chained.transaction_id)},{_maybe(posting.resolves)})"
            )
            for line, (account_id, currency, amount, balance, version) in enumerate(chained.lines):
                fields = f"{posting_id},{line},{amount},{balance},{version}"
                self.entries.append(f"({texts(account_id, currency)},{fields})")

    def _history(self, planned: PlannedUnit) -> None:
        incoming = planned.incoming
        change = incoming.unit.transaction
        assert change is not None
        for seq, (event, data) in enumerate(
            zip(change.events, incoming.event_data, strict=True), planned.first_event_seq
        ):
            fields = texts(change.row.id, event.from_state, event.event, event.to_state, data, incoming.at)
            self.events.append(f"({fields},{seq},{change.row.version},{self._batch.epoch})")

    def _intents(self, planned: PlannedUnit) -> None:
        incoming, batch = planned.incoming, self._batch
        unit, at = incoming.unit, incoming.at
        transaction_id = unit.transaction.row.id if unit.transaction is not None else ""
        user_id = unit.transaction.row.user_id if unit.transaction is not None else unit.user_id
        for new, request in zip(unit.new_operations, incoming.requests, strict=True):
            fields = texts(
                *(new.id, transaction_id, user_id, new.kind.value, "INTENT", new.amount.currency.value, new.recipient),
                *(new.reference, request, "", "", at, at),
            )
            approved = int(unit.staff_resolution)
            self.operations.append(
                f"({fields},{batch.shard},{new.amount.minor},0,{approved},{blob(new.sealed_request)})"
            )
        for reference in unit.references:
            if batch.references.pop((reference.kind, reference.ref), None) is not None:
                fields = texts(reference.kind, reference.ref, reference.operation_id, unit.unit_id, at)
                self.references.append(f"({fields})")

    def _answer_and_reviews(self, planned: PlannedUnit) -> None:
        incoming = planned.incoming
        unit, at, answer = incoming.unit, incoming.at, incoming.unit.answer
        if answer is not None:
            fields = texts(
                *(answer.user_id, answer.route, answer.key_hash, answer.fingerprint, answer.location),
                *(answer.content_type, answer.transaction_id, unit.unit_id, at),
            )
            self.answers.append(f"({fields},{answer.status},{blob(answer.sealed_body)})")
        for review, evidence in zip(unit.reviews, incoming.evidences, strict=True):
            fields = texts(
                *(review.id, review.transaction_id, review.operation_id, review.kind, review.reason[:500]),
                *(review.owner_role, evidence),
            )
            self.reviews.append(f"({fields},{instant(review.due_at)},'{at}','',{self._batch.shard})")
