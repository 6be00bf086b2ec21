"""S36: behind the rights stands a second lock: triggers refuse to change or remove history, for whoever has the rights.

TRUNCATE, DROP and RENAME are stopped by rights alone (S35), and what slips past both is found by the chains (S33).
"""

import pymysql
import pytest

from tests.faults.stage import Stage

LOCKED = {
    "penpay_ledger.units": ("unit_id", "DELETE"),
    "penpay_ledger.postings": ("seq", "DELETE"),
    "penpay_ledger.ledger_entries": ("line", "DELETE"),
    "penpay_ledger.transaction_events": ("seq", "DELETE"),
    "penpay_ledger.provider_references": ("ref", "DELETE"),
    "penpay_audit.audit_log": ("seq", "DELETE"),
    "penpay_users.kyc_snapshots": ("version", "DELETE"),
    # These are taken away when their time is over, but never changed.
    "penpay_ledger.answers": ("route", ""),
    "penpay_ledger.outbox": ("seq", ""),
    "penpay_ledger.quotes": ("id", ""),
    "penpay_ledger.dead_letters": ("id", ""),
}
SIGNALLED = 1644


def refusal(stage: Stage, table: str, statement: str) -> int:
    """As the administrator, on a row that is surely there; nothing of it stays."""
    with stage.installation.mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION autocommit = 0, sql_mode = '', check_constraint_checks = 0")
        cursor.execute(f"INSERT IGNORE INTO {table} () VALUES ()")
        try:
            cursor.execute(statement)
        except pymysql.err.MySQLError as error:
            return int(error.args[0])
        finally:
            connection.rollback()
    return 0


@pytest.mark.parametrize("table", LOCKED)
async def test_history_is_not_changed_even_by_an_administrator(stage: Stage, table: str):
    column, removal = LOCKED[table]
    changes = [
        f"UPDATE {table} SET {column} = {column} LIMIT 1",
        f"INSERT INTO {table} SELECT * FROM {table} LIMIT 1 ON DUPLICATE KEY UPDATE {column} = VALUES({column})",
    ]
    if removal:
        changes += [f"DELETE FROM {table} LIMIT 1", f"REPLACE INTO {table} SELECT * FROM {table} LIMIT 1"]
    assert {one: refusal(stage, table, one) for one in changes} == dict.fromkeys(changes, SIGNALLED)


async def test_every_trigger_of_the_installation_was_tried(stage: Stage):
    found = stage.rows(
        "SELECT CONCAT(event_object_schema, '.', event_object_table), event_manipulation"
        " FROM information_schema.triggers WHERE trigger_schema LIKE 'penpay%%'"
    )
    tried = {(table, "UPDATE") for table in LOCKED} | {(table, "DELETE") for table, (_, how) in LOCKED.items() if how}
    assert set(found) == tried


async def test_no_foreign_key_removes_rows_by_itself(stage: Stage):
    found = stage.rows(
        "SELECT table_name, constraint_name FROM information_schema.referential_constraints"
        " WHERE constraint_schema LIKE 'penpay%%' AND (delete_rule <> 'RESTRICT' OR update_rule <> 'RESTRICT')"
    )
    assert found == []
