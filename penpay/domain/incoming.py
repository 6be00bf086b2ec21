"""A unit as the ledger takes it in: everything about it that does not depend on the state of the shard, made once."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from operator import attrgetter

from penpay.domain.chain import at_text, audit_head, framed, posting_head
from penpay.domain.json_text import canonical_json
from penpay.domain.unit import OperationState, TransactionChange, TransactionRow, UnitOfWork

_ROW = attrgetter(
    *("id", "shard", "user_id", "type", "state", "status", "version", "send.minor", "send.currency", "receive.minor"),
    *("receive.currency", "quote_id", "mid_rate_e6", "spread_e6", "phone_mask", "deriv_loginid", "route", "key_hash"),
    *("eat_day", "limit_usd_minor", "counts", "failure_code", "data", "next_wake_at", "created_at", "updated_at"),
    "completed_at",
)
assert {name.partition(".")[0] for name in _ROW.__reduce__()[1]} == {field.name for field in fields(TransactionRow)}

Key = tuple[str, str, str]
"""User, route, hash of an idempotency key."""


@dataclass(slots=True)
class Incoming:
    """A unit with its canonical texts; lists run along the unit's own tuples."""

    unit: UnitOfWork
    at: str
    content_hash: bytes = b""
    account_ids: Sequence[Sequence[str]] = ()
    """One list per posting, one id per entry."""
    amounts: Sequence[int] = ()
    """Of all entries, in order."""
    posting_heads: Sequence[bytes] = ()
    audit_heads: Sequence[bytes] = ()
    event_data: Sequence[str] = ()
    audit_details: Sequence[str] = ()
    requests: Sequence[str] = ()
    evidences: Sequence[str] = ()
    keys: Sequence[Key] = ()
    """The idempotency keys that the unit takes: one, even when a transaction and its answer share it."""
    quote_id: str = ""
    """The quote that it uses up."""
    intends_for: str = ""
    """The user whose money call it intends."""
    prepared: object = None
    """What the store made of it ahead of time."""


def taken_in(unit: UnitOfWork) -> Incoming:
    """Prepare a unit and fix its content: every field of it is under the hash."""
    incoming = Incoming(unit, at_text(unit.at))
    change, answer = unit.transaction, unit.answer
    if unit.postings:
        _take_postings(incoming)
    if unit.audit:
        incoming.audit_details = [canonical_json(record.detail) for record in unit.audit]
        incoming.audit_heads = _audit_heads(incoming)
    if change is not None:
        incoming.event_data = [canonical_json(event.data) for event in change.events]
        incoming.requests = [canonical_json(operation.request) for operation in unit.new_operations]
        if change.expected_version == 0:
            incoming.keys = [(change.row.user_id, change.row.route, change.row.key_hash)]
            incoming.quote_id = change.row.quote_id
        if unit.new_operations or any(moved.to is OperationState.INTENT for moved in unit.operations):
            incoming.intends_for = change.row.user_id
    if answer is not None and (key := (answer.user_id, answer.route, answer.key_hash)) not in incoming.keys:
        incoming.keys = [*incoming.keys, key]
    if unit.reviews:
        incoming.evidences = [canonical_json(review.evidence) for review in unit.reviews]
    incoming.content_hash = _content_hash(incoming)
    return incoming


def _take_postings(incoming: Incoming) -> None:
    unit, at = incoming.unit, incoming.at
    transaction_id = unit.transaction.row.id if unit.transaction is not None else ""
    account_ids: list[list[str]] = []
    heads: list[bytes] = []
    amounts: list[int] = []
    for posting in unit.postings:
        ids: list[str] = []
        legs: list[str] = []
        for entry in posting.entries:
            account = entry.account
            account_id = account.id
            ids.append(account_id)
            legs += (account_id, account.currency)
            amounts.append(entry.amount_minor)
        account_ids.append(ids)
        key, phase, resolves = posting.key, posting.phase, posting.resolves
        heads.append(posting_head(unit.shard, unit.unit_id, transaction_id, key, phase, resolves, at, legs))
    incoming.account_ids, incoming.posting_heads, incoming.amounts = account_ids, heads, amounts


