"""The simulation's rows as statements for a migrated, empty database: there the SQL invariants can judge them too."""

from collections.abc import Iterator

from penpay.adapters.sql_text import literal, row, with_schemas
from penpay.simulation.store.server import MemoryServer
from penpay.simulation.store.tables import Table

AUDIT_TABLES = frozenset({"audit_log"})
ROWS_MAX = 500
"""Rows of one statement."""


def statements(server: MemoryServer, prefix: str) -> Iterator[str]:
    """For a login that may write everything. Rows that a migration has seeded are replaced."""
    at = literal(server.installed_at)
    yield with_schemas(f"UPDATE {{ledger}}.installation SET created_at = {at}", prefix)  # noqa: S608 - our own time
    for name, table in server.schema.tables().items():
        rows = list(_rows(table))
        for first in range(0, len(rows), ROWS_MAX):
            some = ", ".join(rows[first : first + ROWS_MAX])
            schema = "{audit}" if name in AUDIT_TABLES else "{ledger}"
            columns = ", ".join(_columns(table))
            yield with_schemas(f"REPLACE INTO {schema}.{name} ({columns}) VALUES {some}", prefix)  # noqa: S608 - values are literals


def _columns(table: Table[object]) -> list[str]:
    return [column for column in table.spec.shape.columns if column in table.spec.paths or column in _UNKEPT]


_UNKEPT = {"conn_id": 0}
"""Columns that say nothing about the business and have no default."""


def _rows(table: Table[object]) -> Iterator[str]:
    spec = table.spec
    columns = _columns(table)
    nullable = {column for column in columns if spec.shape.columns[column].nullable}
    for stored in table:
        values = dict(zip(spec.paths, spec.values(stored), strict=True)) | {
            column: value for column, value in _UNKEPT.items() if column in columns
        }
        yield row(*(None if values[column] == "" and column in nullable else values[column] for column in columns))
