"""The same random units of work on both stores: every verdict and every row must be the same.

The production ledger runs on each side. Between the rounds rails make and end attempts, evidence arrives, ledgers
are restarted and taken over, and commits fail in every way that a ledger survives.
"""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from actors.base import AsyncioActorRef
from actors.ledger import LedgerActor
from penpay.domain.errors import Unavailable
from penpay.domain.gate import RecoveryGate
from penpay.domain.ids import ulid
from penpay.domain.unit import UnitOfWork
from penpay.messages import Committed, CommitUnit, InboxRow, UnitRejected
from penpay.ports import AttemptEnd, ConnectionLost, Deadlock, LockTimeout
from penpay.simulation.books.sweep import sweep
from tests.contracts.store.chance import BEGAN, Chance
from tests.contracts.store.judging import sql_verdict
from tests.contracts.store.stage import MariaDbStage, MemoryStage, Process, Stage
from tests.ledger.house import fresh_id

ROUNDS = 30
COMPARED = (
    *("units", "accounts", "postings", "ledger_entries", "transactions", "transaction_events", "provider_operations"),
    *("rail_attempts", "provider_references", "callback_inbox", "answers", "outbox", "outbox_cursors", "review_items"),
    *("user_status", "dead_letters", "audit_log", "fences"),
)


@dataclass
class Ticking:
    """A clock that goes on by itself, the same on both sides."""

    ticks: int = 0

    def now(self) -> datetime:
        self.ticks += 1
        return BEGAN + timedelta(hours=1, seconds=self.ticks)

    def monotonic_s(self) -> float:
        return float(self.ticks)


@dataclass
class Counting:
    """Ids that are the same on both sides."""

    count: int = 0

    def ulid(self) -> str:
        self.count += 1
        return ulid(1_900_000_000_000 + self.count, self.count.to_bytes(10))


@dataclass
class Side:
    """One store with its ledger."""

    stage: Stage
    clock: Ticking = field(default_factory=Ticking)
    ids: Counting = field(default_factory=Counting)
    process: Process = field(init=False)
    ref: AsyncioActorRef = field(init=False)
    epoch: int = 0

    async def begin(self, node: str) -> None:
        self.process = self.stage.process(node, node, clock=self.clock, ids=self.ids)
        assert await self.process.leases.claim_node()
        assert await self.process.leases.acquire("shard/0") is not None
        self.epoch = (await self.process.leases.acquire("rail/daraja")).epoch
        await self.start()

    async def start(self) -> None:
        parts = {"shard": 0, "store": self.process.ledger, "ids": self.ids, "dice": random.Random(1)}
        self.ref = LedgerActor.start(**parts, gate=RecoveryGate(), batch_max=7)
        await self.ref.ready()

    async def commit(self, units: list[UnitOfWork]) -> list[str]:
        answers = await asyncio.gather(*(self.ref.aask(CommitUnit(unit), timeout_s=30.0) for unit in units))
        return [_told(found) for found in answers]

    async def restart(self) -> None:
        await self.ref.shutdown(5)
        await self.start()

    async def hand_over(self, node: str) -> None:
        """Another process takes everything, after the leases have run out."""
        await self.ref.shutdown(5)
        for name in ("shard/0", "rail/daraja"):
            self.stage.expire(name)
        await self.begin(node)


def _told(found: object) -> str:
    match found:
        case Committed():
            return "committed"
        case UnitRejected(_, code, detail):
            return f"{code}: {detail}"
    raise AssertionError(found)


