"""The SQL invariants over rows that were made in memory."""

from penpay import invariants
from penpay.simulation.books.export import statements
from penpay.simulation.store.server import MemoryServer
from tests.harness.databases import MigratedDatabase


def sql_verdict(server: MemoryServer, database: MigratedDatabase) -> set[str]:
    """Names of the rules that SQL finds broken. The rows are gone afterwards: nothing of it is committed."""
    broken = set()
    with database.server.connect() as connection, connection.cursor() as cursor:
        # Broken rows are to be judged, not refused; and it is as late as the rows say.
        cursor.execute("SET check_constraint_checks = OFF")
        cursor.execute(f"SET timestamp = {server.now().timestamp():.6f}")
        cursor.execute("START TRANSACTION")
        for statement in statements(server, database.prefix):
            cursor.execute(statement)
        for name, query in invariants.queries(database.prefix).items():
            if cursor.execute(query):
                broken.add(name)
        cursor.execute("ROLLBACK")
    return broken
