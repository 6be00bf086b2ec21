"""Numbers as Deriv tells them: amounts, ids and times. They are only read here: what we send is written from cents."""

import re
from datetime import UTC, datetime
from decimal import Decimal

from penpay.domain.errors import BadInput

_TEXT = re.compile(r"-?[0-9]{1,13}(?:\.[0-9]{1,18})?", re.ASCII)
_DIGITS_MAX = 13 + 18
_DRIFT_CENTS = Decimal("0.0001")
"""A millionth of a dollar: far more than floating point is ever wrong by, far less than any amount that was meant."""


def cents(value: object) -> int:
    """Signed whole cents of a JSON number, as `deriv_protocol.decode` reads it, or of a text with a decimal number.

    The old API documents numbers and the new one texts. A server that reckons in floating point writes
    990.3400000000001 for 990.34, and one such number must not hide a whole statement. Raises `BadInput`.
    """
    if type(value) is int and abs(value) < 10**13:
        return value * 100
    told = Decimal(value) if isinstance(value, str) and _TEXT.fullmatch(value) else value
    if not isinstance(told, Decimal) or not told.is_finite() or len(told.as_tuple().digits) > _DIGITS_MAX:
        raise BadInput("amount", "not an amount")
    if not -20 < told.adjusted() < 13:
        raise BadInput("amount", "not an amount of dollars and cents")
    exact = told * 100
    whole = exact.to_integral_value()
    if abs(exact - whole) > _DRIFT_CENTS:
        raise BadInput("amount", "not an amount of whole cents")
    return int(whole)


def number(value: object, name: str) -> int:
    """A positive whole number that a column of the database holds. Raises `BadInput`."""
    if type(value) is not int or not 0 < value < 1 << 63:
        raise BadInput(name, "not a number of Deriv")
    return value


def epoch(value: object, name: str) -> datetime:
    """A time in whole seconds. Raises `BadInput`."""
    seconds = number(value, name)
    if seconds > 1 << 33:
        raise BadInput(name, "not a time")
    return datetime.fromtimestamp(seconds, UTC)
