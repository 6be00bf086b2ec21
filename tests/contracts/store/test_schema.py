"""The memory knows the schema: columns, widths, keys and constraints are those of the migrations."""

from datetime import UTC, datetime

import pytest

from penpay.simulation.store import rows
from penpay.simulation.store.checks import CHECKS
from penpay.simulation.store.schema import Schema
from penpay.simulation.store.shapes import shapes

TABLES = Schema(shards=1, at=datetime(2026, 1, 1, tzinfo=UTC)).tables()
NOT_KEPT = {"leases": {"conn_id"}}
"""Columns that no port can ask for."""
ELSEWHERE = {
    *("installation", "allowed_edges", "audit_heads", "schema_migrations"),
}
"""Tables of the ledger and audit schemas that the simulated part of a node never touches."""


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_the_columns_of_its_migration(name):
    shape = shapes()[name]
    assert set(TABLES[name].spec.columns) | NOT_KEPT.get(name, set()) == shape.columns.keys()


@pytest.mark.parametrize("name", TABLES)
def test_a_table_checks_what_its_migration_checks(name):
    assert [check for check, _ in CHECKS.get(name, ())] == shapes()[name].checks


def test_every_kind_of_row_has_its_table():
    made = {value for value in vars(rows).values() if isinstance(value, type) and hasattr(value, "_fields")}
    assert len(made) == len(TABLES)


async def test_the_migrations_are_read_as_the_server_reads_them(contract_database):
    database = contract_database
    kept = {name: shape for name, shape in shapes().items() if name in TABLES}
    placed = {database.schema("ledger"), database.schema("audit")}
    found = database.rows(
        "SELECT table_schema, table_name, column_name, character_maximum_length, character_set_name, is_nullable"
        " FROM information_schema.columns WHERE table_schema IN ({}, {})".format(*(f"'{name}'" for name in placed))
    )
    tables = {table for schema, table, *_ in found}
    assert tables - kept.keys() == ELSEWHERE
    for _, table, name, width, charset, nullable in found:
        if table in kept:
            column = kept[table].columns[name]
            assert column.nullable == (nullable == "YES"), (table, name)
            if column.width:
                assert (column.width, column.ascii) == (width, charset == "ascii"), (table, name)


async def test_keys_are_looked_at_in_the_order_of_the_server(contract_database):
    database = contract_database
    found = database.rows(
        "SELECT table_name, index_name, GROUP_CONCAT(column_name ORDER BY seq_in_index)"
        " FROM information_schema.statistics WHERE table_schema IN (%s, %s) AND non_unique = 0"
        " GROUP BY table_name, index_name",
        (database.schema("ledger"), database.schema("audit")),
    )
    keys = {(table, index): tuple(columns.split(",")) for table, index, columns in found if table in TABLES}
    ours = {(name, key): columns for name in TABLES for key, columns in shapes()[name].keys.items()}
    assert ours == keys
    assert all(next(iter(shapes()[name].keys)) == "PRIMARY" for name in TABLES)
