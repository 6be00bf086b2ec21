"""The books, read as an administrator would, without going through a node."""

import asyncio
import time
from collections import Counter
from typing import Any

from penpay.stack import PrivateInstallation

SETTLED = frozenset({"COMPLETED", "REVERSED", "FAILED", "IN_REVIEW"})


class Unsettled(Exception):
    """Something was still open when all time was over; the text names the first ones."""


def rows(installation: PrivateInstallation, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """One statement; `{ledger}` and `{users}` stand for the schemas."""
    for schema in ("ledger", "users"):
        statement = statement.replace(f"{{{schema}}}", f"penpay_{schema}")
    with installation.mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def states(installation: PrivateInstallation) -> Counter[str]:
    """How many transactions stand in which state."""
    return Counter(dict(rows(installation, "SELECT state, COUNT(*) FROM {ledger}.transactions GROUP BY state")))


async def settled(installation: PrivateInstallation, *, within_s: float) -> Counter[str]:
    """Wait until no transaction is open and no evidence waits any more. Raises `Unsettled`."""
    deadline = time.monotonic() + within_s
    while True:
        found, waiting = await asyncio.to_thread(_look, installation)
        if found.keys() <= SETTLED and not waiting:
            return found
        if time.monotonic() > deadline:
            raise Unsettled(f"after {within_s} s: {dict(found)}\n{_stragglers(installation)}")
        await asyncio.sleep(0.2)


def _look(installation: PrivateInstallation) -> tuple[Counter[str], int]:
    ((waiting,),) = rows(installation, "SELECT COUNT(*) FROM {ledger}.callback_inbox WHERE status = 'NEW'")
    return states(installation), int(waiting)


def _stragglers(installation: PrivateInstallation) -> str:
    open_ones = rows(
        installation,
        "SELECT id, state, version, next_wake_at, data FROM {ledger}.transactions"
        " WHERE state NOT IN ('COMPLETED', 'REVERSED', 'FAILED', 'IN_REVIEW') LIMIT 5",
    )
    evidence = rows(
        installation,
        "SELECT id, shard, kind, operation_id, deliveries FROM {ledger}.callback_inbox WHERE status = 'NEW' LIMIT 5",
    )
    return "\n".join(str(row) for row in (*open_ones, *evidence))


def sums(installation: PrivateInstallation) -> dict[str, tuple[int, int]]:
    """Count and sum of postings by key, from the leg that meets the provider's account."""
    found = rows(
        installation,
        "SELECT p.posting_key, COUNT(*), CAST(SUM(ABS(e.amount_minor)) AS SIGNED) FROM {ledger}.postings p"
        " JOIN {ledger}.ledger_entries e ON e.posting_id = p.id"
        " JOIN {ledger}.accounts a ON a.id = e.account_id"
        " WHERE a.code IN ('mpesa_paybill', 'deriv_agent') AND p.posting_key <> 'opening'"
        " GROUP BY p.posting_key",
    )
    return {key: (int(count), int(total)) for key, count, total in found}
