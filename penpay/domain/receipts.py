"""Signed receipts: what became of a transaction, in bytes that anybody can check with the public key alone.

Source: contract.md part 3. A receipt is made from the row and nothing else, so asking again gives the same bytes as
long as the transaction stays as it is; `version` tells two receipts of one transaction apart.
"""

from collections.abc import Mapping
from typing import Any

from penpay.domain.json_text import canonical_bytes
from penpay.domain.presentation import evidence_of, render_transaction
from penpay.domain.unit import TransactionRow

ALGORITHM = "Ed25519"
FINAL = frozenset({"COMPLETED", "FAILED", "REVERSED"})
_PURPOSE = b"penpay receipt 1\n"
"""In front of what is signed: the same key signs anchors, and one must never pass for the other."""


def receipt_of(row: TransactionRow, issuer: str) -> dict[str, Any]:
    """What a receipt says; `issuer` is our public address. Only for a final transaction."""
    assert row.status in FINAL
    return {
        "issuer": issuer,
        "version": row.version,
        "transaction": render_transaction(row, evidence_of(row)),
    }


def signed_bytes(receipt: Mapping[str, Any]) -> bytes:
    """What the signature is over: the purpose, then JSON in UTF-8 with sorted keys and without white space."""
    return _PURPOSE + canonical_bytes(receipt)
