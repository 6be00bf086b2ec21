"""Why a transaction did not complete, in words for the customer. Codes are the saga's or the provider's own."""

from collections.abc import Mapping
from types import MappingProxyType

_AGAIN = "Start a new deposit."
_NOTHING = "No money was taken."

FAILURES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # M-Pesa's results (Daraja, STK push): the text names what the customer can do about it.
        "1": ("The M-Pesa balance was too low.", "Top up M-Pesa and start a new deposit."),
        "17": ("M-Pesa took no second equal payment within two minutes.", "Wait two minutes and start a new deposit."),
        "26": ("M-Pesa was too busy.", "Wait a few minutes and start a new deposit."),
        "1001": ("Another M-Pesa session was open on this phone.", "Close it, wait a minute and start a new deposit."),
        "1019": ("The payment prompt expired.", _AGAIN),
        "1025": ("The payment prompt could not be shown.", _AGAIN),
        "1032": ("The payment prompt was cancelled on the phone.", _AGAIN),
        "1037": (
            "The phone could not be reached or nobody answered the prompt.",
            "Switch the phone on and start a new deposit.",
        ),
        "2001": ("The M-Pesa PIN was wrong.", "Start a new deposit and enter the right PIN."),
        "9999": ("The payment prompt could not be shown.", _AGAIN),
        # Ours.
        "cancelled": ("The deposit was cancelled before a prompt was sent.", _AGAIN),
        "expired": ("The payment prompt could not be sent in time.", _AGAIN),
        "not_paid": (f"No payment arrived. {_NOTHING}", _AGAIN),
        "stk_refused": ("M-Pesa did not take the payment prompt.", _AGAIN),
        "stk_not_sent": ("The payment prompt could not be sent.", _AGAIN),
        "recipient_refused": (
            "Deriv cannot credit the linked account with this amount.",
            "Check the Deriv account, or link another one.",
        ),
        "deriv_refused": (
            "Deriv refused the transfer; the payment is given back.",
            "Check the Deriv account before a new deposit.",
        ),
        "paid_late": ("The payment came after the rate had expired; it is given back.", "Ask for a new quote."),
        "amount_mismatch": ("Another amount arrived than was asked for.", "Our team looks at it and will contact you."),
        "account_frozen": ("The account is frozen.", "Contact support."),
    }
)
_UNNAMED = ("The transaction could not be completed.", "Contact support and name the transaction.")


def failure_of(code: str) -> dict[str, str] | None:
    """The `failure` object of a transaction, or None without a code. An unknown code keeps its name."""
    if not code:
        return None
    known = FAILURES.get(code) or FAILURES.get(code.rpartition("_")[2]) or _UNNAMED
    return {"code": code, "message": known[0], "next_action": known[1]}
