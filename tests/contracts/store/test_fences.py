"""Whoever holds the fence writes, one at a time; whoever lost it writes nothing."""

import asyncio
from contextlib import suppress

import pytest

from penpay.domain.errors import StoreError
from penpay.ports import ConnectionLost, Deadlock, LockTimeout
from penpay.ports_ledger import Found, Wanted
from tests.contracts.store.planning import Known, owner_of, planned, recorded
from tests.ledger.house import plain


async def opened(process, wanted=None):
    """A transaction that is open, and what closes it."""
    context = process.ledger.transaction(0)
    transaction = await context.__aenter__()
    fence, _ = await transaction.open(wanted or Wanted())
    return context, transaction, fence


async def opened_at_last(process):
    """A pool may hold more connections that are cut already."""
    while True:
        with suppress(ConnectionLost):
            return await opened(process)


async def closed(context) -> None:
    await context.__aexit__(None, None, None)


def batch(process, fence, unit=None):
    return planned(process.ledger, fence, [unit or plain()], heads=fence.heads, known=Known())


async def test_the_fence_names_its_owner_and_every_incarnation_has_an_epoch_of_its_own(stage):
    process = await owner_of(stage)
    first, second = await process.ledger.take_fence(0), await process.ledger.take_fence(0)
    assert (first.owner, second.owner) == (process.boot_id, process.boot_id)
    assert second.epoch == first.epoch + 1
    assert first.heads == second.heads
    assert first.server == second.server != ""


async def test_a_fence_of_somebody_else_is_not_taken(stage):
    process, stranger = await owner_of(stage), stage.process("b")
    before = stage.stored("fences")
    assert await stranger.ledger.take_fence(0) is None
    assert await process.ledger.take_fence(1) is None, "without a lease nobody owns it"
    assert stage.stored("fences") == before


async def test_the_heads_that_were_committed_are_those_that_the_next_one_finds(stage):
    process = await owner_of(stage)
    fence = await process.ledger.take_fence(0)
    context, transaction, fence = await opened(process)
    made = batch(process, fence)
    await transaction.commit(made)
    await closed(context)
    context, _, after = await opened(process)
    await closed(context)
    assert after.heads == made.heads != fence.heads


async def test_a_second_transaction_waits_until_the_first_has_ended(stage):
    process = await owner_of(stage)
    context, transaction, fence = await opened(process)
    second = asyncio.create_task(opened(process))
    await stage.someone_waits()
    made = batch(process, fence)
    await transaction.commit(made)
    await closed(context)
    context, _, after = await second
    assert after.heads == made.heads
    await closed(context)


async def test_who_waits_gets_the_fence_in_the_order_of_asking(stage):
    process = await owner_of(stage)
    context, _, _ = await opened(process)
    order: list[int] = []

    async def take(number: int) -> None:
        mine, _, _ = await opened(process)
        order.append(number)
        await closed(mine)

    tasks = []
    for number in range(2):
        tasks.append(asyncio.create_task(take(number)))
        await stage.someone_waits(number + 1)
    await closed(context)
    await asyncio.gather(*tasks)
    assert order == [0, 1]


async def test_a_transaction_that_is_left_leaves_nothing_and_lets_the_next_one_in(stage):
    process = await owner_of(stage)
    context, _, fence = await opened(process)
    await closed(context)
    context, _, after = await opened(process)
    await closed(context)
    assert after == fence
    assert stage.stored("units") == []


async def test_a_takeover_waits_for_the_open_transaction_and_then_shuts_its_owner_out(stage):
    old, new = await owner_of(stage), stage.process("b")
    mine = await old.ledger.take_fence(0)
    context, transaction, fence = await opened(old)
    stage.expire("shard/0")
    takeover = asyncio.create_task(new.leases.acquire("shard/0"))
    await stage.someone_waits()
    await transaction.commit(batch(old, fence))
    await closed(context)
    lease = await takeover
    context, _, found = await opened(old)
    await closed(context)
    assert (found.owner, found.epoch) == (new.boot_id, lease.epoch) != (mine.owner, mine.epoch)
    assert found.heads.unit_seq == 1, "what was committed before it is seen by the new owner"


