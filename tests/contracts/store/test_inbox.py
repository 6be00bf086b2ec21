"""Evidence: stored once, before anybody is told, until it is consumed."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from penpay.domain.errors import Unavailable
from penpay.domain.suspicion import IN_HAND, SUSPECT
from penpay.messages import InboxRow
from tests.contracts.store.planning import owner_of, recorded
from tests.contracts.store.units import begun
from tests.ledger.house import fresh_id, stepped

LATER = timedelta(hours=1)
RAILS = 0xFFFF


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


async def waiting(process, shard=3):
    return await process.inbox.waiting(shard, older_than=datetime.now(UTC) + LATER, limit=10)


async def test_what_is_added_waits_oldest_first_until_it_is_consumed(stage):
    process = stage.process()
    first, second = callback(), callback(trusted_source=False, kind="reversal")
    for row in (second, first, callback(shard=2)):
        assert await process.inbox.add(row, dedupe_key=row.id, source="196.201.214.200")
    assert await waiting(process) == [first, second]
    assert await process.inbox.waiting(3, older_than=first.received_at, limit=10) == []
    assert await process.inbox.waiting(3, older_than=datetime.now(UTC) + LATER, limit=1) == [first]
    await process.inbox.delivered([first.id, first.id, fresh_id()])
    assert [row.deliveries for row in await waiting(process)] == [1, 0]


async def test_the_same_key_many_times_at_once_is_one_row(stage):
    process, other = stage.process("a"), stage.process("b")
    rows = [callback() for _ in range(20)]
    stores = [process.inbox, other.inbox] * 10
    added = await asyncio.gather(
        *(store.add(row, dedupe_key="same", source="") for store, row in zip(stores, rows, strict=True))
    )
    assert sum(added) == 1
    assert [row.id for row in await waiting(process)] == [rows[added.index(True)].id]


@pytest.mark.parametrize("effect", [True, False])
async def test_a_row_whose_answer_was_lost_is_ours_all_the_same(stage, effect):
    process, row = stage.process(), callback()
    process.lose("inbox.add", effect=effect)
    assert await process.inbox.add(row, dedupe_key="k", source="")
    assert await waiting(process) == [row]
    assert not await process.inbox.add(callback(), dedupe_key="k", source="")


async def test_a_delivery_whose_answer_was_lost_counts_twice(stage):
    process, row = stage.process(), callback()
    await process.inbox.add(row, dedupe_key="k", source="")
    process.lose("inbox.delivered")
    await process.inbox.delivered([row.id])
    assert [found.deliveries for found in await waiting(process)] == [2]


async def standing(process):
    """Deliveries and suspicion of what waits in shard 0."""
    return {row.id: (row.deliveries, row.suspicion) for row in await waiting(process, 0)}


async def test_a_start_of_the_ledger_makes_suspect_what_two_have_found_and_counts_only_what_was_in_hand(stage):
    process = await owner_of(stage)
    held, lying, other = callback(shard=0), callback(shard=0), callback(shard=1)
    for row in (held, lying, other):
        await process.inbox.add(row, dedupe_key=row.id, source="")
    await process.ledger.take_fence(0)
    assert await standing(process) == {held.id: (0, 1), lying.id: (0, 1)}
    await process.ledger.take_fence(0)
    await process.inbox.suspect(held.id, in_hand=True)
    await process.ledger.take_fence(0)
    assert await standing(process) == {held.id: (1, SUSPECT), lying.id: (0, SUSPECT)}
    assert await waiting(process, 1) == [other], "another shard's"
    assert await stage.process("b").ledger.take_fence(0) is None
    assert await standing(process) == {held.id: (1, SUSPECT), lying.id: (0, SUSPECT)}, "only its owner starts it"


async def test_a_suspect_that_its_saga_put_down_or_broke_over_is_not_counted_by_the_next_start(stage):
    process = await owner_of(stage)
    put_down, broke = callback(shard=0), callback(shard=0)
    for row in (put_down, broke):
        await process.inbox.add(row, dedupe_key=row.id, source="")
        await process.inbox.suspect(row.id, in_hand=True)
    assert set((await standing(process)).values()) == {(0, IN_HAND)}
    await process.inbox.suspect(put_down.id, in_hand=False)
    await process.inbox.delivered([broke.id])
    await process.ledger.take_fence(0)
    assert await standing(process) == {put_down.id: (0, SUSPECT), broke.id: (1, SUSPECT)}


async def test_without_a_database_it_says_so(stage):
    process, row = stage.process(), callback()
    process.lose("inbox.add", effect=False, times=5)
    with pytest.raises(Unavailable):
        await process.inbox.add(row, dedupe_key="k", source="")
    assert await waiting(process) == []


@pytest.mark.parametrize("change", [{"kind": "k" * 17}, {"kind": "é"}, {"operation_id": "o" * 27}])
async def test_no_text_is_cut_silently(stage, change):
    process = stage.process()
    with pytest.raises(ValueError, match="callback_inbox"):
        await process.inbox.add(callback(**change), dedupe_key="k", source="")
    with pytest.raises(ValueError, match="dedupe_key"):
        await process.inbox.add(callback(), dedupe_key="k" * 191, source="")


async def test_rows_of_rails_are_consumed_by_their_rail_only(stage):
    process = stage.process()
    balance, shards = callback(shard=RAILS, kind="balance"), callback()
    for row in (balance, shards):
        await process.inbox.add(row, dedupe_key=row.id, source="")
    await process.inbox.consumed_by_rail([balance.id, shards.id])
    assert [row.id for row in await waiting(process)] == [shards.id]
    assert await waiting(process, RAILS) == []


async def test_a_unit_consumes_and_quarantines_and_the_first_to_do_so_stays(stage):
    process = await owner_of(stage)
    first = begun()
    operation = first.new_operations[0].id
    used, bad, late = (callback(shard=0, operation_id=operation) for _ in range(3))
    for row in (used, bad, late):
        await process.inbox.add(row, dedupe_key=row.id, source="")
    step = stepped(first, state="S", consumes=(used.id,), quarantines=(bad.id,))
    await recorded(process, first, step)
    assert [row.id for row in await waiting(process, 0)] == [late.id]
    saga = await process.sagas.load(first.transaction.row.id)
    assert [row.id for row in saga.inbox] == [late.id]
    await recorded(process, stepped(step, state="T", consumes=(bad.id,)))
    await process.inbox.delivered([used.id])
    found = {row["id"]: (row["status"], row["unit_id"], row["deliveries"]) for row in stage.stored("callback_inbox")}
    assert found[used.id] == ("CONSUMED", step.unit_id, 0)
    assert found[bad.id] == ("QUARANTINED", step.unit_id, 0)
    assert found[late.id] == ("NEW", "", 0)


async def test_operations_lead_to_their_transactions(stage):
    process, first = await owner_of(stage), begun()
    await recorded(process, first)
    operation = first.new_operations[0].id
    assert await process.inbox.transactions_of([operation, fresh_id()]) == {operation: first.transaction.row.id}
    assert await process.inbox.transactions_of([]) == {}
