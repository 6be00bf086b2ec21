"""Who owns a shard or a rail."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from penpay.adapters.database import Database
from penpay.adapters.lease_store import MySqlLeaseStore


@asynccontextmanager
async def process(database, *, node: str, boot_id: str, claim: bool = True):
    opened = Database(database.url, prefix=database.prefix)
    store = MySqlLeaseStore(opened, node=node, boot_id=boot_id)
    try:
        if claim:
            assert await store.claim_node()
        yield store
    finally:
        store.drop_claim()
        opened.close()


def fence(database, name="shard/1"):
    return database.rows("SELECT owner, epoch FROM {ledger}.fences WHERE name = %s", (name,))[0]


def expire(database):
    database.rows("UPDATE {ledger}.leases SET expires_at = NOW(6) - INTERVAL 1 MICROSECOND")


async def test_taking_a_lease_moves_its_fence(database):
    async with process(database, node="a", boot_id="a1") as a:
        lease = await a.acquire("shard/1")
        assert (lease.name, lease.epoch) == ("shard/1", 1)
        assert fence(database) == ("a1", 1)
        assert (await a.acquire("shard/1")).epoch == 2
        assert await a.acquire("shard/99") is None


async def test_another_node_waits_until_the_lease_has_expired(database):
    async with process(database, node="a", boot_id="a1") as a, process(database, node="b", boot_id="b1") as b:
        lease = await a.acquire("shard/1")
        assert await b.acquire("shard/1") is None
        assert (await a.renew(lease)).epoch == lease.epoch
        expire(database)
        assert (await a.renew(lease)) is not None, "nobody took it: still ours"
        expire(database)
        assert (await b.acquire("shard/1")).epoch == 2
        assert await a.renew(lease) is None
        assert fence(database) == ("b1", 2)


async def test_one_node_has_everything_or_nothing(database):
    async with process(database, node="a", boot_id="a1") as a, process(database, node="b", boot_id="b1") as b:
        shard, rail = await a.acquire("shard/1"), await a.acquire("rail/deriv")
        expire(database)
        await a.renew(rail)
        assert await b.acquire("shard/1") is None, "a rail of another node is still held"
        expire(database)
        assert await b.acquire("shard/1") is not None
        assert await a.renew(rail) is None, "it woke up late, and is not to keep what is left"
        assert await a.renew(shard) is None
        assert await a.acquire("rail/deriv") is None, "not even under its own name"
        assert await b.acquire("rail/deriv") is not None


async def test_two_nodes_that_wake_up_at_once_never_share(database):
    async with process(database, node="a", boot_id="a1") as a, process(database, node="b", boot_id="b1") as b:
        held = [await a.acquire(f"shard/{number}") for number in range(3)]
        for _ in range(10):
            expire(database)
            await asyncio.gather(
                *(a.renew(lease) for lease in held), *(b.acquire(f"shard/{number}") for number in range(3))
            )
            query = "SELECT COUNT(DISTINCT node) FROM {ledger}.leases WHERE state = 'OWNED' AND expires_at > NOW(6)"
            assert database.rows(query) == [(1,)]
            database.rows("UPDATE {ledger}.leases SET expires_at = NOW(6) - INTERVAL 1 MICROSECOND")
            held = [lease for number in range(3) if (lease := await a.acquire(f"shard/{number}"))]
            assert len(held) == 3


async def test_a_released_lease_is_free_at_once(database):
    async with process(database, node="a", boot_id="a1") as a, process(database, node="b", boot_id="b1") as b:
        lease = await a.acquire("rail/deriv")
        await a.release(lease)
        assert await a.renew(lease) is None
        taken = await b.acquire("rail/deriv")
        assert taken is not None
        await a.release(lease)
        assert await b.renew(taken) is not None, "a late release of a former owner changes nothing"


async def test_a_restarted_node_takes_its_own_leases_over_at_once(database):
    async with process(database, node="a", boot_id="a1") as before:
        lease = await before.acquire("shard/1")
        before.drop_claim()
        async with process(database, node="a", boot_id="a2") as after:
            taken = await after.acquire("shard/1")
            assert taken.epoch == lease.epoch + 1
            assert await before.renew(lease) is None


async def test_a_name_belongs_to_one_process(database):
    async with process(database, node="a", boot_id="a1") as a:
        lease = await a.acquire("shard/1")
        async with process(database, node="a", boot_id="a2", claim=False) as twin:
            assert await twin.claim_node() is False
            assert await twin.acquire("shard/1") is None
        assert await a.claim_node()
        assert await a.renew(lease) is not None


async def test_a_claim_ends_with_its_process_and_comes_back_after_a_database_restart(private_database):
    database = private_database
    async with process(database, node="a", boot_id="a1") as a:
        lease = await a.acquire("shard/1")
        await database.server.restart_async()
        assert await a.claim_node()
        assert (await a.renew(lease)).epoch == lease.epoch


async def test_an_epoch_never_comes_twice_although_ledgers_raise_it_too(database):
    async with process(database, node="a", boot_id="a1") as a:
        await a.acquire("shard/1")
        database.rows("UPDATE {ledger}.fences SET epoch = 40 WHERE name = 'shard/1'")
        assert (await a.acquire("shard/1")).epoch == 41


async def test_one_of_many_takers_gets_it(database):
    async with process(database, node="a", boot_id="a1") as a, process(database, node="b", boot_id="b1") as b:
        found = await asyncio.gather(*(store.acquire("shard/2") for store in (a, b)))
        assert sum(lease is not None for lease in found) == 1


@pytest.mark.parametrize("node", ["n", "n" * 40, "n" * 200])
async def test_a_long_name_still_fits_into_a_lock(database, node):
    async with process(database, node=node[:64], boot_id="x") as store:
        store._lock = store._lock_name(database.prefix, node)
        assert len(store._lock) <= 64
        assert await store.claim_node()
