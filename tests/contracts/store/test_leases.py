"""Who owns a shard or a rail, by the server's clock."""

import asyncio
from datetime import UTC, datetime

import pytest

from penpay.domain.errors import Unavailable
from penpay.ports import Lease


def fence(stage, name="shard/1"):
    (row,) = [row for row in stage.stored("fences") if row["name"] == name]
    return row["owner"], row["epoch"]


async def claimed(stage, node):
    """As a node does at its start: a server takes a moment to notice that the name's last holder has gone."""
    process = stage.process(node)
    async with asyncio.timeout(20):
        while not await process.leases.claim_node():
            await asyncio.sleep(0.05)
    return process


async def test_taking_a_lease_moves_its_fence(stage):
    a = await claimed(stage, "a")
    lease = await a.leases.acquire("shard/1")
    assert (lease.name, lease.epoch) == ("shard/1", 1)
    assert fence(stage) == (a.boot_id, 1)
    assert (await a.leases.acquire("shard/1")).epoch == 2
    assert await a.leases.acquire("shard/99") is None


async def test_another_node_waits_until_the_lease_has_expired(stage):
    a, b = await claimed(stage, "a"), await claimed(stage, "b")
    lease = await a.leases.acquire("shard/1")
    assert await b.leases.acquire("shard/1") is None
    assert (await a.leases.renew(lease)).epoch == lease.epoch
    stage.expire("shard/1")
    assert await a.leases.renew(lease) is not None, "nobody took it: still ours"
    stage.expire("shard/1")
    assert (await b.leases.acquire("shard/1")).epoch == 2
    assert await a.leases.renew(lease) is None
    assert fence(stage) == (b.boot_id, 2)


async def test_a_released_lease_is_free_at_once_and_a_late_release_changes_nothing(stage):
    a, b = await claimed(stage, "a"), await claimed(stage, "b")
    lease = await a.leases.acquire("rail/deriv")
    await a.leases.release(lease)
    assert await a.leases.renew(lease) is None
    assert fence(stage, "rail/deriv") == (a.boot_id, 1), "only the next owner changes the fence"
    taken = await b.leases.acquire("rail/deriv")
    assert taken is not None
    await a.leases.release(lease)
    assert await b.leases.renew(taken) is not None


async def test_whoever_leaves_gives_back_all_of_its_own_and_nothing_else(stage):
    a, b = await claimed(stage, "a"), await claimed(stage, "b")
    # Of one of them nobody was told: whoever asked for it had been told to leave meanwhile.
    told = [await a.leases.acquire(name) for name in ("rail/deriv", "shard/1")]
    await a.leases.acquire("shard/2")
    await b.leases.leave()
    assert all([await a.leases.renew(lease) for lease in told])
    await a.leases.leave()
    assert [row["name"] for row in stage.stored("leases") if row["state"] == "OWNED"] == []
    assert await b.leases.acquire("shard/2") is not None
    await a.leases.leave()
    assert [row["name"] for row in stage.stored("leases") if row["state"] == "OWNED"] == ["shard/2"]


async def test_a_restarted_node_takes_its_own_leases_over_at_once(stage):
    before = await claimed(stage, "a")
    lease = await before.leases.acquire("shard/1")
    before.leases.drop_claim()
    after = await claimed(stage, "a")
    assert (await after.leases.acquire("shard/1")).epoch == lease.epoch + 1
    assert await before.leases.renew(lease) is None


async def test_a_name_belongs_to_one_process(stage):
    a, twin = await claimed(stage, "a"), stage.process("a")
    lease = await a.leases.acquire("shard/1")
    assert await twin.leases.claim_node() is False
    assert await twin.leases.acquire("shard/1") is None
    assert await a.leases.claim_node(), "asking again is no loss"
    assert await a.leases.renew(lease) is not None
    twin.leases.drop_claim()
    assert not await twin.leases.claim_node(), "a stranger cannot give it back"


async def test_an_epoch_never_comes_twice_although_ledgers_raise_it_too(stage):
    a = await claimed(stage, "a")
    await a.leases.acquire("shard/1")
    for _ in range(3):
        assert await a.ledger.take_fence(1) is not None
    assert (await a.leases.acquire("shard/1")).epoch == 5


async def test_one_of_many_takers_gets_it(stage):
    processes = [await claimed(stage, node) for node in "abcd"]
    found = await asyncio.gather(*(process.leases.acquire("shard/2") for process in processes))
    assert sum(lease is not None for lease in found) == 1


async def test_the_local_deadline_lies_before_the_lease_s_own(stage):
    a = await claimed(stage, "a")
    asked_s = asyncio.get_running_loop().time()
    lease = await a.leases.acquire("shard/1")
    answered_s = asyncio.get_running_loop().time()
    assert asked_s + 12 <= lease.deadline_s <= answered_s + 12
    assert (await a.leases.renew(lease)).deadline_s > lease.deadline_s


async def test_one_node_has_everything_or_nothing(stage):
    a, b = await claimed(stage, "a"), await claimed(stage, "b")
    lease = await a.leases.acquire("shard/1")
    assert await b.leases.acquire("shard/2") is None
    stage.expire("shard/1")
    taken = await b.leases.acquire("shard/2")
    assert taken is not None
    assert await a.leases.renew(lease) is None, "ours, but no use beside a rail or shard elsewhere"
    assert await a.leases.acquire("shard/1") is None
    await b.leases.release(taken)
    assert (await a.leases.renew(lease)).epoch == lease.epoch


async def test_two_nodes_that_wake_up_at_once_never_share(stage):
    a, b = await claimed(stage, "a"), await claimed(stage, "b")
    names = [f"shard/{number}" for number in range(3)]
    held = [await a.leases.acquire(name) for name in names]
    for _ in range(4):
        for name in names:
            stage.expire(name)
        await asyncio.gather(*map(a.leases.renew, held), *map(b.leases.acquire, names))
        now = datetime.now(UTC).replace(tzinfo=None)
        living = {row["node"] for row in stage.stored("leases") if row["state"] == "OWNED" and row["expires_at"] > now}
        assert len(living) == 1
        for name in names:
            stage.expire(name)
        held = [lease for name in names if (lease := await a.leases.acquire(name))]
        assert len(held) == 3


@pytest.mark.parametrize("effect", [True, False])
async def test_a_lost_answer_of_a_takeover_costs_an_epoch_at_most(stage, effect):
    a = await claimed(stage, "a")
    a.lose("leases.acquire", effect=effect)
    lease = await a.leases.acquire("shard/1")
    assert lease.epoch == 1 + effect
    assert fence(stage) == (a.boot_id, lease.epoch)


async def test_an_epoch_of_the_past_renews_nothing(stage):
    a = await claimed(stage, "a")
    lease = await a.leases.acquire("shard/1")
    assert await a.leases.renew(Lease("shard/1", lease.epoch - 1, 0.0)) is None
    assert await a.leases.renew(Lease("shard/2", 0, 0.0)) is None


@pytest.mark.parametrize("point", ["leases.acquire", "leases.renew", "leases.release"])
async def test_who_cannot_reach_the_database_is_told_so(stage, point):
    a = await claimed(stage, "a")
    lease = await a.leases.acquire("shard/1")
    a.lose(point, effect=False, times=5)
    call = getattr(a.leases, point.removeprefix("leases."))
    with pytest.raises(Unavailable):
        await call("shard/1" if point == "leases.acquire" else lease)
    assert await a.leases.renew(lease) is not None
