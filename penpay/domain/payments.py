"""Payments as Safaricom's list shows them, and which of them a push was for."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from penpay.domain.errors import BadInput
from penpay.domain.money import Money, kes
from penpay.domain.mpesa_callbacks import may_be_of

KIND = "pull"
"""Kind of the inbox row that brings a listed payment to its saga, or before a person."""
REFERENCE = "mpesa_receipt"
"""Kind of the reference that a booked payment uses up."""


@dataclass(frozen=True, slots=True)
class PullRow:
    """One payment of Safaricom's list. `reference` is what the payer named, which may be one of ours.

    `phone_tail` holds the last digits of the payer's phone that the list shows (at most 4, maybe none).
    """

    receipt: str
    reference: str
    amount: Money
    paid_at: datetime
    phone_tail: str = ""


def payment_for(asked: Money, payer: str, found: Iterable[PullRow]) -> PullRow:
    """Of the payments that name one push the one it was for: the first of the asked payer and amount, else the first.

    Somebody may also have paid by hand with its reference. Once a receipt belongs to the push, every other one is
    money of nobody: it is set aside and shown to a person. `payer` is the mask of the phone that was asked.
    """
    return min(
        found, key=lambda row: (not may_be_of(row.phone_tail, payer), row.amount != asked, row.paid_at, row.receipt)
    )


def encode_payment(row: PullRow) -> bytes:
    """Body of an inbox row of kind `pull`. Canonical: the same payment gives the same bytes."""
    body = {
        "receipt": row.receipt,
        "reference": row.reference,
        "amount_minor": row.amount.minor,
        "paid_at": row.paid_at.isoformat(),
        "phone_tail": row.phone_tail,
    }
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def decode_payment(body: bytes) -> PullRow:
    """Read such a body; raise `BadInput` when it is none."""
    try:
        raw = json.loads(body)
        receipt, reference, minor = raw["receipt"], raw["reference"], raw["amount_minor"]
        paid_at, phone_tail = datetime.fromisoformat(raw["paid_at"]), raw.get("phone_tail", "")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadInput("payment", "not a payment of the list") from error
    if any(type(text) is not str for text in (receipt, reference, phone_tail)) or not receipt:
        raise BadInput("payment", "a field has the wrong type")
    if type(minor) is not int or minor <= 0:
        raise BadInput("payment", "a field has the wrong type")
    if paid_at.tzinfo is None:
        raise BadInput("payment", "a time without a zone")
    return PullRow(receipt, reference, kes(minor), paid_at, phone_tail)
