"""The mail about a transaction that has ended. Pure words; nothing in it lets a stranger do anything."""

from collections.abc import Mapping
from typing import Any

ENDS: Mapping[tuple[str, str], str] = {
    ("DEPOSIT", "COMPLETED"): "Your deposit is complete",
    ("DEPOSIT", "FAILED"): "Your deposit did not go through",
    ("DEPOSIT", "REVERSED"): "Your deposit was given back",
    ("WITHDRAWAL", "COMPLETED"): "Your withdrawal is complete",
    ("WITHDRAWAL", "FAILED"): "Your withdrawal did not go through",
    ("WITHDRAWAL", "REVERSED"): "Your dollars were given back",
}


def is_end(transaction: Mapping[str, Any]) -> bool:
    """Whether this event is the end itself, and not something that was learned about it later."""
    ended = (transaction.get("type"), transaction.get("status")) in ENDS
    return ended and transaction.get("completed_at") == transaction.get("updated_at")


def mail_of(transaction: Mapping[str, Any], name: str) -> tuple[str, str]:
    """Subject and text."""
    said = ENDS[transaction["type"], transaction["status"]]
    sent, received = (f"{transaction[side]['currency']} {transaction[side]['amount']}" for side in ("send", "receive"))
    lines = [f"Dear {name},", "", f"{said}.", ""]
    if transaction["status"] == "COMPLETED":
        lines += [
            f"Paid:      {sent}",
            f"Received:  {received}",
            f"Rate:      {transaction['quote']['rate']} KES per USD",
        ]
        lines += [
            f"{_PROOFS[proof]:<11}{value}"
            for proof, value in transaction["evidence"].items()
            if value and proof in _PROOFS
        ]
    else:
        lines.append(f"Amount:    {sent}")
    if transaction["failure"]:
        lines += ["", transaction["failure"]["message"], transaction["failure"]["next_action"]]
    lines += [
        *("", f"Reference: {transaction['id']}", ""),
        "A signed receipt can be loaded in the app. We never ask for your PIN or a code by mail.",
    ]
    return f"PenPay: {said}", "\n".join(lines) + "\n"


_PROOFS = {"mpesa_receipt": "M-Pesa:", "deriv_transaction_id": "Deriv:", "refund_receipt": "Refund:"}
