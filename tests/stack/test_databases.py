import pymysql
import pytest


def test_a_fresh_database_is_migrated_and_empty(database):
    assert database.rows("SELECT id, shards FROM {ledger}.installation") == [
        (database.installation_id, database.shards)
    ]
    assert database.rows("SELECT COUNT(*) FROM {ledger}.units") == [(0,)]


def test_two_databases_on_one_server_do_not_meet(database, module_database):
    assert database.prefix != module_database.prefix
    assert database.installation_id != module_database.installation_id


def test_the_runtime_login_may_not_change_what_was_written(database):
    with database.server.connect("runtime") as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {database.schema('ledger')}.postings")
        with pytest.raises(pymysql.err.OperationalError, match="DELETE command denied"):
            cursor.execute(f"DELETE FROM {database.schema('ledger')}.postings")


async def test_a_private_database_survives_its_servers_death(private_database):
    private_database.server.kill()
    await private_database.server.start_async()
    assert private_database.rows("SELECT id FROM {ledger}.installation") == [(private_database.installation_id,)]
