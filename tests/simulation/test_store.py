"""The simulation's database server: what befalls it, and what it promises to whoever uses it."""

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from actors.ledger_cache import LedgerCache
from actors.ledger_plan import Plan
from penpay.domain.errors import StoreError, Unavailable
from penpay.domain.incoming import taken_in
from penpay.domain.ledger import AccountCode
from penpay.domain.money import Currency, usd
from penpay.domain.unit import UnitOfWork
from penpay.ports import AttemptEnd, CodeRequest, ConnectionLost, Deadlock, Lease, LockTimeout
from penpay.ports_ledger import DeadUnit, Found, LedgerBatch, Wanted
from penpay.simulation.clock import WorldClock
from penpay.simulation.loop import NodeLoop, Universe
from penpay.simulation.store.server import IDLE_S, LOCK_WAIT_S, MemoryServer
from penpay.simulation.store.stores import MemoryStores, stores_of
from penpay.simulation.store.weather import POINTS, FineWeather
from tests.contracts.store.test_reads import quote
from tests.ledger.house import CountedIds, admitted, fresh_id, plain


class World:
    """A server and its processes, each on a loop of its own, in one virtual time."""

    def __init__(self) -> None:
        self.universe = Universe(random.Random(1), steps_max=100_000)
        self.clock = WorldClock(self.universe)
        self.server = MemoryServer(shards=2, clock=self.clock)
        self.loops: dict[str, NodeLoop] = {}

    def process(self, boot_id: str, *, node: str = "", weather: Any = None) -> MemoryStores:
        self.loops[boot_id] = NodeLoop(self.universe, boot_id)
        ids, fine = CountedIds(), weather or FineWeather()
        return stores_of(self.server, node=node or boot_id, boot_id=boot_id, clock=self.clock, ids=ids, weather=fine)

    def start(self, boot_id: str, coro: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        return self.loops[boot_id].create_task(coro)

    def run(self, boot_id: str, coro: Coroutine[Any, Any, Any]) -> Any:
        task = self.start(boot_id, coro)
        self.universe.run(until=task.done)
        return task.result()


@pytest.fixture
def world():
    return World()


async def owning(stores: MemoryStores) -> None:
    assert await stores.leases.claim_node()
    assert await stores.leases.acquire("shard/0") is not None
    assert await stores.ledger.take_fence(0) is not None


def batch_of(fence: Any, *units: UnitOfWork) -> LedgerBatch:
    plan = Plan(LedgerCache.of_size(10), Found(), fence.heads, shard=0, epoch=fence.epoch)
    for unit in units:
        assert plan.add(taken_in(unit)) == ""
    return plan.batch()


async def committed(stores: MemoryStores, *units: UnitOfWork) -> None:
    async with stores.ledger.transaction(0) as transaction:
        fence, _ = await transaction.open(Wanted())
        await transaction.commit(batch_of(fence, *units))


async def holding(stores: MemoryStores, opened: "asyncio.Event", seconds: float) -> None:
    async with stores.ledger.transaction(0) as transaction:
        fence, _ = await transaction.open(Wanted())
        opened.set()
        await asyncio.sleep(seconds)
        await transaction.commit(batch_of(fence, plain()))


def held_by(world: World, boot_id: str, seconds: float) -> "asyncio.Task[Any]":
    """A transaction of this process is open from here on, for so long."""
    stores = world.process(boot_id)
    world.run(boot_id, owning(stores))
    opened = asyncio.Event()
    task = world.start(boot_id, holding(stores, opened, seconds))
    world.universe.run(until=opened.is_set)
    return task


def contents(server: MemoryServer) -> Any:
    """Rows, keys and look-ups."""
    return {
        name: (dict(table.rows), [dict(taken) for *_, taken in table._taken], _filed(table._indexes))
        for name, table in server.schema.tables().items()
    }


def _filed(indexes: Any) -> Any:
    return {name: {key: list(keys) for key, keys in filed.items() if keys} for name, (_, filed) in indexes.items()}


# --- what befalls a server ---


def test_a_killed_process_writes_nothing_and_holds_its_locks_until_that_is_noticed(world):
    held_by(world, "a", 60.0)
    b = world.process("b")

    async def take_over() -> float:
        world.server.kill_process("a", notice_s=3.0)
        world.loops["a"].kill()
        began_s = world.universe.now_s
        leases = world.server.schema.leases.rows
        leases["shard/0"] = leases["shard/0"]._replace(expires_at=world.clock.now())
        assert await b.leases.acquire("shard/0") is not None
        return world.universe.now_s - began_s

    assert world.run("b", take_over()) == pytest.approx(3.0, abs=0.1)
    assert world.server.schema.units.rows == {}


def test_what_is_left_of_a_killed_process_reaches_no_row(world):
    a = world.process("a", node="n")
    world.run("a", owning(a))
    world.server.kill_process("a")
    with pytest.raises(Unavailable):
        world.run("a", committed(a, plain()))
    with pytest.raises(Unavailable):
        world.run("a", a.inbox.waiting(0, older_than=world.clock.now(), limit=1))
    successor = world.process("a2", node="n")
    assert world.run("a2", successor.leases.claim_node()), "its name is free"
    assert world.run("a2", successor.leases.acquire("shard/0")).epoch == 3


def test_a_server_that_is_away_is_unavailable_and_comes_back_with_every_committed_row(world):
    a = world.process("a")
    world.run("a", owning(a))
    world.run("a", committed(a, plain()))
    world.server.stop()
    for asked in (committed(a, plain()), a.leases.acquire("shard/1"), a.overview.ping(), a.ledger.take_fence(0)):
        with pytest.raises(Unavailable):
            world.run("a", asked)
    world.server.start()
    world.run("a", committed(a, admitted()))
    assert len(world.server.schema.units.rows) == 2


def test_a_restart_ends_transactions_and_claims_but_no_lease(world):
    task = held_by(world, "a", 5.0)
    world.server.restart()
    world.universe.run(until=task.done)
    with pytest.raises(ConnectionLost):
        task.result()
    assert world.server.claims == {}
    assert world.server.locks == {}
    assert world.server.schema.leases.rows["shard/0"].owner == "a"
    assert world.server.schema.units.rows == {}


# --- locks ---


def test_a_lock_that_is_not_freed_in_time_is_given_up(world):
    task = held_by(world, "a", LOCK_WAIT_S + 4)
    a, began_s = world.process("a"), world.universe.now_s

    async def wait() -> None:
        async with a.ledger.transaction(0) as transaction:
            await transaction.open(Wanted())

    with pytest.raises(LockTimeout):
        world.run("a", wait())
    assert world.universe.now_s - began_s == pytest.approx(LOCK_WAIT_S, abs=0.1)
    world.universe.run(until=task.done)
    task.result()


def test_a_transaction_whose_owner_is_silent_is_rolled_back_for_whoever_waits(world):
    task = held_by(world, "a", 10 * IDLE_S)
    b, began_s = world.process("b"), world.universe.now_s

    async def wait() -> float:
        while True:
            try:
                async with b.ledger.transaction(0) as transaction:
                    await transaction.open(Wanted())
                return world.universe.now_s - began_s
            except LockTimeout:
                continue

    assert world.run("b", wait()) == pytest.approx(IDLE_S, abs=0.2)
    world.universe.run(until=task.done)
    with pytest.raises(ConnectionLost) as caught:
        task.result()
    assert caught.value.commit_sent
    assert world.server.schema.units.rows == {}


def test_whoever_would_wait_in_a_circle_is_told_at_once(world):
    world.process("a")
    server = world.server

    async def cross() -> list[object]:
        first, second = ("t", "1"), ("t", "2")
        ready = asyncio.Barrier(2)

        async def take(*names: tuple[str, str]) -> object:
            with server.connect("a") as session:
                await session.lock(names[0])
                await ready.wait()
                try:
                    await session.lock(names[1])
                except Deadlock:
                    return "deadlock"
                return "both"

        return await asyncio.gather(take(first, second), take(second, first))

    assert sorted(world.run("a", cross())) == ["both", "deadlock"]
    assert server.locks == {}


def test_a_waiter_that_is_cancelled_leaves_the_line(world):
    task = held_by(world, "a", 2.0)
    a = world.process("a")

    async def wait() -> None:
        async with a.ledger.transaction(0) as transaction:
            await transaction.open(Wanted())

    gone, stays = world.start("a", wait()), world.start("a", wait())
    world.universe.run(until=lambda: sum(map(len, world.server.queues.values())) == 2)
    gone.cancel()
    world.universe.run(until=stays.done)
    assert gone.cancelled()
    stays.result()
    task.result()
    assert world.server.locks == {}


# --- commits ---


def test_a_refused_batch_leaves_rows_keys_and_look_ups_as_they_were(world):
    a = world.process("a")
    world.run("a", owning(a))
    first = admitted()
    world.run("a", committed(a, first))
    before = contents(world.server)
    row = replace(admitted().transaction.row, phone_mask="2" * 99)
    for refused in (first, admitted(row), replace(admitted(), new_operations=first.new_operations)):
        with pytest.raises(StoreError):
            world.run("a", committed(a, admitted(), refused))
        assert contents(world.server) == before


def test_everybody_who_watches_sees_a_commit_whole_and_nothing_of_a_refused_one(world):
    a = world.process("a")
    world.run("a", owning(a))
    seen: list[set[str]] = []
    world.server.observers.append(lambda changes: seen.append({change.table.spec.name for change in changes}))
    first = admitted()
    world.run("a", committed(a, first))
    with pytest.raises(StoreError):
        world.run("a", committed(a, first))
    assert len(seen) == 1
    assert {"units", "transactions", "transaction_events", "provider_operations", "outbox", "fences"} <= seen[0]


# --- the weather ---


class Listening:
    """Weather that remembers where it was asked."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    async def at(self, point: str) -> None:
        self.asked.add(point)


def test_the_weather_has_open_question_at_every_point_of_the_table_and_at_no_other(world):
    weather = Listening()
    stores = world.process("a", weather=weather)
    world.run("a", _everything(stores))
    assert weather.asked == set(POINTS)


async def _everything(stores: MemoryStores) -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    await owning(stores)
    first = admitted()
    id_, operation = first.transaction.row.id, first.new_operations[0].id
    await committed(stores, first)
    async with stores.ledger.transaction(0) as transaction:
        await transaction.open(Wanted())
        await transaction.read(Wanted(units={"u"}))
        await transaction.bury(
            DeadUnit(id=fresh_id(), unit_id="u", transaction_id="", reason="r", at="2026-03-02 09:00:00.000000")
        )
    epoch = (await stores.leases.acquire("rail/daraja")).epoch
    await stores.attempts.begin("daraja", epoch, operation, watermark={})
    end = AttemptEnd(operation_id=operation, attempt=1, kind="STK", outcome="UNKNOWN", at=now)
    row = await stores.attempts.end("daraja", epoch, end, shard=0, transaction_id=id_)
    await stores.inbox.add(replace(row, id=fresh_id()), dedupe_key="k", source="")
    await _reads(stores, id_, operation, now)
    await stores.leases.renew(Lease("rail/daraja", epoch, 0.0))
    await stores.leases.release(Lease("rail/daraja", epoch, 0.0))


async def _reads(stores: MemoryStores, id_: str, operation: str, now: datetime) -> None:
    await stores.sagas.load(id_)
    await stores.sagas.due(0, now=now, limit=1)
    await stores.users.load("u", eat_day="")
    await stores.users.answer("u", "r", "k")
    await stores.users.quote("q", "u")
    await stores.users.newest_code("u")
    await stores.inbox.waiting(0, older_than=now, limit=1)
    await stores.inbox.transactions_of([operation])
    await stores.inbox.delivered([])
    await stores.inbox.suspect("I", in_hand=True)
    await stores.inbox.consumed_by_rail([])
    await stores.attempts.abandoned("daraja", 1)
    await stores.attempts.intents("daraja", older_than=now, limit=1)
    await stores.attempts.unresolved("STK")
    await stores.sagas.filed_credit("77")
    await stores.sagas.has_open_question(id_, "parked")
    await stores.attempts.unwitnessed(now)
    await stores.attempts.newest([operation])
    await stores.attempts.used_references("k", [])
    await stores.outbox.after(0, 0, limit=1)
    await stores.outbox.cursor(0)
    await stores.outbox.newest(0)
    await stores.rail_reads.operations([operation])
    await stores.rail_reads.reserved_payouts_minor()
    await stores.rail_reads.booked_since("deriv_agent")
    await stores.payments.claims(["r"])
    await stores.payments.cursors()
    await stores.payments.move_cursor("c", now, at=now)
    await stores.heads.look()
    await stores.overview.ping()
    await stores.overview.is_recorded("u")
    await stores.overview.account_minor(AccountCode.MPESA_PAYBILL, Currency.KES)
    await stores.users.add_quote(quote("u" * 26))
    await stores.users.remember_code(fresh_id(), "u" * 26, CodeRequest(usd(1), b"", now))
