"""The tamper-evident chains: exact bytes of postings and audit records, and how each is tied to the one before.

Texts are framed by their count and lengths, numbers are eight bytes each, so that no two different rows give the same
bytes. The hash of a row covers the hash of the row before it in its shard. Nothing else is needed to verify one.
"""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256

_LENGTHS = [struct.Struct(f">{count + 1}I") for count in range(64)]
GENESIS = bytes(32)
"""What the first row of every chain follows."""


def framed(fields: Sequence[str]) -> bytes:
    """Count and lengths (in characters, four bytes each), then the fields as UTF-8: unambiguous and self-delimiting."""
    count = len(fields)
    lengths = _LENGTHS[count] if count < len(_LENGTHS) else struct.Struct(f">{count + 1}I")
    return lengths.pack(count, *map(len, fields)) + "".join(fields).encode()


def at_text(at: datetime) -> str:
    """A UTC time as it is hashed and stored: `2026-11-20 14:58:15.000001`."""
    if at.tzinfo is not UTC:
        assert at.tzinfo is not None, "a time without a zone"
        at = at.astimezone(UTC)
    return at.isoformat(" ", "microseconds")[:26]


def posting_head(
    shard: int,
    unit_id: str,
    transaction_id: str,
    key: str,
    phase: str,
    resolves: str,
    created_at: str,
    legs: Sequence[str],
) -> bytes:
    """What is fixed of a posting before it has its place. Legs: account and currency of each in turn."""
    return framed(("posting", str(shard), unit_id, transaction_id, key, phase, resolves, created_at, *legs))


def posting_hash(prev_hash: bytes, head: bytes, seq: int, numbers: Sequence[int]) -> bytes:
    """The link of a posting. Numbers: amount, balance after and account version of each leg in turn."""
    return sha256(prev_hash + head + struct.pack(f">{len(numbers) + 1}q", seq, *numbers)).digest()


def audit_head(*, chain: str, unit_id: str, at: str, actor: str, action: str, subject: str, detail: str) -> bytes:
    """What is fixed of an audit record before it has its place. `detail` is the exact stored JSON."""
    return framed(("audit", chain, unit_id, at, actor, action, subject, detail))


def audit_hash(prev_hash: bytes, head: bytes, seq: int) -> bytes:
    """The link of an audit record."""
    return sha256(prev_hash + head + struct.pack(">q", seq)).digest()
