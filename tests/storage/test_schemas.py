"""Migrations, and what each login may do afterwards."""

import asyncio

import pymysql
import pytest

from penpay.adapters import migrations
from penpay.adapters.migrations import MigrationRefused, migrate, migration_files
from penpay.domain import deposit, withdrawal
from penpay.domain.errors import StoreError
from tests.ledger.house import fresh_id

APPEND_ONLY = {
    "ledger": ["units", "postings", "ledger_entries", "transaction_events", "provider_references"],
    "audit": ["audit_log"],
    "users": ["kyc_snapshots"],
}
DENIED = (1142, 1143, 1044, 1370)
TABLES = [(schema, table) for schema, tables in APPEND_ONLY.items() for table in tables]


def run(database, login, statement):
    for name in ("users", "ledger", "audit"):
        statement = statement.replace(f"{{{name}}}", database.schema(name))
    with database.server.connect(login) as connection, connection.cursor() as cursor:
        return cursor.execute(statement)


def arguments(database, **changes):
    return {
        "runtime_url": database.url,
        "prefix": database.prefix,
        "shards": database.shards,
        "new_installation_id": fresh_id(),
    } | changes


async def test_a_second_run_applies_nothing_and_keeps_the_installation(database):
    again = await migrate(database.admin_url, **arguments(database))
    assert again.applied == ()
    assert again.installation_id == database.installation_id
    names = [name for (name,) in database.rows("SELECT name FROM {ledger}.schema_migrations ORDER BY name")]
    assert names == [path.stem for path in migration_files()]


async def test_an_edited_file_is_refused(database):
    database.rows("UPDATE {ledger}.schema_migrations SET sha256 = REPEAT('0', 64) WHERE name = '021_units'")
    with pytest.raises(MigrationRefused, match="021_units was edited"):
        await migrate(database.admin_url, **arguments(database))


async def test_a_database_of_a_newer_version_is_refused(database):
    database.rows("INSERT INTO {ledger}.schema_migrations VALUES ('999_future', REPEAT('0', 64), NOW(6), 1)")
    with pytest.raises(MigrationRefused, match="999_future"):
        await migrate(database.admin_url, **arguments(database))


async def test_the_number_of_shards_is_for_ever(database):
    with pytest.raises(MigrationRefused, match="4 shards"):
        await migrate(database.admin_url, **arguments(database, shards=8))


async def test_a_run_that_died_between_a_statement_and_its_record_is_repeated(database):
    """Whichever statement it was."""
    names = tuple(path.stem for path in migration_files())
    database.rows("DELETE FROM {ledger}.schema_migrations")
    done = await migrate(database.admin_url, **arguments(database))
    assert done.applied == names


async def test_a_statement_that_the_server_refuses_is_not_taken_for_done(database):
    database.rows("DELETE FROM {ledger}.schema_migrations WHERE name = '519_sessions_recorded_index'")
    database.rows("DROP TABLE {users}.sessions")
    with pytest.raises(StoreError):
        await migrate(database.admin_url, **arguments(database))
    assert not database.rows("SELECT 1 FROM {ledger}.schema_migrations WHERE name = '519_sessions_recorded_index'")


async def test_two_runs_wait_for_each_other(database):
    both = await asyncio.gather(*(migrate(database.admin_url, **arguments(database)) for _ in range(2)))
    assert [done.applied for done in both] == [(), ()]


def test_every_file_holds_one_statement_and_says_why():
    for path in migration_files():
        body = path.read_text()
        assert body.startswith("-- "), path.name
        assert body.count(";\n") == 1, path.name
        assert body.rstrip().endswith(";"), path.name


async def test_the_allowed_edges_are_those_of_the_code(database):
    found = set(database.rows("SELECT from_state, to_state FROM {ledger}.allowed_edges WHERE type = 'DEPOSIT'"))
    assert found == deposit.edges()
    found = set(database.rows("SELECT from_state, to_state FROM {ledger}.allowed_edges WHERE type = 'WITHDRAWAL'"))
    assert found == withdrawal.edges()