async def test_a_wait_that_takes_too_long_ends_and_nothing_can_be_committed_after_it(stage):
    process = await owner_of(stage)
    context, _, fence = await opened(process)
    late = process.ledger.transaction(0)
    second = await late.__aenter__()
    waiting = asyncio.create_task(second.open(Wanted()))
    await stage.end_wait()
    with pytest.raises(LockTimeout):
        await waiting
    await closed(context)
    with pytest.raises(StoreError):
        await second.commit(batch(process, fence))
    await closed(late)
    assert stage.stored("units") == []


@pytest.mark.parametrize("error", [Deadlock("1213"), LockTimeout("1205"), ConnectionLost(commit_sent=False)])
@pytest.mark.parametrize("point", ["ledger.open.locked", "ledger.read", "ledger.commit"])
async def test_trouble_in_a_transaction_leaves_nothing_of_it(stage, point, error):
    process = await owner_of(stage)
    process.troubles.plan(point, error)

    async def tried() -> None:
        async with process.ledger.transaction(0) as transaction:
            fence, _ = await transaction.open(Wanted())
            await transaction.read(Wanted(units={"u"}))
            await transaction.commit(batch(process, fence))

    with pytest.raises(type(error)):
        await tried()
    assert stage.stored("units") == []
    await tried()
    assert len(stage.stored("units")) == 1


async def test_a_cut_connection_rolls_back_and_frees_the_fence(stage):
    process = await owner_of(stage)
    context, transaction, fence = await opened(process)
    stage.cut()
    again, other, after = await opened_at_last(process)
    with pytest.raises(ConnectionLost) as caught:
        await transaction.commit(batch(process, fence))
    assert caught.value.commit_sent, "whoever sends COMMIT into the void does not know"
    await closed(context)
    await other.commit(batch(process, after))
    await closed(again)
    assert len(stage.stored("units")) == 1


async def test_a_cut_connection_that_waits_learns_it(stage):
    process = await owner_of(stage)
    context, _, _ = await opened(process)
    waiting = asyncio.create_task(opened(process))
    await stage.someone_waits()
    stage.cut()
    with pytest.raises(ConnectionLost) as caught:
        await waiting
    assert not caught.value.commit_sent
    with suppress(ConnectionLost):  # whoever has noticed it already has nothing to roll back
        await closed(context)


@pytest.mark.parametrize("effect", [True, False])
async def test_a_commit_whose_answer_is_lost_may_have_taken_effect(stage, effect):
    process = await owner_of(stage)
    process.lose("ledger.commit", effect=effect)
    unit = plain()

    async def tried() -> None:
        async with process.ledger.transaction(0) as transaction:
            fence, _ = await transaction.open(Wanted())
            await transaction.commit(batch(process, fence, unit))

    with pytest.raises(ConnectionLost) as caught:
        await tried()
    assert caught.value.commit_sent
    async with process.ledger.transaction(0) as transaction:
        fence, found = await transaction.open(Wanted(units={unit.unit_id}))
    assert fence.heads.unit_seq == int(effect)
    assert (unit.unit_id in found.units) is effect


async def test_what_does_not_exist_is_not_found(stage):
    process = await owner_of(stage)
    nothing = Wanted(
        units={"u"},
        accounts={"a"},
        transactions={"t"},
        operations={"o"},
        references={("k", "r")},
        keys={("u", "r", "k")},
        quotes={"q"},
        users={"u"},
        attempts={"o"},
    )
    await recorded(process, plain())
    context, transaction, _ = await opened(process, nothing)
    found = await transaction.read(nothing)
    await closed(context)
    assert found == Found()
