"""A ledger batch as rows: table by table, in the order of the production adapter's statements.

The order decides which key a `Duplicate` names, and through that what the ledger makes of it.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from operator import attrgetter

from penpay.domain.unit import OVER, OperationChange, OperationKind, TransactionRow, UnitOfWork
from penpay.ports_ledger import LedgerBatch, PlannedUnit
from penpay.simulation.store.rows import (
    AccountRow,
    AnswerRow,
    AuditRow,
    EntryRow,
    EventRow,
    OutboxEntry,
    PostingRow,
    ReferenceRow,
    ReviewRow,
    StatusRow,
    StoredOperation,
    StoredTransaction,
    UnitRow,
)
from penpay.simulation.store.schema import Schema
from penpay.simulation.store.tables import Change

POSTING_ID_STEP = 1 << 48
"""A posting's id is its shard times this, plus its seq."""
_FIXED = attrgetter(
    *("id", "shard", "user_id", "type", "send", "receive", "quote_id", "mid_rate_e6", "spread_e6", "phone_mask"),
    *("deriv_loginid", "route", "key_hash", "eat_day", "created_at"),
)


def write_batch(schema: Schema, batch: LedgerBatch, now: datetime, changes: list[Change]) -> None:
    """Everything of a batch, the heads last. Raises what the schema refuses; the caller undoes the rest."""
    planned = batch.units
    for one in planned:
        incoming = one.incoming
        unit = incoming.unit
        row = UnitRow(unit.unit_id, unit.shard, one.seq, batch.epoch, incoming.content_hash, unit.at)
        schema.units.insert(row, changes)
    _transactions(schema, batch, changes)
    _references(schema, batch, changes)
    for id_ in sorted(batch.new_accounts):
        account, balance, version = batch.accounts[id_]
        fields = account.shard, account.code.value, account.currency.value, account.user_id, balance, version
        schema.accounts.insert(AccountRow(id_, *fields), changes)
    _postings(schema, batch, changes)
    for one in planned:
        if one.incoming.unit.transaction is not None:
            for event in _events(one, batch.epoch):
                schema.transaction_events.insert(event, changes)
    for one in planned:
        if one.incoming.unit.new_operations:
            _new_operations(schema, one, changes)
    _outbox_and_audit(schema, planned, changes)
    for one in planned:
        if one.incoming.unit.reviews:
            _reviews(schema, one, changes)
    _change_accounts(schema, batch, changes)
    _change_transactions(schema, batch, changes)
    if batch.operations:
        _change_operations(schema, batch, changes)
    _settle_inbox(schema, planned, changes)
    for one in planned:
        _rare(schema, one.incoming.unit, now, changes)
    _heads(schema, batch, changes)


def _transactions(schema: Schema, batch: LedgerBatch, changes: list[Change]) -> None:
    for one in batch.units:
        change = one.incoming.unit.transaction
        if change is not None and change.expected_version == 0:
            # A later unit of the same batch may have moved the new transaction on.
            row, events = batch.inserted[change.row.id]
            schema.transactions.insert(StoredTransaction(row, events), changes)
    for one in batch.units:
        unit = one.incoming.unit
        answer = unit.answer
        if answer is not None:
            fields = answer.user_id, answer.route, answer.key_hash, answer.fingerprint, answer.status, answer.location
            rest = answer.content_type, answer.sealed_body, answer.transaction_id, unit.unit_id, unit.at
            schema.answers.insert(AnswerRow(*fields, *rest), changes)


def _references(schema: Schema, batch: LedgerBatch, changes: list[Change]) -> None:
    new = set(batch.references)
    for one in batch.units:
        unit = one.incoming.unit
        for found in unit.references:
            key = found.kind, found.ref
            if key in new:
                new.discard(key)
                row = ReferenceRow(found.kind, found.ref, found.operation_id, unit.unit_id, unit.at)
                schema.provider_references.insert(row, changes)


