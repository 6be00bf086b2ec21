"""Dollars that reached the customer of a deposit or a withdrawal, and what paid for them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from penpay.domain.money import Money, usd


@dataclass(frozen=True, slots=True)
class Delivery:
    """Dollars that reached the customer. More than one tells that a transfer was given up that executed after all.

    `paid`: the money of the customer's that went for them, with what they did not cost (shillings of a deposit, dollars
    of a withdrawal); None where they are our loss. `paid_from`: the account in which that had stood.
    """

    transaction_id: str
    amount: Money
    paid: Money | None = None
    paid_from: str = ""


def newest_of(delivered: tuple[Delivery, ...]) -> str:
    """Deriv's id of the newest; empty when there is none."""
    return delivered[-1].transaction_id if delivered else ""


def packed_deliveries(delivered: tuple[Delivery, ...]) -> dict[str, list[list[Any]]]:
    """As a saga's row carries them."""
    known = [[one.transaction_id, one.amount.minor, *_paid_with(one)] for one in delivered]
    return {"delivered": known} if known else {}


def _paid_with(one: Delivery) -> list[Any]:
    return [] if one.paid is None else [one.paid.minor, one.paid_from]


def unpacked_deliveries(stored: Sequence[Sequence[Any]], paid_in: Callable[[int], Money]) -> tuple[Delivery, ...]:
    """And back. `paid_in`: money of the currency that pays."""
    return tuple(_delivery(paid_in, *one) for one in stored)


def _delivery(
    paid_in: Callable[[int], Money], transaction_id: str, minor: int, paid_minor: int | None = None, paid_from: str = ""
) -> Delivery:
    paid = None if paid_minor is None else paid_in(paid_minor)
    return Delivery(transaction_id, usd(minor), paid=paid, paid_from=paid_from)
