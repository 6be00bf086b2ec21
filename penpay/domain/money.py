"""Money: whole minor units of one currency. Parsed at the edge, formatted at the edge, never a float."""

import re
from dataclasses import dataclass
from enum import StrEnum

from penpay.domain.errors import BadInput

_WIRE = re.compile(r"(?:0|[1-9][0-9]{0,11})\.[0-9]{2}", re.ASCII)
MINOR_PER_MAJOR = 100
"""Cents per dollar and per shilling: both currencies have two digits."""


class Currency(StrEnum):
    """The two currencies that PenPay holds."""

    KES = "KES"
    USD = "USD"


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units (cents). Signed; the rules that use it say which signs they take."""

    minor: int
    currency: Currency

    def __post_init__(self) -> None:
        assert type(self.minor) is int, "money is an int of minor units"

    @property
    def whole(self) -> bool:
        """True when there are no cents: M-Pesa moves whole shillings only."""
        return self.minor % MINOR_PER_MAJOR == 0

    def text(self) -> str:
        """The wire form, for example `1300.00`."""
        sign = "-" if self.minor < 0 else ""
        major, cents = divmod(abs(self.minor), MINOR_PER_MAJOR)
        return f"{sign}{major}.{cents:02d}"

    def wire(self) -> dict[str, str]:
        """The object that stands for an amount in every answer."""
        return {"amount": self.text(), "currency": self.currency.value}


def kes(minor: int) -> Money:
    """Shillings, in cents."""
    return Money(minor, Currency.KES)


def usd(minor: int) -> Money:
    """Dollars, in cents."""
    return Money(minor, Currency.USD)


def parse_amount(text: object, currency: object, *, field: str = "amount") -> Money:
    """Read the wire form strictly; raise `BadInput` naming the field otherwise.

    Exactly ASCII digits, a dot and two digits, at most twelve digits before the dot (contract, part 3).
    """
    if type(text) is not str or not _WIRE.fullmatch(text):
        raise BadInput(field, "must be a decimal string with two digits after the dot, for example 1300.00")
    if type(currency) is not str or currency not in Currency.__members__:
        raise BadInput(f"{field.rsplit('.', 1)[0]}.currency" if "." in field else "currency", "must be KES or USD")
    return Money(int(text.replace(".", "")), Currency(currency))
