"""F88: somebody changes the books by hand."""

import pymysql
import pytest

from penpay.data import data_dir
from penpay.stack import ProcessFailed
from tests.faults.stage import Stage

FORGERIES = (
    "UPDATE penpay_ledger.ledger_entries SET amount_minor = 1",
    "DELETE FROM penpay_ledger.postings",
    "TRUNCATE TABLE penpay_ledger.postings",
    "DROP TABLE penpay_audit.audit_log",
    "ALTER TABLE penpay_ledger.units ADD COLUMN more INT",
    "DROP TRIGGER penpay_ledger.postings_no_update",
)


@pytest.mark.parametrize("statement", FORGERIES, ids=lambda text: text.split(" ")[0].lower() + str(len(text)))
async def test_the_nodes_own_login_may_not(stage: Stage, statement: str) -> None:
    runtime = stage.installation.mariadb.connect("runtime")
    with runtime as connection, connection.cursor() as cursor, pytest.raises(pymysql.MySQLError) as denied:
        cursor.execute(statement)
    assert denied.value.args[0] in {1044, 1142, 1143, 1227, 1370}


async def test_an_administrator_meets_a_trigger_and_then_the_chain(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who)
    await stage.reaches(deposit, "COMPLETED")
    key = "UPDATE {ledger}.postings SET posting_key = %s WHERE transaction_id = %s AND posting_key = %s"
    with pytest.raises(pymysql.MySQLError) as stopped:
        stage.rows(key, "done-", deposit, "done")
    assert stopped.value.args[0] == 1644
    stage.rows("DROP TRIGGER {ledger}.postings_no_update")
    try:
        stage.rows(key, "done-", deposit, "done")
        with pytest.raises(ProcessFailed):
            stage.installation.run("audit", "verify")
        stage.rows(key, "done", deposit, "done-")
    finally:
        made = (data_dir("sql") / "migrations" / "102_postings_no_update.sql").read_text()
        stage.rows(made.rstrip().removesuffix(";").replace("%", "%%"))
    stage.installation.run("audit", "verify")
