"""Checking a receipt without asking anybody: needs the issuer's public key and nothing else."""

from penpay.adapters.receipts import is_genuine
from penpay.client.answers import Receipt, ReceiptText
from penpay.domain.receipts import ALGORITHM, signed_bytes


class ReceiptRefused(ValueError):
    """This is not a receipt that the owner of the key signed. The text says what is wrong."""


def verified(receipt: Receipt, *, public_key: str) -> ReceiptText:
    """What the receipt says, if the owner of `public_key` (64 hex digits) signed it; else `ReceiptRefused`.

    The key must come from somewhere else than the receipt: `GET /receipts/key`, asked once and kept.
    """
    try:
        said, algorithm, signature = receipt["receipt"], receipt["algorithm"], receipt["signature"]
    except (KeyError, TypeError):
        raise ReceiptRefused("this is no receipt") from None
    if algorithm != ALGORITHM:
        raise ReceiptRefused(f"the algorithm is not {ALGORITHM}")
    try:
        genuine = is_genuine(signed_bytes(said), str(signature), public_key)
    except ValueError:
        raise ReceiptRefused("the public key is none") from None
    if not genuine:
        raise ReceiptRefused("the signature does not belong to this text and this key")
    return said
