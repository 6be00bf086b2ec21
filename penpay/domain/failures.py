"""Why a transaction did not complete, in words for the customer. Codes are the saga's or the provider's own."""

from collections.abc import Mapping
from types import MappingProxyType

from penpay.domain.fx import Direction

_AGAIN = "Start a new deposit."
_ANOTHER = "Start a new withdrawal."
_REVIEW = "Our team looks at it and will contact you."

Texts = Mapping[str, tuple[str, str]]
DEPOSITS: Texts = MappingProxyType(
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
WITHDRAWALS: Texts = MappingProxyType(
    {
        # Codes with dollars already back, or never taken.
        "cancelled": ("The withdrawal was cancelled before anything was taken.", _ANOTHER),
        "deriv_debit_refused": (
            "Deriv did not allow the withdrawal. Nothing was taken.",
            "Check the code and the Deriv balance, ask for a new code and try again.",
        ),
        "deriv_not_sent": (
            "Deriv could not be reached while the code was good. Nothing was taken.",
            "Ask for a new code and try again.",
        ),
        "deriv_not_debited": (
            "The withdrawal did not reach Deriv. Nothing was taken.",
            "Ask for a new code and try again.",
        ),
        "payout_refused": (
            "M-Pesa could not pay this number; the dollars go back to the Deriv account.",
            "Check with Safaricom that the number can receive money and is below its limits.",
        ),
        "returned_by_review": (
            "Our team gave the dollars back to the Deriv account.",
            "Contact support if you did not expect that.",
        ),
        "account_frozen": ("The account is frozen.", "Contact support."),
    }
)
_TEXTS: Mapping[str, Texts] = {Direction.DEPOSIT: DEPOSITS, Direction.WITHDRAWAL: WITHDRAWALS}
_BY_PREFIX: Mapping[str, tuple[tuple[str, tuple[str, str]], ...]] = {
    Direction.DEPOSIT: (
        ("mpesa_", ("M-Pesa did not make the payment.", _AGAIN)),
        (
            "deriv_",
            ("Deriv refused the transfer; the payment is given back.", "Check the Deriv account before a new deposit."),
        ),
    ),
    Direction.WITHDRAWAL: (("deriv_", ("Deriv did not allow the withdrawal.", "Check the Deriv account.")),),
}
_IN_REVIEW = ("Something needs a second look by our team.", _REVIEW)


def failure_of(code: str, type_: str = Direction.DEPOSIT) -> dict[str, str] | None:
    """The `failure` object of a transaction of this type, or None without a code. An unknown code keeps its name."""
    if not code:
        return None
    texts = _TEXTS[type_]
    known = texts.get(code) or texts.get(code.removeprefix("mpesa_")) or _general(code, type_)
    return {"code": code, "message": known[0], "next_action": known[1]}


def _general(code: str, type_: str) -> tuple[str, str]:
    return next((text for prefix, text in _BY_PREFIX[type_] if code.startswith(prefix)), _IN_REVIEW)