def _postings(schema: Schema, batch: LedgerBatch, changes: list[Change]) -> None:
    first = batch.shard * POSTING_ID_STEP
    moving = [one for one in batch.units if one.postings]
    for one in moving:
        unit = one.incoming.unit
        owner = unit.transaction.row.id if unit.transaction is not None else ""
        for place, posting in zip(one.postings, unit.postings, strict=True):
            head = first + place.seq, unit.unit_id, batch.shard, owner, posting.key, posting.phase.value
            tail = posting.resolves, place.seq, place.prev_hash, place.hash, unit.at
            schema.postings.insert(PostingRow(*head, *tail), changes)
    for one in moving:
        incoming = one.incoming
        for place, posting, ids in zip(one.postings, incoming.unit.postings, incoming.account_ids, strict=True):
            numbers = iter(place.numbers)
            legs = zip(ids, posting.entries, numbers, numbers, numbers, strict=True)
            for line, (id_, entry, amount, balance, version) in enumerate(legs):
                currency = entry.account.currency.value
                row = EntryRow(first + place.seq, line, id_, currency, amount, balance, version)
                schema.ledger_entries.insert(row, changes)


def _events(one: PlannedUnit, epoch: int) -> Iterator[EventRow]:
    unit = one.incoming.unit
    assert unit.transaction is not None
    id_, version = unit.transaction.row.id, unit.transaction.row.version
    told = zip(unit.transaction.events, one.incoming.event_data, strict=True)
    for seq, (event, data) in enumerate(told, one.first_event_seq):
        yield EventRow(id_, seq, version, epoch, event.from_state, event.event, event.to_state, data, unit.at)


def _new_operations(schema: Schema, one: PlannedUnit, changes: list[Change]) -> None:
    unit = one.incoming.unit
    transaction_id = unit.transaction.row.id if unit.transaction is not None else ""
    user_id = unit.transaction.row.user_id if unit.transaction is not None else unit.user_id
    for new, request in zip(unit.new_operations, one.incoming.requests, strict=True):
        row = StoredOperation(
            id=new.id,
            transaction_id=transaction_id,
            shard=unit.shard,
            user_id=user_id,
            kind=new.kind.value,
            state="INTENT",
            amount=new.amount,
            recipient=new.recipient,
            reference=new.reference,
            request=request,
            sealed_request=new.sealed_request,
            provider_ref="",
            code="",
            attempts_closed=0,
            staff_approved=unit.staff_resolution,
            created_at=unit.at,
            updated_at=unit.at,
        )
        schema.provider_operations.insert(row, changes)


def _outbox_and_audit(schema: Schema, planned: list[PlannedUnit], changes: list[Change]) -> None:
    for one in planned:
        unit = one.incoming.unit
        for seq, event in enumerate(unit.outbox, one.first_outbox_seq):
            fields = event.stream, event.event_id, event.type, event.user_id, event.body
            schema.outbox.insert(OutboxEntry(unit.shard, seq, *fields, unit.at), changes)
    for one in planned:
        unit = one.incoming.unit
        for place, record, detail in zip(one.audit, unit.audit, one.incoming.audit_details, strict=True):
            told = record.actor, record.action, record.subject, detail, place.prev_hash, place.hash
            row = AuditRow(f"shard/{unit.shard}", place.seq, unit.unit_id, unit.at, *told)
            schema.audit_log.insert(row, changes)


def _reviews(schema: Schema, one: PlannedUnit, changes: list[Change]) -> None:
    unit = one.incoming.unit
    for review, evidence in zip(unit.reviews, one.incoming.evidences, strict=True):
        row = ReviewRow(
            id=review.id,
            shard=unit.shard,
            transaction_id=review.transaction_id,
            operation_id=review.operation_id,
            kind=review.kind,
            reason=review.reason[:500],
            owner_role=review.owner_role,
            evidence=evidence,
            due_at=review.due_at,
            opened_at=unit.at,
            closed_at=None,
            resolution="",
        )
        schema.review_items.insert(row, changes)


def _change_accounts(schema: Schema, batch: LedgerBatch, changes: list[Change]) -> None:
    for id_ in sorted(batch.accounts.keys() - batch.new_accounts):
        before = schema.accounts.get(id_)
        if before is not None:
            _, balance, version = batch.accounts[id_]
            schema.accounts.change(id_, before._replace(balance_minor=balance, version=version), changes)


def _change_transactions(schema: Schema, batch: LedgerBatch, changes: list[Change]) -> None:
    for id_, (row, events) in sorted(batch.changed.items()):
        before = schema.transactions.get(id_)
        if before is not None:
            after = row if _FIXED(row) == _FIXED(before.row) else _with_fixed(row, before.row)
            schema.transactions.change(id_, before._replace(row=after, event_count=events), changes)