class Both:
    """Two sides to which the same happens."""

    def __init__(self, chance: Chance, sides: list[Side]) -> None:
        self.chance = chance
        self.dice = chance.dice
        self.sides = sides
        self.nodes = 0

    async def each(self, work: Any) -> Any:
        """Do it on both and compare what is told."""
        first, second = [await work(side) for side in self.sides]
        assert first == second
        return first

    async def units(self) -> None:
        units = [self.chance.unit() for _ in range(self.dice.choice((1, 1, 3, 12)))]
        # A sender does not hand over two different units under one id at once.
        units = list({unit.unit_id: unit for unit in units}.values())
        told = await self.each(lambda side: side.commit(units))
        for unit, answer in zip(units, told, strict=True):
            if answer == "committed" and unit not in self.chance.known.units:
                self.chance.known.take(unit)

    async def attempt(self) -> None:
        ids = [id_ for ids in self.chance.known.operations.values() for id_ in ids]
        for id_ in self.dice.sample(ids, min(3, len(ids))):

            async def begin(side: Side, id_: str = id_) -> object:
                return await side.process.attempts.begin("daraja", side.epoch, id_, watermark={"é": "1"})

            granted = await self.each(begin)
            while granted is not None and self.dice.random() < 0.6:
                # Again and again: what is learned later may contradict.
                await self.end(id_, granted.number)

    async def end(self, id_: str, number: int) -> None:
        outcome = self.dice.choice(("CONFIRMED", "REFUSED", "UNKNOWN", "NOT_SENT"))
        at = self.chance.now()
        ended = AttemptEnd(operation_id=id_, attempt=number, kind="STK", outcome=outcome, code="é", at=at, body=b"{}")

        async def end(side: Side) -> object:
            return await side.process.attempts.end("daraja", side.epoch, ended, shard=0, transaction_id="")

        row = await self.each(end)
        self.chance.known.evidence.append(row.id)

    async def evidence(self) -> None:
        ids = [id_ for ids in self.chance.known.operations.values() for id_ in ids]
        row = InboxRow(
            id=fresh_id(),
            shard=0,
            kind="stk",
            operation_id=self.dice.choice([*ids, fresh_id()]),
            body=b"{}",
            trusted_source=True,
            received_at=self.chance.now(),
        )
        key = self.dice.choice((row.id, "same"))
        if await self.each(lambda side: side.process.inbox.add(row, dedupe_key=key, source="s")):
            self.chance.known.evidence.append(row.id)

    async def reads(self) -> None:
        now, user = self.chance.now() + timedelta(seconds=50), self.dice.choice(self.chance.users)
        for id_ in self.chance.known.rows:
            await self.each(lambda side, id_=id_: side.process.sagas.load(id_))
        await self.each(lambda side: _listed(side.process.sagas.due(0, now=now, limit=5)))
        await self.each(lambda side: _user(side.process, user))
        await self.each(lambda side: _listed(side.process.outbox.after(0, 2, limit=9)))
        await self.each(lambda side: side.process.rail_reads.reserved_payouts_minor())
        for kind in ("STK", "B2C"):
            await self.each(lambda side, kind=kind: _listed(side.process.attempts.unresolved(kind)))
        await self.each(lambda side: _listed(side.process.attempts.intents("daraja", older_than=now, limit=9)))
        await self.each(lambda side: _listed(side.process.attempts.abandoned("daraja", side.epoch)))
        await self.each(lambda side: _listed(side.process.inbox.waiting(0, older_than=now, limit=9)))

    async def trouble(self) -> None:
        point, error = self.dice.choice(
            (
                ("ledger.commit", Deadlock("1213")),
                ("ledger.commit", LockTimeout("1205")),
                ("ledger.commit", ConnectionLost(commit_sent=True)),
                ("ledger.commit.done", ConnectionLost(commit_sent=True)),
                ("ledger.commit", Unavailable("database")),
                ("ledger.open.locked", ConnectionLost(commit_sent=False)),
            )
        )
        for side in self.sides:
            side.process.troubles.plan(point, error)

    async def restart(self) -> None:
        for side in self.sides:
            side.process.troubles.planned.clear()
            await side.restart()

    async def hand_over(self) -> None:
        self.nodes += 1
        for side in self.sides:
            side.process.troubles.planned.clear()
            await side.hand_over(f"node{self.nodes}")

    async def run(self) -> None:
        happenings = (self.units, self.attempt, self.evidence, self.trouble, self.restart, self.hand_over, self.reads)
        for _ in range(ROUNDS):
            await self.units()
            await self.dice.choices(happenings, (6, 3, 3, 4, 1, 1, 1))[0]()


def _comparable(stage: Stage, table: str) -> list[dict[str, Any]]:
    """Without the server's own words for a refusal, and its own times: of the migration, and of a freeze."""
    rows = stage.stored(table)
    for row in rows:
        if table == "dead_letters" or row.get("kind") == "unit_quarantined":
            del row["reason"]
        if table == "outbox_cursors" and not row["seq"]:
            del row["updated_at"]
        if table == "user_status":
            row["frozen_at"] = bool(row["frozen_at"])
    return rows


async def _listed(asked: Any) -> list[Any]:
    return list(await asked)


async def _user(process: Process, user_id: str) -> object:
    rows = await process.users.load(user_id, eat_day="2026-11-20")
    return rows.status, rows.last_push_at, sorted(map(repr, rows.deposits)), sorted(map(repr, rows.withdrawals))


@pytest.fixture
def sides(contract_database) -> Iterator[list[Side]]:
    database = MariaDbStage(contract_database)
    yield [Side(MemoryStage()), Side(database)]
    database.wipe()


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 60))])
async def test_the_same_units_have_the_same_effect(sides, seed, contract_database):
    both = Both(Chance(seed), sides)
    for side in sides:
        await side.begin("node0")
    try:
        await both.run()
        await both.reads()
    finally:
        for side in sides:
            await side.ref.shutdown(5)
            side.stage.close()
    memory, database = (side.stage for side in sides)
    for table in COMPARED:
        assert _comparable(memory, table) == _comparable(database, table), table
    assert sweep(memory.server).keys() == sql_verdict(memory.server, contract_database, stored=True)
