"""A unit as the ledger takes it in: everything about it that does not depend on the state of the shard, made once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from penpay.domain.chain import at_text, framed
from penpay.domain.unit import TransactionChange, UnitOfWork


@dataclass(slots=True)
class Incoming:
    """A unit with its canonical texts. `account_ids` has one tuple per posting, one id per entry."""

    unit: UnitOfWork
    content_hash: bytes
    at: str
    account_ids: list[list[str]]
    event_data: list[str]
    audit_details: list[str]
    requests: list[str]
    evidences: list[str]


def canonical_json(data: Mapping[str, str]) -> str:
    """Sorted keys, no spaces: equal data, equal bytes."""
    if not data:
        return "{}"
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def taken_in(unit: UnitOfWork) -> Incoming:
    """Prepare a unit and fix its content: every field of it is under the hash."""
    at = at_text(unit.at)
    account_ids = [[entry.account.id for entry in posting.entries] for posting in unit.postings]
    incoming = Incoming(
        unit=unit,
        content_hash=b"",
        at=at,
        account_ids=account_ids,
        event_data=[canonical_json(event.data) for event in unit.transaction.events] if unit.transaction else [],
        audit_details=[canonical_json(record.detail) for record in unit.audit],
        requests=[canonical_json(operation.request) for operation in unit.new_operations],
        evidences=[canonical_json(review.evidence) for review in unit.reviews],
    )
    incoming.content_hash = sha256(framed(_content(incoming))).digest()
    return incoming


def _content(incoming: Incoming) -> list[str]:
    unit = incoming.unit
    # Each group begins with its length, so that no field of one can pass for a field of the next.
    fields = [unit.unit_id, str(unit.shard), incoming.at, unit.user_id, str(unit.staff_resolution)]
    fields.append(str(len(unit.postings)))
    for posting, ids in zip(unit.postings, incoming.account_ids, strict=True):
        fields += (posting.key, posting.phase.value, posting.resolves, str(len(ids)))
        for entry, account_id in zip(posting.entries, ids, strict=True):
            fields += (account_id, str(entry.amount_minor))
    if unit.transaction is not None:
        _transaction(unit.transaction, incoming.event_data, fields)
    if unit.new_operations or unit.operations or unit.references:
        _operations(incoming, fields)
    for group in (unit.consumes, unit.quarantines):
        fields.append(str(len(group)))
        fields += group
    fields.append(str(len(unit.outbox)))
    for event in unit.outbox:
        fields += (event.stream, event.event_id, event.type, event.user_id, event.body)
    fields.append(str(len(unit.audit)))
    for record, detail in zip(unit.audit, incoming.audit_details, strict=True):
        fields += (record.actor, record.action, record.subject, detail)
    if unit.answer is not None:
        answer = unit.answer
        fields += ("answer", answer.user_id, answer.route, answer.key_hash, answer.fingerprint, str(answer.status))
        fields += (answer.location, answer.content_type, answer.sealed_body.hex(), answer.transaction_id)
    if unit.reviews or unit.reviews_closed or unit.user_status or unit.outbox_cursor is not None:
        _rare(incoming, fields)
    return fields


def _transaction(change: TransactionChange, event_data: list[str], fields: list[str]) -> None:
    row = change.row
    fields += (
        *("transaction", str(change.expected_version), row.id, str(row.shard), row.user_id, row.type, row.state),
        *(row.status, str(row.version), str(row.send.minor), row.send.currency.value, str(row.receive.minor)),
        *(row.receive.currency.value, row.quote_id, str(row.mid_rate_e6), str(row.spread_e6), row.phone_mask),
        *(row.deriv_loginid, row.route, row.key_hash, row.eat_day, str(row.limit_usd_minor), str(row.counts)),
        *(row.failure_code, row.data, str(row.next_wake_at), str(row.created_at), str(row.updated_at)),
        *(str(row.completed_at), str(len(change.events))),
    )
    for event, data in zip(change.events, event_data, strict=True):
        fields += (event.from_state, event.event, event.to_state, data)


def _operations(incoming: Incoming, fields: list[str]) -> None:
    unit = incoming.unit
    fields += ("operations", str(len(unit.new_operations)))
    for new, request in zip(unit.new_operations, incoming.requests, strict=True):
        fields += (new.id, new.kind.value, str(new.amount.minor), new.amount.currency.value, new.recipient)
        fields += (new.reference, request, new.sealed_request.hex())
    fields.append(str(len(unit.operations)))
    for change in unit.operations:
        fields += (change.id, change.to.value, change.provider_ref, change.code, str(change.attempts_closed))
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
        fields += (closed.transaction_id, closed.kind, closed.resolution)
    if unit.user_status is not None:
        fields += ("status", unit.user_status.user_id, unit.user_status.status, unit.user_status.reason)
    fields.append(str(unit.outbox_cursor))
