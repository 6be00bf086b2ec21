"""What a customer sees of a transaction: the contract's objects from the stored rows. Source: contract.md part 3.

Rendered by the users' actors (answers, stored before the commit) and by the edge (reads), so pure and repeatable.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from penpay.domain.decision import IN_REVIEW
from penpay.domain.failures import failure_of
from penpay.domain.fx import Direction, LockedRate
from penpay.domain.json_text import read_json
from penpay.domain.unit import TransactionRow

CONTENT_TYPE = "application/json; charset=utf-8"
_EVIDENCE = ("mpesa_receipt", "deriv_transaction_id")
"""Always shown, null until known."""
_EVIDENCE_IN_DATA: Mapping[str, tuple[tuple[str, str], ...]] = {
    Direction.DEPOSIT: (
        ("mpesa_receipt", "receipt"),
        ("deriv_transaction_id", "deriv_transaction_id"),
        ("refund_receipt", "refund_receipt"),
    ),
    Direction.WITHDRAWAL: (
        ("mpesa_receipt", "receipt"),
        ("deriv_transaction_id", "debit_transaction_id"),
        ("deriv_return_id", "return_transaction_id"),
    ),
}
"""Name on the wire, name in the saga's own JSON."""


def time_text(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, cut and not rounded, so that an event never lies after its own record."""
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return f"{utc.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def rate_text(rate_e6: int) -> str:
    """KES per USD as a decimal string with two to six digits after the dot."""
    major, millionths = divmod(rate_e6, 1_000_000)
    digits = f"{millionths:06d}"
    return f"{major}.{digits[:2]}{digits[2:].rstrip('0')}"


def evidence_of(row: TransactionRow) -> dict[str, str]:
    """The proofs that the saga's own data holds, by their public names."""
    data = read_json(row.data) if row.data else {}
    return {public: str(data[own]) for public, own in _EVIDENCE_IN_DATA[row.type] if data.get(own)}


def render_transaction(row: TransactionRow, evidence: Mapping[str, str], language: str = "en") -> dict[str, Any]:
    """The transaction object of every answer and event. Only words for the customer depend on the language."""
    rate = LockedRate(Direction(row.type), row.mid_rate_e6, row.spread_e6)
    return {
        "id": row.id,
        "type": row.type,
        "status": row.status,
        "stage": row.state,
        "send": row.send.wire(),
        "receive": row.receive.wire(),
        "quote": {
            "id": row.quote_id or None,
            "mid_rate": rate_text(rate.mid_e6),
            "spread": rate_text(rate.spread_e6),
            "rate": rate_text(rate.rate_e6),
        },
        "phone": row.phone_mask,
        "deriv_loginid": row.deriv_loginid,
        "evidence": dict.fromkeys(_EVIDENCE) | {name: evidence[name] for name in sorted(evidence)},
        "failure": _failure(row, language),
        "created_at": time_text(row.created_at),
        "updated_at": time_text(row.updated_at),
        "completed_at": time_text(row.completed_at) if row.completed_at else None,
    }


def _failure(row: TransactionRow, language: str) -> dict[str, str] | None:
    if not row.failure_code:
        return None
    provider_code = str(read_json(row.data or "{}").get("failed_code", ""))
    in_review = row.state == IN_REVIEW
    return failure_of(row.failure_code, row.type, provider_code=provider_code, in_review=in_review, language=language)
