"""What start-up refuses."""

import pytest

from penpay.adapters.database import Database
from penpay.adapters.server_check import login_problems, server_advice, server_problems


@pytest.fixture
async def runtime(database):
    opened = Database(database.url, prefix=database.prefix)
    yield opened
    opened.close()


@pytest.fixture
async def admin(database):
    opened = Database(database.admin_url, prefix=database.prefix)
    yield opened
    opened.close()


async def test_a_server_that_keeps_commits_and_the_runtime_login_pass(runtime):
    assert await server_problems(runtime) == []
    assert await login_problems(runtime) == []


@pytest.mark.parametrize(
    ("setting", "value", "before"),
    [
        ("innodb_flush_log_at_trx_commit", "2", "1"),
        ("read_only", "1", "0"),
        ("max_allowed_packet", "1048576", "67108864"),
    ],
)
async def test_a_setting_that_could_lose_a_commit_is_named(private_database, setting, value, before):
    database = Database(private_database.admin_url, prefix=private_database.prefix)
    private_database.rows(f"SET GLOBAL {setting} = {value}")
    found = await server_problems(database)
    assert len(found) == 1
    assert setting in found[0]
    private_database.rows(f"SET GLOBAL {setting} = {before}")
    assert await server_problems(database) == []
    database.close()


async def test_what_many_servers_have_off_is_advised_and_not_refused(private_database):
    database = Database(private_database.admin_url, prefix=private_database.prefix)
    private_database.rows("SET GLOBAL innodb_snapshot_isolation = 0")
    assert await server_problems(database) == []
    assert "innodb_snapshot_isolation" in (await server_advice(database))[0]
    private_database.rows("SET GLOBAL innodb_snapshot_isolation = 1")
    assert await server_advice(database) == []
    database.close()


async def test_a_login_that_could_rewrite_history_is_named(admin):
    found = await login_problems(admin)
    assert any("penpay" in line or "ledger_entries" in line for line in found)
    assert len(found) == 6


@pytest.mark.parametrize(
    ("grant", "count"),
    [
        ("GRANT DELETE ON {ledger}.postings TO penpay_runtime@localhost", 1),
        ("GRANT UPDATE ON {ledger}.* TO penpay_runtime@localhost", 5),
        ("GRANT DROP, ALTER ON {audit}.audit_log TO penpay_runtime@localhost", 1),
        ("GRANT SELECT, INSERT ON {ledger}.units TO penpay_runtime@localhost", 0),
        ("GRANT UPDATE (balance_minor) ON {ledger}.accounts TO penpay_runtime@localhost", 0),
    ],
)
async def test_each_right_too_much_is_counted(database, runtime, grant, count):
    database.rows(grant)
    assert len(await login_problems(runtime)) == count
