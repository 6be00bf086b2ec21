"""Evidence: stored once, sealed, before anybody is told."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from penpay.adapters.database import Database
from penpay.adapters.inbox_store import MySqlInboxStore
from penpay.domain.errors import Unavailable
from penpay.messages import InboxRow
from tests.ledger.house import fresh_id, opened, plain, sealer


@pytest.fixture
async def store(database):
    opened_database = Database(database.url, prefix=database.prefix)
    yield MySqlInboxStore(opened_database, sealer())
    opened_database.close()


def callback(**changes) -> InboxRow:
    fields = {
        "id": fresh_id(),
        "shard": 3,
        "kind": "stk",
        "operation_id": fresh_id(),
        "body": b'{"phone":"254712345678"}',
        "trusted_source": True,
        "received_at": datetime.now(UTC),
    }
    return InboxRow(**fields | changes)


SOON = timedelta(hours=1)


async def test_a_body_is_never_readable_in_the_database(store, database):
    row = callback()
    await store.add(row, dedupe_key="a", source="")
    stored = database.rows("SELECT sealed_body FROM {ledger}.callback_inbox")[0][0]
    assert b"254712345678" not in stored


async def test_a_body_that_was_moved_or_altered_proves_nothing(store, database):
    one, other = callback(), callback()
    await store.add(one, dedupe_key="1", source="")
    await store.add(other, dedupe_key="2", source="")
    stored = database.rows("SELECT sealed_body FROM {ledger}.callback_inbox WHERE id = %s", (other.id,))[0][0]
    database.rows("UPDATE {ledger}.callback_inbox SET sealed_body = %s WHERE id = %s", (stored, one.id))
    waiting = await store.waiting(3, older_than=datetime.now(UTC) + SOON, limit=10)
    assert [row.body for row in waiting] == [b"", other.body]


async def test_many_callbacks_at_once_share_few_writes(store, database):
    before = database.rows("SHOW GLOBAL STATUS LIKE 'Com_insert'")[0][1]
    rows = [callback() for _ in range(200)]
    assert all(await asyncio.gather(*(store.add(row, dedupe_key=row.id, source="") for row in rows)))
    writes = int(database.rows("SHOW GLOBAL STATUS LIKE 'Com_insert'")[0][1]) - int(before)
    assert writes <= 4
    assert database.rows("SELECT COUNT(*) FROM {ledger}.callback_inbox") == [(200,)]


async def test_a_caller_that_left_does_not_take_its_row_along(store, database):
    row = callback()
    caller = asyncio.create_task(store.add(row, dedupe_key="k", source=""))
    await asyncio.sleep(0)
    caller.cancel()
    assert await store.add(callback(), dedupe_key="other", source="")
    assert (row.id,) in database.rows("SELECT id FROM {ledger}.callback_inbox")


async def test_without_a_database_it_says_so_and_comes_back(private_database):
    database = private_database
    opened_database = Database(database.url, prefix=database.prefix)
    store = MySqlInboxStore(opened_database, sealer())
    assert await store.add(callback(), dedupe_key="1", source="")
    await database.server.stop_async()
    with pytest.raises(Unavailable):
        await store.add(callback(), dedupe_key="2", source="")
    await database.server.start_async()
    assert await store.add(callback(), dedupe_key="2", source="")
    opened_database.close()


async def test_evidence_is_stored_while_every_other_connection_is_busy(database):
    async with opened(database.url, prefix=database.prefix) as ledger:
        store = MySqlInboxStore(ledger.database, sealer())
        with database.server.connect() as admin, admin.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"SELECT * FROM {database.schema('ledger')}.fences FOR UPDATE")
            stuck = asyncio.create_task(ledger.commit(plain(), timeout_s=60))
            row = callback()
            assert await store.add(row, dedupe_key=row.id, source="")
            assert not stuck.done()
            cursor.execute("ROLLBACK")
        await stuck
