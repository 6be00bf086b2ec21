"""The SQL invariants, of rows that were made in memory or that are in the database already."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from penpay.invariants import questions
from penpay.simulation.books.export import statements
from penpay.simulation.store.server import MemoryServer
from tests.harness.databases import MigratedDatabase


def sql_verdict(server: MemoryServer, database: MigratedDatabase, *, stored: bool = False) -> set[str]:
    """Names of the rules that SQL finds broken at the time of this server.

    Unless the rows are `stored` already they are exported first, and are gone afterwards.
    """
    with _late(server, database) as cursor:
        for statement in () if stored else statements(server, database.prefix):
            cursor.execute(statement)
        found = {name for name, query in questions.queries(database.prefix).items() if cursor.execute(query)}
        cursor.execute("ROLLBACK")
    return found


def news_verdict(server: MemoryServer, database: MigratedDatabase) -> set[str]:
    """The same where every row is new and every transaction was touched."""
    with _late(server, database) as cursor:
        for statement in statements(server, database.prefix):
            cursor.execute(statement)
        heads = [
            questions.Head(fence.name, fence.chain_seq, fence.audit_seq, 99)
            for fence in server.schema.fences
            if fence.name.startswith("shard/")
        ]
        spans = [(questions.Head(head.chain, 0, 0, 0), head) for head in heads]
        ids = [stored.row.id for stored in server.schema.transactions]
        asked = [
            *questions.of_commits(database.prefix, spans),
            *questions.of_chains(database.prefix, spans),
            *questions.of_transactions(database.prefix, ids),
        ]
        found = {name for name, query in asked if cursor.execute(query)}
        cursor.execute("ROLLBACK")
    return found


@contextmanager
def _late(server: MemoryServer, database: MigratedDatabase) -> Iterator[Any]:
    with database.server.connect() as connection, connection.cursor() as cursor:
        # Broken rows are to be judged, not refused; and it is as late as the rows say.
        cursor.execute("SET check_constraint_checks = OFF")
        cursor.execute(f"SET timestamp = {server.now().timestamp():.6f}")
        cursor.execute("START TRANSACTION")
        yield cursor
