"""S35: the login that a node works with owns nothing, only adds to history, and a node refuses one that may do more.

Tried on a running installation, on whose tables it is working at the same moment.
"""

import asyncio
import os
import subprocess
import sys

import pymysql
import pytest

from tests.config.test_settings import PRODUCTION
from tests.faults.stage import Stage

ADDED_TO = {
    "penpay_ledger.units": "unit_id",
    "penpay_ledger.postings": "unit_id",
    "penpay_ledger.ledger_entries": "line",
    "penpay_ledger.transaction_events": "seq",
    "penpay_ledger.provider_references": "ref",
    "penpay_ledger.quotes": "id",
    "penpay_ledger.withdrawal_codes": "id",
    "penpay_ledger.answers": "route",
    "penpay_ledger.outbox": "seq",
    "penpay_ledger.dead_letters": "id",
    "penpay_audit.audit_log": "seq",
    "penpay_users.kyc_snapshots": "version",
}
"""Tables whose rows are added and nothing else, each with a column to try."""
STATEMENTS = (
    "UPDATE {table} SET {column} = {column}",
    "DELETE FROM {table}",
    "REPLACE INTO {table} SELECT * FROM {table} LIMIT 1",
    "INSERT INTO {table} SELECT * FROM {table} LIMIT 1 ON DUPLICATE KEY UPDATE {column} = VALUES({column})",
    "TRUNCATE TABLE {table}",
    "DROP TABLE {table}",
    "ALTER TABLE {table} ADD COLUMN x INT",
    "RENAME TABLE {table} TO {table}_old",
    "CREATE TRIGGER {table}_t BEFORE INSERT ON {table} FOR EACH ROW SET @x = 1",
    "LOAD DATA INFILE '/etc/hostname' INTO TABLE {table}",
)
DENIED = {1044, 1045, 1142, 1143, 1227, 1370, 1410}


def tried(stage: Stage, statement: str) -> int:
    """The server's refusal of a statement by the runtime login; 0 when it obeyed."""
    with stage.installation.mariadb.connect("runtime") as connection, connection.cursor() as cursor:
        try:
            cursor.execute(statement)
        except pymysql.err.MySQLError as error:
            return int(error.args[0])
        finally:
            connection.rollback()
    return 0


@pytest.mark.parametrize("table", ADDED_TO)
async def test_history_is_added_to_and_nothing_else(stage: Stage, table: str):
    refusals = {one: tried(stage, one.format(table=table, column=ADDED_TO[table])) for one in STATEMENTS}
    assert {one: code for one, code in refusals.items() if code not in DENIED} == {}


async def test_every_table_that_is_only_added_to_is_tried(stage: Stage):
    """What the grants say, not what this file believes."""
    grants = stage.rows(
        "SELECT table_schema, table_name, privilege_type FROM information_schema.table_privileges"
        " WHERE grantee LIKE '%%runtime%%'"
    )
    rights: dict[str, set[str]] = {}
    for schema, table, right in grants:
        rights.setdefault(f"{schema}.{table}", set()).add(right)
    columns = {
        f"{schema}.{table}"
        for schema, table in stage.rows(
            "SELECT DISTINCT table_schema, table_name FROM information_schema.column_privileges"
            " WHERE grantee LIKE '%%runtime%%' AND privilege_type = 'UPDATE'"
        )
    }
    assert {table for table, right in rights.items() if right == {"INSERT"} and table not in columns} == set(ADDED_TO)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE penpay_ledger.accounts SET user_id = ''",
        "UPDATE penpay_ledger.transactions SET send_minor = 1",
        "UPDATE penpay_ledger.provider_operations SET amount_minor = 1",
        "UPDATE penpay_ledger.callback_inbox SET sealed_body = ''",
        "DELETE FROM penpay_ledger.callback_inbox",
        "DELETE FROM penpay_ledger.transactions",
        "DROP TRIGGER penpay_ledger.postings_no_update",
        "DROP DATABASE penpay_audit",
        "CREATE TABLE penpay_users.x (a INT)",
        "CREATE USER thief@localhost",
        "GRANT ALL ON penpay_ledger.* TO CURRENT_USER",
        "SET GLOBAL innodb_flush_log_at_trx_commit = 0",
        "SELECT LOAD_FILE('/etc/passwd') INTO OUTFILE '/tmp/x'",
        "SELECT * FROM mysql.user",
    ],
)
async def test_it_owns_nothing(stage: Stage, statement: str):
    assert tried(stage, statement) in {*DENIED, 1698}, statement


async def test_a_node_in_production_refuses_a_login_that_may_rewrite_history(stage: Stage):
    """With the administrator's login in the place of the runtime's: one line, and no start."""
    environment = {
        **PRODUCTION,
        "PATH": os.environ["PATH"],
        "HOME": str(stage.installation.folder),
        "PENPAY_DATABASE__URL": stage.installation.mariadb.url("admin"),
        "PENPAY_REDIS__URL": stage.installation.redis.url(),
        "PENPAY_NODE__SHARDS": stage.installation.environment["PENPAY_NODE__SHARDS"],
        "PENPAY_NODE__NAME": "too-mighty",
        "PENPAY_DARAJA__CERTIFICATE": stage.installation.environment["PENPAY_DARAJA__CERTIFICATE"],
    }
    ended = await asyncio.to_thread(serve, environment)
    said = ended.stdout + ended.stderr
    assert ended.returncode != 0
    assert "the runtime login has" in said, said
    assert "Traceback" not in said


def serve(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "penpay", "serve"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
