"""Units of work through the production ledger: what becomes of them on either store."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from actors.ledger import LedgerActor
from penpay.domain.gate import RecoveryGate
from penpay.domain.unit import UnitOfWork
from penpay.messages import Committed, CommitUnit
from tests.contracts.store.stage import Process, Stage
from tests.ledger.house import CountedIds, admitted, paid, stepped


@asynccontextmanager
async def ledger(stage: Stage, *, node: str = "a") -> AsyncIterator[tuple[Process, object]]:
    process = stage.process(node)
    assert await process.leases.claim_node()
    assert await process.leases.acquire("shard/0") is not None
    parts = {"shard": 0, "store": process.ledger, "ids": CountedIds(), "dice": random.Random(7), "gate": RecoveryGate()}
    ref = LedgerActor.start(**parts)
    await ref.ready()

    async def commit(unit: UnitOfWork) -> object:
        return await ref.aask(CommitUnit(unit), timeout_s=10.0)

    yield process, commit
    await ref.shutdown(5)


async def test_a_deposit_is_recorded_and_read_back(stage):
    async with ledger(stage) as (process, commit):
        first = admitted()
        payment = paid(first)
        for unit in (first, payment, stepped(payment, state="DERIV_HELD")):
            assert isinstance(await commit(unit), Committed)
        again = await commit(payment)
        assert (again.unit_id, again.replayed) == (payment.unit_id, True)
        rows = await process.sagas.load(first.transaction.row.id)
        assert rows.row.state == "DERIV_HELD"
        assert [operation.state for operation in rows.operations] == ["CONFIRMED", "INTENT"]
        assert rows.operations[0].provider_ref == payment.references[0].ref
    assert [row["seq"] for row in stage.stored("units")] == [1, 2, 3]
