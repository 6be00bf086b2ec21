"""Payments as Safaricom's list shows them, and which of them a push was for."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from penpay.domain.errors import BadInput
from penpay.domain.money import Money, kes

KIND = "pull"
"""Kind of the inbox row that brings a listed payment to its saga, or before a person."""
REFERENCE = "mpesa_receipt"
"""Kind of the reference that a booked payment uses up."""


@dataclass(frozen=True, slots=True)
class PullRow:
    """One payment of Safaricom's list. `reference` is what the payer named, which may be one of ours."""

    receipt: str
    reference: str
    amount: Money
    paid_at: datetime


def payment_for(asked: Money, found: Iterable[PullRow]) -> PullRow:
    """Of the payments that name one push the one it was for: the first of the asked amount, else the first.

    Somebody may also have paid by hand with its reference. Once a receipt belongs to the push, every other one is
    money of nobody: it is set aside and shown to a person.
    """
    return min(found, key=lambda row: (row.amount != asked, row.paid_at, row.receipt))


def encode_payment(row: PullRow) -> bytes:
    """Body of an inbox row of kind `pull`. Canonical: the same payment gives the same bytes."""
    body = {
        "receipt": row.receipt,
        "reference": row.reference,
        "amount_minor": row.amount.minor,
        "paid_at": row.paid_at.isoformat(),
    }
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def decode_payment(body: bytes) -> PullRow:
    """Read such a body; raise `BadInput` when it is none."""
    try:
        raw = json.loads(body)
        receipt, reference, minor = raw["receipt"], raw["reference"], raw["amount_minor"]
        paid_at = datetime.fromisoformat(raw["paid_at"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadInput("payment", "not a payment of the list") from error
    if type(receipt) is not str or type(reference) is not str or type(minor) is not int or minor <= 0 or not receipt:
        raise BadInput("payment", "a field has the wrong type")
    if paid_at.tzinfo is None:
        raise BadInput("payment", "a time without a zone")
    return PullRow(receipt, reference, kes(minor), paid_at)
