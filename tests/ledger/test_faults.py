"""The ledger when the database, the network, the lease or the ledger itself fails."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from actors.base import ActorGone, AskTimeout
from penpay.domain.errors import OutcomeUnknown, StoreError, Unavailable
from penpay.messages import Committed, CommitUnit
from penpay.ports import ConnectionLost, Deadlock, LockTimeout
from tests.ledger.house import admitted, assert_sound, opened, paid, plain, stepped, until


class Meddling:
    """The real store, with something done around chosen commits."""

    def __init__(self, store, around: Callable):
        self._store = store
        self._around = around

    def __getattr__(self, name):
        return getattr(self._store, name)

    @asynccontextmanager
    async def transaction(self, shard) -> AsyncIterator[object]:
        async with self._store.transaction(shard) as transaction:
            commit = transaction.commit
            transaction.commit = lambda batch: self._around(commit, batch)
            yield transaction


def first_times(errors: list[Exception], *, after_commit: bool = False) -> Callable:
    waiting = list(errors)

    async def around(commit, batch):
        if not waiting:
            return await commit(batch)
        if after_commit:
            await commit(batch)
        raise waiting.pop(0)

    return around


@pytest.mark.parametrize(
    "errors",
    [
        [Deadlock("1213")] * 4,
        [LockTimeout("1205")] * 7,
        [ConnectionLost(commit_sent=False)],
        [ConnectionLost(commit_sent=True)],
        [Unavailable("database")] * 3,
    ],
    ids=["deadlocks", "lock waits", "lost before", "lost during COMMIT, not done", "away"],
)
async def test_a_passing_trouble_of_the_database_is_waited_out(database, errors):
    wrap = lambda store: Meddling(store, first_times(errors))  # noqa: E731
    async with opened(database.url, prefix=database.prefix, wrap=wrap) as ledger:
        units = [plain() for _ in range(5)]
        answers = await asyncio.gather(*map(ledger.commit, units))
        assert answers == [Committed(unit.unit_id) for unit in units]
        assert ledger.ref.incarnation == 1
    assert database.rows("SELECT COUNT(*) FROM {ledger}.units") == [(5,)]


async def test_a_commit_whose_answer_was_lost_is_found_again(database):
    meddling = first_times([ConnectionLost(commit_sent=True)], after_commit=True)
    async with opened(database.url, prefix=database.prefix, wrap=lambda store: Meddling(store, meddling)) as ledger:
        first = admitted()
        answers = await asyncio.gather(*map(ledger.commit, [first, plain(), plain()]))
        assert [found.replayed for found in answers] == [True, True, True]
        assert isinstance(await ledger.commit(paid(first)), Committed)
    assert database.rows("SELECT COUNT(*), MAX(seq) FROM {ledger}.units") == [(4, 4)]


@pytest.mark.parametrize("when", [False, True], ids=["before the commit", "after it"])
async def test_a_unit_that_stands_alone_is_not_kept_apart_for_a_refusal_that_passes(database, when):
    """In company its half is tried again; alone it would be buried for what a fault of the server said once."""
    meddling = first_times([StoreError(1105, "Unknown error")], after_commit=when)
    async with opened(database.url, prefix=database.prefix, wrap=lambda store: Meddling(store, meddling)) as ledger:
        unit = plain()
        assert await ledger.commit(unit) == Committed(unit.unit_id, replayed=when)
    assert database.rows("SELECT COUNT(*), MAX(seq) FROM {ledger}.units") == [(1, 1)]
    assert database.rows("SELECT COUNT(*) FROM {ledger}.dead_letters") == [(0,)]


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_to_commits_every_unit_is_recorded_once(database, seed):
    """Batches are prepared on top of ones that then fail, or turn out to be durable after all."""
    dice = random.Random(seed)
    troubles = 0

    async def around(commit, batch):
        nonlocal troubles
        kind = dice.random()
        if kind > 0.5:
            return await commit(batch)
        troubles += 1
        if kind < 0.1:
            raise Deadlock("1213")
        if kind < 0.2:
            raise ConnectionLost(commit_sent=True)
        if kind < 0.3:
            raise Unavailable("database")
        await commit(batch)
        raise ConnectionLost(commit_sent=True)

    async def customer(ledger) -> None:
        first = admitted()
        for unit in (first, payment := paid(first), stepped(payment, state="DERIV_HELD")):
            assert isinstance(await ledger.commit(unit, timeout_s=60), Committed)
            spend = plain(user_id=first.user_id)
            both = await asyncio.gather(ledger.commit(spend, timeout_s=60), ledger.commit(spend, timeout_s=60))
            assert all(isinstance(found, Committed) for found in both)

    wrap = lambda store: Meddling(store, around)  # noqa: E731
    async with opened(database.url, prefix=database.prefix, wrap=wrap) as ledger:
        await asyncio.gather(*(customer(ledger) for _ in range(24)))
        assert ledger.ref.incarnation == 1
    assert troubles > 3
    assert database.rows("SELECT COUNT(*), MAX(seq) FROM {ledger}.units") == [(24 * 6, 24 * 6)]
    await assert_sound(database.url, prefix=database.prefix)


async def test_a_database_restart_restarts_nothing_and_loses_nothing(private_database):
    database = private_database
    async with opened(database.url, prefix=database.prefix) as ledger:
        await ledger.commit(plain())
        await database.server.stop_async()
        units = [plain() for _ in range(50)]
        waiting = [asyncio.create_task(ledger.commit(unit, timeout_s=60)) for unit in units]

        async def noticed() -> bool:
            return ledger.ref._cell.actor.observable_state()["problem"] == "database"

        await until(noticed)
        await database.server.start_async()
        assert await asyncio.gather(*waiting) == [Committed(unit.unit_id) for unit in units]
        assert ledger.ref.incarnation == 1
        assert ledger.ref._cell.actor.observable_state()["problem"] == ""
    assert database.rows("SELECT COUNT(*) FROM {ledger}.units") == [(51,)]


async def test_killing_the_database_under_load_leaves_every_acknowledged_unit(private_database):
    database = private_database
    acknowledged: list[str] = []

    async def sender(ledger) -> None:
        for _ in range(40):
            unit = plain()
            assert isinstance(await ledger.commit(unit, timeout_s=60), Committed)
            acknowledged.append(unit.unit_id)

    async with opened(database.url, prefix=database.prefix) as ledger:
        senders = [asyncio.create_task(sender(ledger)) for _ in range(16)]

        async def under_way() -> bool:
            return len(acknowledged) > 100

        for _ in range(3):
            await until(under_way)
            await asyncio.to_thread(database.server.kill)
            await database.server.start_async()
        await asyncio.gather(*senders)
    stored = {unit_id for (unit_id,) in database.rows("SELECT unit_id FROM {ledger}.units")}
    assert stored == set(acknowledged)
    assert len(stored) == 640


async def test_a_unit_whose_asker_gave_up_is_not_executed_later(private_database):
    database = private_database
    async with opened(database.url, prefix=database.prefix) as ledger:
        await ledger.commit(plain())
        await database.server.stop_async()
        told, asked = plain(), plain()
        blocking = asyncio.create_task(ledger.commit(plain(), timeout_s=60))

        async def noticed() -> bool:
            return ledger.ref._cell.actor.observable_state()["problem"] == "database"

        await until(noticed)
        ledger.ref.tell(CommitUnit(told))
        with pytest.raises(AskTimeout):
            await ledger.commit(asked, timeout_s=0.05)
        await database.server.start_async()
        assert isinstance(await blocking, Committed)
        await ledger.commit(plain())
    stored = {unit_id for (unit_id,) in database.rows("SELECT unit_id FROM {ledger}.units")}
    assert told.unit_id in stored
    assert asked.unit_id not in stored


async def test_nor_is_one_that_the_database_was_asked_for_in_vain(private_database):
    """Whoever gave up decides anew from the rows: what is not among them must not come behind that."""
    database = private_database
    async with opened(database.url, prefix=database.prefix) as ledger:
        await ledger.commit(plain())
        await database.server.stop_async()
        asked = plain()
        with pytest.raises(AskTimeout):
            await ledger.commit(asked, timeout_s=0.5)
        assert ledger.ref._cell.actor.observable_state()["problem"] == "database"
        await database.server.start_async()
        later = plain()
        assert isinstance(await ledger.commit(later, timeout_s=60), Committed)
    stored = {unit_id for (unit_id,) in database.rows("SELECT unit_id FROM {ledger}.units")}
    assert later.unit_id in stored
    assert asked.unit_id not in stored


async def test_a_former_owner_can_write_nothing(database):
    async with opened(database.url, prefix=database.prefix, node="old") as old:
        await old.commit(plain())
        database.rows("UPDATE {ledger}.leases SET expires_at = NOW(6) - INTERVAL 1 SECOND")
        async with opened(database.url, prefix=database.prefix, node="new") as new:
            with pytest.raises(OutcomeUnknown):
                await old.commit(plain())
            assert not old.ref.is_alive()
            assert isinstance(await new.commit(plain()), Committed)
    assert database.rows("SELECT COUNT(*) FROM {ledger}.units") == [(2,)]


async def test_a_ledger_does_not_start_on_a_fence_that_another_process_owns(database):
    async with opened(database.url, prefix=database.prefix) as ledger:
        database.rows("UPDATE {ledger}.fences SET owner = 'somebody else' WHERE name = 'shard/0'")
        await ledger.ref.shutdown(5)
        await ledger.restart()
        with pytest.raises(ActorGone):
            await ledger.commit(plain())
    assert database.rows("SELECT COUNT(*) FROM {ledger}.units") == [(0,)]


async def test_each_incarnation_has_an_epoch_of_its_own(database):
    async with opened(database.url, prefix=database.prefix) as ledger:
        await ledger.commit(plain())
        await ledger.restart()
        await ledger.commit(plain())
    epochs = [epoch for (epoch,) in database.rows("SELECT epoch FROM {ledger}.units ORDER BY seq")]
    assert epochs[1] == epochs[0] + 1


async def test_a_ledger_that_remembers_something_wrong_ends_before_it_writes(database):
    async with opened(database.url, prefix=database.prefix) as ledger:
        unit = plain()
        await ledger.commit(unit)
        cache = ledger.ref._cell.actor._commits._cache
        cache.accounts.put({"00:mpesa_paybill:KES": (0, 0)})
        with pytest.raises(OutcomeUnknown):
            await ledger.commit(plain())
        assert not ledger.ref.is_alive()
    assert database.rows("SELECT COUNT(*) FROM {ledger}.units") == [(1,)]


async def test_a_database_that_went_back_closes_the_gate(database):
    async with opened(database.url, prefix=database.prefix) as ledger:
        await ledger.commit(plain())
        await ledger.commit(plain())
        assert ledger.gate.reason(0) == ""
        for table in ("units", "postings", "ledger_entries"):
            database.rows(f"DROP TRIGGER {{ledger}}.{table}_no_delete")
            database.rows(f"DELETE FROM {{ledger}}.{table}")
        database.rows("DELETE FROM {ledger}.accounts")
        database.rows("UPDATE {ledger}.fences SET unit_seq = 0, chain_seq = 0 WHERE name = 'shard/0'")
        assert isinstance(await ledger.commit(plain()), Committed)
        assert "lost units" in ledger.gate.reason(0)


async def test_a_ledger_that_is_stopped_finishes_what_it_took_in(database):
    async with opened(database.url, prefix=database.prefix) as ledger:
        waiting = [asyncio.create_task(ledger.commit(plain())) for _ in range(30)]

        async def taken_in() -> bool:
            return not len(ledger.ref._cell.mailbox)

        await asyncio.sleep(0)
        await until(taken_in)
        await ledger.ref.shutdown(5)
        answers = await asyncio.gather(*waiting)
    assert all(isinstance(found, Committed) for found in answers)
    assert database.rows("SELECT COUNT(*) FROM {ledger}.units") == [(30,)]
