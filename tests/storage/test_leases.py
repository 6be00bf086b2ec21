"""Names of nodes as locks of the server. Who owns what is in tests/contracts/store."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from penpay.adapters.database import Database
from penpay.adapters.lease_store import MySqlLeaseStore


@asynccontextmanager
async def process(database, *, node: str, boot_id: str):
    opened = Database(database.url, prefix=database.prefix)
    store = MySqlLeaseStore(opened, node=node, boot_id=boot_id)
    try:
        assert await store.claim_node()
        yield store
    finally:
        store.drop_claim()
        opened.close()


async def test_a_claim_ends_with_its_process_and_comes_back_after_a_database_restart(private_database):
    database = private_database
    async with process(database, node="a", boot_id="a1") as a:
        lease = await a.acquire("shard/1")
        await database.server.restart_async()
        assert await a.claim_node()
        assert (await a.renew(lease)).epoch == lease.epoch


async def test_what_a_take_in_flight_gets_is_given_back_as_well(database):
    """The node was told to leave between a COMMIT and its answer; here the COMMIT itself is still to come."""
    async with process(database, node="a", boot_id="a1") as a:
        with database.server.connect() as connection, connection.cursor() as cursor:
            connection.begin()
            leases = f"{database.prefix}ledger.leases"
            cursor.execute(f"UPDATE {leases} SET owner = 'a1', node = 'a', state = 'OWNED' WHERE name = 'shard/1'")
            leaving = asyncio.create_task(a.leave())
            await asyncio.sleep(0.2)
            connection.commit()
        await leaving
    assert database.rows("SELECT state FROM {ledger}.leases WHERE name = 'shard/1'") == [("FREE",)]


@pytest.mark.parametrize("node", ["n", "n" * 40, "n" * 200])
async def test_a_long_name_still_fits_into_a_lock(database, node):
    async with process(database, node=node[:64], boot_id="x") as store:
        store._lock = store._lock_name(database.prefix, node)
        assert len(store._lock) <= 64
        assert await store.claim_node()
