"""The tamper-evident chains: exact bytes of postings and audit records, and how each is tied to the one before.

Fields are framed by their count and lengths, so that no two different lists of fields give the same bytes. The hash of
a row covers the hash of the row before it in its shard. Verification needs nothing but these functions.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256

GENESIS = bytes(32)
"""What the first row of every chain follows."""


def framed(fields: Sequence[str]) -> bytes:
    """Count, lengths (in characters), then the fields: unambiguous whatever they contain."""
    return f"{len(fields)};{','.join(map(str, map(len, fields)))};{''.join(fields)}".encode()


def at_text(at: datetime) -> str:
    """A UTC time as it is hashed and stored: `2026-11-20 14:58:15.000001`."""
    if at.tzinfo is not UTC:
        assert at.tzinfo is not None, "a time without a zone"
        at = at.astimezone(UTC)
    return at.isoformat(" ", "microseconds")[:26]


def posting_fields(
    *,
    seq: int,
    unit_id: str,
    transaction_id: str,
    key: str,
    phase: str,
    resolves: str,
    created_at: str,
    entries: Iterable[tuple[str, str, int, int, int]],
) -> list[str]:
    """What the chain says of a posting. Entries: account, currency, amount, balance after, account version."""
    fields = ["posting", str(seq), unit_id, transaction_id, key, phase, resolves, created_at]
    for account_id, currency, amount_minor, balance_after_minor, version in entries:
        fields += (account_id, currency, str(amount_minor), str(balance_after_minor), str(version))
    return fields


def audit_fields(
    *, chain: str, seq: int, unit_id: str, at: str, actor: str, action: str, subject: str, detail: str
) -> list[str]:
    """What the chain says of an audit record. `detail` is the exact stored JSON."""
    return ["audit", chain, str(seq), unit_id, at, actor, action, subject, detail]


def link(prev_hash: bytes, fields: Sequence[str]) -> bytes:
    """The hash of a row that follows `prev_hash`."""
    return sha256(prev_hash + framed(fields)).digest()
