"""Why a transaction did not complete, in words for the customer. Codes are the saga's or the provider's own."""

from collections.abc import Mapping
from types import MappingProxyType

_AGAIN = "Start a new deposit."
_REVIEW = "Our team looks at it and will contact you."

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
        "not_paid": ("No payment arrived. No money was taken.", _AGAIN),
        # The saga's own.
        "cancelled": ("The deposit was cancelled before a prompt was sent.", _AGAIN),
        "stk_refused": ("M-Pesa did not take the payment prompt.", _AGAIN),
        "stk_not_sent": ("The payment prompt could not be sent in time.", _AGAIN),
        "deriv_recipient_refused": (
            "Deriv cannot credit the linked account with this amount.",
            "Check the Deriv account, or link another one.",
        ),
        "paid_too_late": ("The payment came after its rate had expired; it is given back.", "Ask for a new quote."),
        "amount_mismatch": ("Another amount arrived than was asked for.", _REVIEW),
        "account_frozen": ("The account is frozen.", "Contact support."),
    }
)
_BY_PREFIX = (
    ("mpesa_", ("M-Pesa did not make the payment.", _AGAIN)),
    (
        "deriv_",
        ("Deriv refused the transfer; the payment is given back.", "Check the Deriv account before a new deposit."),
    ),
)
_IN_REVIEW = ("Something needs a second look by our team.", _REVIEW)


def failure_of(code: str) -> dict[str, str] | None:
    """The `failure` object of a transaction, or None without a code. An unknown code keeps its name."""
    if not code:
        return None
    known = FAILURES.get(code) or FAILURES.get(code.removeprefix("mpesa_")) or _general(code)
    return {"code": code, "message": known[0], "next_action": known[1]}


def _general(code: str) -> tuple[str, str]:
    return next((text for prefix, text in _BY_PREFIX if code.startswith(prefix)), _IN_REVIEW)
