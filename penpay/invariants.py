"""What must hold of the books at any moment, as named queries that answer the rows which break them."""

import asyncio
from collections.abc import Mapping, Sequence

from penpay.adapters.database import PROOFS, Database
from penpay.adapters.sql_text import literal, parsed, with_schemas
from penpay.data import data_dir
from penpay.domain.review_kinds import HOLDING, WATCHED

ROWS_MAX = 20
"""Broken rows that are shown per invariant; the first ones tell enough."""


def queries(prefix: str) -> Mapping[str, str]:
    """Every invariant by name, for the schemas of one installation. Kinds of questions are the domain's to name."""
    found = parsed(data_dir("sql") / "invariants.sql")
    return {name: with_schemas(_with_kinds(statement), prefix) for name, statement in found.items()}


def _with_kinds(statement: str) -> str:
    return statement.replace("{holding}", literal(sorted(HOLDING))).replace("{watched}", literal(sorted(WATCHED)))


async def check(
    database: Database, *, only: Sequence[str] = (), within_s: float = 0.0
) -> Mapping[str, Sequence[tuple[object, ...]]]:
    """Run all of them, or those named; broken rows by name, empty where the invariant holds. Raises `Unavailable`.

    `within_s` spreads them over about that time, so that whoever has to pay meanwhile does not wait for all at once.
    """
    statements = queries(database.prefix)
    broken: dict[str, Sequence[tuple[object, ...]]] = {}
    for name, statement in statements.items():
        if not only or name in only:
            await asyncio.sleep(within_s / len(statements))
            some = f"SELECT * FROM ({statement}) broken LIMIT {ROWS_MAX}"  # noqa: S608 - both parts are our own
            broken[name] = await database.rows(some, lane=PROOFS)
    return broken
