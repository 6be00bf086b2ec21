"""The proof at the end of a demo: the books, the rails' own truth, the invariants and the chain, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penpay.stack.installation import PrivateInstallation
from penpay.stack.process import ProcessFailed

_BALANCES = """
SELECT code, currency, SUM(balance_minor)
FROM {ledger}.accounts
GROUP BY code, currency
ORDER BY code, currency
"""
_EMPTY = (
    ("deriv_out", "KES"),
    ("refund_out", "KES"),
    ("customer", "KES"),
    ("deriv_in", "USD"),
    ("b2c_out", "USD"),
    ("deriv_out", "USD"),
    ("customer", "USD"),
)
_PAIRS = (("mpesa_paybill", "KES", "paybill"), ("mpesa_utility", "KES", "utility"), ("deriv_agent", "USD", "agent"))


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the verdict."""

    name: str
    holds: bool
    detail: str


def trial_balance(installation: PrivateInstallation) -> dict[tuple[str, str], int]:
    """Sum over all shards, in minor units, by (account, currency)."""
    with installation.mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(_BALANCES.format(ledger="penpay_ledger"))
        return {(str(code), str(currency)): int(minor) for code, currency, minor in cursor.fetchall()}


def checks(
    installation: PrivateInstallation, books: Mapping[tuple[str, str], int], truth: Mapping[str, Any]
) -> list[Check]:
    """Every claim of the demo, each with what was found."""
    found = [_zero(books, currency) for currency in ("KES", "USD")]
    found += [
        _equal(f"{code} = {theirs} of the rails", books.get((code, currency), 0), int(truth[theirs]["current_minor"]))
        for code, currency, theirs in _PAIRS
    ]
    found += [_equal(f"{code}:{currency} is empty", books.get((code, currency), 0), 0) for code, currency in _EMPTY]
    found.append(_command(installation, "invariants: no violations", "check"))
    found.append(_command(installation, "audit chain verified", "audit", "verify"))
    return found


def _zero(books: Mapping[tuple[str, str], int], currency: str) -> Check:
    total = sum(minor for (_, of), minor in books.items() if of == currency)
    return _equal(f"debits = credits in {currency}", total, 0)


def _equal(name: str, ours: int, theirs: int) -> Check:
    return Check(
        name, ours == theirs, f"{ours / 100:,.2f}" if ours == theirs else f"{ours} against {theirs} minor units"
    )


def _command(installation: PrivateInstallation, name: str, *arguments: str) -> Check:
    try:
        said = installation.run(*arguments)
    except ProcessFailed as error:
        return Check(name, holds=False, detail=str(error))
    lines = said.strip().splitlines()
    return Check(name, holds=True, detail=lines[-1] if lines else "")
