"""The production ledger on either store."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from actors.base import AsyncioActorRef
from actors.ledger import LedgerActor
from penpay.domain.gate import RecoveryGate
from penpay.domain.unit import UnitOfWork
from penpay.messages import Committed, CommitUnit, UnitRejected
from tests.contracts.store.stage import Process, Stage
from tests.ledger.house import CountedIds

Commit = Callable[[UnitOfWork], Awaitable[Committed | UnitRejected]]


def started(process: Process, *, shard: int = 0) -> AsyncioActorRef:
    parts = {"shard": shard, "store": process.ledger, "ids": CountedIds(), "dice": random.Random(7)}
    return LedgerActor.start(**parts, gate=RecoveryGate())


@asynccontextmanager
async def ledger(stage: Stage, *, node: str = "a") -> AsyncIterator[tuple[Process, Commit]]:
    """A process that owns shard 0, and what hands units to its ledger."""
    process = stage.process(node)
    assert await process.leases.claim_node()
    assert await process.leases.acquire("shard/0") is not None
    ref = started(process)
    await ref.ready()

    async def commit(unit: UnitOfWork) -> Committed | UnitRejected:
        answer: Committed | UnitRejected = await ref.aask(CommitUnit(unit), timeout_s=20.0)
        return answer

    commit.ref = ref
    yield process, commit
    await ref.shutdown(5)