async def test_every_shard_and_rail_has_its_rows(database):
    names = {f"shard/{number}" for number in range(4)} | set(migrations.RAILS)
    assert {name for (name,) in database.rows("SELECT name FROM {ledger}.leases")} == names
    assert {name for (name,) in database.rows("SELECT name FROM {ledger}.fences")} == names


@pytest.mark.parametrize(("schema", "table"), TABLES)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {table} SET {column} = {column}",
        "DELETE FROM {table}",
        "TRUNCATE TABLE {table}",
        "REPLACE INTO {table} SELECT * FROM {table}",
        "INSERT INTO {table} SELECT * FROM {table} ON DUPLICATE KEY UPDATE {column} = VALUES({column})",
        "ALTER TABLE {table} ADD COLUMN x INT",
        "DROP TABLE {table}",
        "RENAME TABLE {table} TO {table}_old",
        "CREATE TRIGGER {schema}.t BEFORE INSERT ON {table} FOR EACH ROW SET @x = 1",
        "DROP TRIGGER {schema}.{name}_no_update",
        "LOAD DATA INFILE '/etc/hostname' INTO TABLE {table}",
    ],
    ids=lambda statement: statement.split(" {")[0].lower().replace(" ", "-"),
)
def test_the_runtime_login_can_only_add_to_append_only_tables(module_database, schema, table, statement):
    column = "chain" if table == "audit_log" else "unit_id" if table in {"units", "postings"} else ""
    column = column or {"ledger_entries": "line", "transaction_events": "seq", "provider_references": "ref"}.get(
        table, "version"
    )
    full = f"{{{schema}}}.{table}"
    filled = statement.format(table=full, schema=f"{{{schema}}}", name=table, column=column)
    with pytest.raises(pymysql.err.MySQLError) as refused:
        run(module_database, "runtime", filled)
    assert refused.value.args[0] in {*DENIED, 1045}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {ledger}.accounts SET user_id = ''",
        "UPDATE {ledger}.transactions SET user_id = user_id",
        "UPDATE {ledger}.provider_operations SET amount_minor = 1",
        "UPDATE {ledger}.callback_inbox SET sealed_body = ''",
        "DELETE FROM {ledger}.callback_inbox",
        "DELETE FROM {ledger}.transactions",
        "INSERT INTO {ledger}.leases SELECT * FROM {ledger}.leases",
        "INSERT INTO {ledger}.allowed_edges VALUES ('DEPOSIT', 'a', 'b')",
        "UPDATE {ledger}.installation SET id = ''",
        "DROP DATABASE {ledger}",
        "CREATE TABLE {ledger}.x (a INT)",
        "GRANT ALL ON {ledger}.* TO nobody",
        "SET GLOBAL innodb_flush_log_at_trx_commit = 0",
    ],
)
def test_the_runtime_login_owns_nothing(module_database, statement):
    with pytest.raises(pymysql.err.MySQLError) as refused:
        run(module_database, "runtime", statement)
    assert refused.value.args[0] in {*DENIED, 1045, 1227, 1410}


@pytest.mark.parametrize(("schema", "table"), TABLES)
def test_triggers_are_a_second_lock_for_whoever_has_the_rights(database, schema, table):
    column = {
        "ledger_entries": "line",
        "transaction_events": "seq",
        "provider_references": "kind",
        "kyc_snapshots": "tier",
    }.get(table, "")
    column = column or ("seq" if table != "units" else "shard")
    with database.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION check_constraint_checks = 0, sql_mode = ''")
        cursor.execute(f"INSERT IGNORE INTO {database.schema(schema)}.{table} () VALUES ()")
        for change in (f"UPDATE {{}} SET {column} = {column}", "DELETE FROM {}"):
            with pytest.raises(pymysql.err.MySQLError) as refused:
                cursor.execute(change.format(f"{database.schema(schema)}.{table}"))
            assert refused.value.args[0] == 1644