def _content_hash(incoming: Incoming) -> bytes:
    """Over the heads of postings and audit records, the amounts, and all other fields, each part self-delimiting."""
    others = _fields(incoming)
    joined = "\x00".join(others)
    # Without a separator inside a field this says the same as the framed form, and is cheaper.
    fields = joined.encode() if joined.count("\x00") == len(others) - 1 else framed(others)
    amounts = incoming.amounts
    numbers = struct.pack(f">{len(amounts)}q", *amounts) if amounts else b""
    return sha256(b"".join((fields, b"\x00\x00", *incoming.posting_heads, numbers, *incoming.audit_heads))).digest()


def _audit_heads(incoming: Incoming) -> list[bytes]:
    return [
        audit_head(
            chain=f"shard/{incoming.unit.shard}",
            unit_id=incoming.unit.unit_id,
            at=incoming.at,
            actor=record.actor,
            action=record.action,
            subject=record.subject,
            detail=detail,
        )
        for record, detail in zip(incoming.unit.audit, incoming.audit_details, strict=True)
    ]


def _fields(incoming: Incoming) -> list[str]:
    unit = incoming.unit
    # Each group begins with its length, so that no field of one can pass for a field of the next.
    counts = f"{unit.shard} {len(unit.postings)} {len(unit.audit)} {unit.staff_resolution}"
    fields = [unit.unit_id, incoming.at, unit.user_id, counts]
    if unit.transaction is not None:
        _transaction(unit.transaction, incoming.event_data, fields)
    if unit.new_operations or unit.operations or unit.references:
        _operations(incoming, fields)
    if unit.consumes or unit.quarantines:
        fields += ("inbox", str(len(unit.consumes)), *unit.consumes, *unit.quarantines)
    if unit.outbox:
        fields += ("outbox", str(len(unit.outbox)))
        for event in unit.outbox:
            fields += (event.stream, event.event_id, event.type, event.user_id, event.body)
    if unit.answer is not None:
        answer = unit.answer
        fields += ("answer", answer.user_id, answer.route, answer.key_hash, answer.fingerprint, str(answer.status))
        fields += (answer.location, answer.content_type, answer.sealed_body.hex(), answer.transaction_id)
    if unit.reviews or unit.reviews_closed or unit.user_status or unit.outbox_cursor is not None:
        _rare(incoming, fields)
    return fields


def _transaction(change: TransactionChange, event_data: Sequence[str], parts: list[str]) -> None:
    parts += ("transaction", str(change.expected_version), *map(str, _ROW(change.row)), str(len(change.events)))
    for event, data in zip(change.events, event_data, strict=True):
        parts += (event.from_state, event.event, event.to_state, data)


def _operations(incoming: Incoming, fields: list[str]) -> None:
    unit = incoming.unit
    fields += ("operations", str(len(unit.new_operations)))
    for new, request in zip(unit.new_operations, incoming.requests, strict=True):
        fields += (new.id, new.kind, str(new.amount.minor), new.amount.currency, new.recipient)
        fields += (new.reference, request, new.sealed_request.hex())
    fields.append(str(len(unit.operations)))
    for change in unit.operations:
        fields += (change.id, change.to, change.provider_ref, change.code, str(change.attempts_closed))
    fields.append(str(len(unit.references)))
    for reference in unit.references:
        fields += (reference.kind, reference.ref, reference.operation_id)


def _rare(incoming: Incoming, fields: list[str]) -> None:
    unit = incoming.unit
    fields += ("reviews", str(len(unit.reviews)))
    for review, evidence in zip(unit.reviews, incoming.evidences, strict=True):
        fields += (review.id, review.transaction_id, review.operation_id, review.kind, review.reason)
        fields += (review.owner_role, str(review.due_at), evidence)
    fields.append(str(len(unit.reviews_closed)))
    for closed in unit.reviews_closed:
        fields += (closed.transaction_id, closed.kind, closed.resolution, closed.item_id)
    if unit.user_status is not None:
        fields += ("status", unit.user_status.user_id, unit.user_status.status, unit.user_status.reason)
    fields.append(str(unit.outbox_cursor))
