"""What customers are told about changes to their own account, so that a thief's change does not stay unnoticed.

Source: faults.md S55. A notice is written with the change itself and sent later; it never delays anybody.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

TRIES_MAX = 12
"""About seven hours of tries; then a person is told by the log."""


class NoticeKind(StrEnum):
    """What happened. The names are stored."""

    DEVICE_ADDED = "device_added"
    PIN_SET = "pin_set"
    PIN_CHANGED = "pin_changed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the name of an event
    PASSWORD_RESET = "password_reset"  # noqa: S105
    PHONE_CHANGED = "phone_changed"
    DERIV_LINKED = "deriv_linked"
    DERIV_REFUSED = "deriv_refused"


_SAYS = {
    NoticeKind.DEVICE_ADDED: "A new device signed in to your PenPay account. Withdrawals are held for a while.",
    NoticeKind.PIN_SET: "A withdrawal PIN was set on your PenPay account.",
    NoticeKind.PIN_CHANGED: "Your PenPay withdrawal PIN was changed. Withdrawals are held for a while.",
    NoticeKind.PASSWORD_CHANGED: "Your PenPay password was changed and other devices were signed out.",
    NoticeKind.PASSWORD_RESET: "Your PenPay password was reset and every device was signed out.",
    NoticeKind.PHONE_CHANGED: (
        "Another phone number was set on your PenPay account and other devices were signed out. "
        "Withdrawals are held for a while."
    ),
    NoticeKind.DERIV_LINKED: "Your Deriv account was linked to PenPay.",
    NoticeKind.DERIV_REFUSED: "Your Deriv account could not be linked: it is in another name.",
}
assert _SAYS.keys() == set(NoticeKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message on its way. `tries` counts this one."""

    id: str
    user_id: str
    kind: NoticeKind
    created_at: datetime
    tries: int
    phone: str = field(repr=False)


def notice_text(kind: NoticeKind, at: datetime) -> str:
    """The words of the SMS: what, when, and what to do. Nothing that a stranger who reads it could use."""
    return f"{_SAYS[kind]} {at:%d %b %Y %H:%M} UTC. If this was not you, contact support at once."
