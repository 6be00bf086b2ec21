"""Mails: what became of a transaction, a code, and a registration of an address that is known. Pure words.

Nothing in them lets a stranger do anything but the code, which works for its one purpose and for minutes.
"""

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


def code_mail(code: str, minutes: int, language: str) -> tuple[str, str]:
    """Subject and text of a code that verifies an address."""
    if language == "sw":
        return "PenPay: nambari ya kuthibitisha barua pepe", (
            f"Nambari yako ya kuthibitisha barua pepe ni {code}. Itatumika kwa dakika {minutes}.\n\n"
            "Hakuna mtu kutoka PenPay atakayeiuliza. Kama hukuiomba, puuza ujumbe huu.\n"
        )
    return "PenPay: your e-mail code", (
        f"Your code to verify this address is {code}. It is valid for {minutes} minutes.\n\n"
        "Nobody from PenPay will ever ask for it. If you did not ask for it, ignore this message.\n"
    )


def address_known_mail(language: str) -> tuple[str, str]:
    """Subject and text for the owner of an address that somebody tried to register again."""
    if language == "sw":
        return "PenPay: tayari una akaunti", (
            "Mtu amejaribu kufungua akaunti ya PenPay kwa barua pepe hii, ambayo tayari ina akaunti.\n\n"
            "Kama ni wewe, ingia, au weka nenosiri jipya. Kama si wewe, huhitaji kufanya chochote.\n"
        )
    return "PenPay: you have an account already", (
        "Somebody tried to open a PenPay account with this address, which has one already.\n\n"
        "If it was you, sign in, or set a new password. If not, there is nothing to do.\n"
    )
