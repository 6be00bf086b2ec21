"""The rows as they are stored: immutable, one class per table, named as their columns.

Where the core has a frozen shape of its own (`TransactionRow`, `Quote`, `InboxRow`, `Money`) it is kept inside, and
`PATHS` says where each column is found. An empty text stands for NULL where the column may be NULL.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from penpay.domain.money import Money
from penpay.domain.unit import TransactionRow
from penpay.messages import InboxRow, Quote


class LeaseRow(NamedTuple):
    """Table `leases`."""

    name: str
    node: str
    owner: str
    epoch: int
    expires_at: datetime
    state: str


class FenceRow(NamedTuple):
    """Table `fences`."""

    name: str
    owner: str
    epoch: int
    unit_seq: int
    chain_seq: int
    chain_hash: bytes
    audit_seq: int
    audit_hash: bytes
    outbox_seq: int


class AccountRow(NamedTuple):
    """Table `accounts`."""

    id: str
    shard: int
    code: str
    currency: str
    user_id: str
    balance_minor: int
    version: int


class UnitRow(NamedTuple):
    """Table `units`."""

    unit_id: str
    shard: int
    seq: int
    epoch: int
    content_hash: bytes
    created_at: datetime


class PostingRow(NamedTuple):
    """Table `postings`."""

    id: int
    unit_id: str
    shard: int
    transaction_id: str
    posting_key: str
    phase: str
    resolves: str
    seq: int
    prev_hash: bytes
    hash: bytes
    created_at: datetime


class EntryRow(NamedTuple):
    """Table `ledger_entries`."""

    posting_id: int
    line: int
    account_id: str
    currency: str
    amount_minor: int
    balance_after_minor: int
    account_version: int


class StoredTransaction(NamedTuple):
    """Table `transactions`."""

    row: TransactionRow
    event_count: int


class EventRow(NamedTuple):
    """Table `transaction_events`."""

    transaction_id: str
    seq: int
    version: int
    epoch: int
    from_state: str
    event: str
    to_state: str
    data: str
    created_at: datetime


class StoredOperation(NamedTuple):
    """Table `provider_operations`."""

    id: str
    transaction_id: str
    shard: int
    user_id: str
    kind: str
    state: str
    amount: Money
    recipient: str
    reference: str
    request: str
    sealed_request: bytes
    provider_ref: str
    code: str
    attempts_closed: int
    staff_approved: bool
    created_at: datetime
    updated_at: datetime


class AttemptRow(NamedTuple):
    """Table `rail_attempts`."""

    operation_id: str
    attempt: int
    rail: str
    epoch: int
    watermark: str
    sent_at: datetime
    outcome: str
    code: str
    provider_ref: str
    facts: str
    sealed_body: bytes | None
    ended_at: datetime | None


class ReferenceRow(NamedTuple):
    """Table `provider_references`."""

    kind: str
    ref: str
    operation_id: str
    unit_id: str
    created_at: datetime


class StoredEvidence(NamedTuple):
    """Table `callback_inbox`. The body is not sealed here: nobody else can read this memory."""

    row: InboxRow
    dedupe_key: str
    source: str
    status: str
    unit_id: str = ""


class AnswerRow(NamedTuple):
    """Table `answers`."""

    user_id: str
    route: str
    key_hash: str
    fingerprint: str
    status: int
    location: str
    content_type: str
    sealed_body: bytes
    transaction_id: str
    unit_id: str
    created_at: datetime


class OutboxEntry(NamedTuple):
    """Table `outbox`."""

    shard: int
    seq: int
    stream: str
    event_id: str
    type: str
    user_id: str
    body: str
    created_at: datetime


class CursorRow(NamedTuple):
    """Table `outbox_cursors`."""

    shard: int
    seq: int
    updated_at: datetime


class ListCursorRow(NamedTuple):
    """Table `reconcile_cursors`."""

    source: str
    agreed_until: datetime
    updated_at: datetime


class ReviewRow(NamedTuple):
    """Table `review_items`."""

    id: str
    shard: int
    transaction_id: str
    operation_id: str
    kind: str
    reason: str
    owner_role: str
    evidence: str
    due_at: datetime
    opened_at: datetime
    closed_at: datetime | None
    resolution: str


class StatusRow(NamedTuple):
    """Table `user_status`."""

    user_id: str
    shard: int
    status: str
    frozen_at: datetime | None
    reason: str
    updated_at: datetime


class DeadLetterRow(NamedTuple):
    """Table `dead_letters`."""

    id: str
    shard: int
    kind: str
    subject: str
    reason: str
    created_at: datetime


class AuditRow(NamedTuple):
    """Table `audit_log`."""

    chain: str
    seq: int
    unit_id: str
    at: datetime
    actor: str
    action: str
    subject: str
    detail: str
    prev_hash: bytes
    hash: bytes


class StoredQuote(NamedTuple):
    """Table `quotes`."""

    quote: Quote


class CodeRow(NamedTuple):
    """Table `withdrawal_codes`."""

    id: str
    user_id: str
    amount_minor: int
    payee: bytes
    asked_at: datetime


_MONEY = {
    "send_minor": "send.minor",
    "send_currency": "send.currency",
    "receive_minor": "receive.minor",
    "receive_currency": "receive.currency",
}
PATHS: Mapping[type, Mapping[str, str]] = {
    StoredTransaction: {
        "event_count": "event_count",
        **{column: f"row.{path}" for column, path in _MONEY.items()},
        "": "row.",
    },
    StoredOperation: {"amount_minor": "amount.minor", "currency": "amount.currency"},
    StoredEvidence: {
        **{name: name for name in ("dedupe_key", "source", "status", "unit_id")},
        "sealed_body": "row.body",
        "": "row.",
    },
    StoredQuote: {**{column: f"quote.{path}" for column, path in _MONEY.items()}, "": "quote."},
}
"""Column to attribute, where they differ. The empty name is what goes before every column that is not named."""