def _with_fixed(row: TransactionRow, before: TransactionRow) -> TransactionRow:
    """Key, quote, amounts and rate were fixed at admission, whatever a later unit says."""
    return replace(
        before,
        state=row.state,
        status=row.status,
        version=row.version,
        limit_usd_minor=row.limit_usd_minor,
        counts=row.counts,
        failure_code=row.failure_code,
        data=row.data,
        next_wake_at=row.next_wake_at,
        updated_at=row.updated_at,
        completed_at=row.completed_at,
    )


def _change_operations(schema: Schema, batch: LedgerBatch, changes: list[Change]) -> None:
    last: dict[str, tuple[str, str, UnitOfWork]] = {}
    for one in batch.units:
        for change in one.incoming.unit.operations:
            ref, code, _ = last.get(change.id, ("", "", None))
            last[change.id] = (*_texts(change, ref, code), one.incoming.unit)
    for id_, (ref, code, unit) in sorted(last.items()):
        before = schema.provider_operations.get(id_)
        if before is None:
            continue
        head = batch.operations[id_]
        after = before._replace(
            state=str(head.state),
            provider_ref=ref or before.provider_ref,
            code=code or before.code,
            attempts_closed=head.attempts_closed,
            sealed_request=b"" if _forgets(before.kind, head.state) else before.sealed_request,
            updated_at=unit.at,
        )
        schema.provider_operations.change(id_, after, changes)


def _forgets(kind: str, state: str) -> bool:
    """A debit that is over forgets its code and token."""
    return kind == OperationKind.DERIV_WITHDRAW and state in OVER


def _texts(change: OperationChange, ref: str, code: str) -> tuple[str, str]:
    """Texts that a change leaves empty stay."""
    return change.provider_ref or ref, change.code or code


def _settle_inbox(schema: Schema, planned: list[PlannedUnit], changes: list[Change]) -> None:
    settled: dict[str, tuple[str, str]] = {}
    for one in planned:
        unit = one.incoming.unit
        settled |= dict.fromkeys(unit.consumes, ("CONSUMED", unit.unit_id))
        settled |= dict.fromkeys(unit.quarantines, ("QUARANTINED", unit.unit_id))
    for id_, (status, unit_id) in sorted(settled.items()):
        before = schema.callback_inbox.get(id_)
        if before is not None and before.status == "NEW":
            schema.callback_inbox.change(id_, before._replace(status=status, unit_id=unit_id), changes)


def _rare(schema: Schema, unit: UnitOfWork, now: datetime, changes: list[Change]) -> None:
    for closed in unit.reviews_closed:
        for review in schema.review_items.under("transaction", closed.transaction_id):
            named = review.id == closed.item_id if closed.item_id else review.kind in closed.kinds
            if named and review.closed_at is None:
                after = review._replace(closed_at=unit.at, resolution=closed.resolution[:500])
                schema.review_items.change(review.id, after, changes)
    if (status := unit.user_status) is not None:
        before = schema.user_status.get(status.user_id)
        if before is None:
            schema.user_status.insert(StatusRow(status.user_id, unit.shard, "ACTIVE", None, "", unit.at), changes)
        frozen_at = now if status.status == "FROZEN" else None
        shard = before.shard if before is not None else unit.shard
        row = StatusRow(status.user_id, shard, status.status, frozen_at, status.reason[:200], unit.at)
        schema.user_status.change(status.user_id, row, changes)
    if unit.outbox_cursor is not None and (cursor := schema.outbox_cursors.get(unit.shard)) is not None:
        after_ = cursor._replace(seq=max(cursor.seq, unit.outbox_cursor), updated_at=unit.at)
        schema.outbox_cursors.change(unit.shard, after_, changes)


def _heads(schema: Schema, batch: LedgerBatch, changes: list[Change]) -> None:
    name, heads = f"shard/{batch.shard}", batch.heads
    after = schema.fences.rows[name]._replace(
        unit_seq=heads.unit_seq,
        chain_seq=heads.chain_seq,
        chain_hash=heads.chain_hash,
        audit_seq=heads.audit_seq,
        audit_hash=heads.audit_hash,
        outbox_seq=heads.outbox_seq,
    )
    schema.fences.change(name, after, changes)
