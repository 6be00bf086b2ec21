"""Units of work through the production ledger: what becomes of them on either store."""

import asyncio

import pytest

from penpay.domain.errors import OutcomeUnknown, Unavailable
from penpay.domain.unit import RejectCode
from penpay.messages import Committed, UnitRejected
from penpay.ports import ConnectionLost, Deadlock, LockTimeout
from tests.contracts.store.ledgers import ledger
from tests.contracts.store.units import begun
from tests.ledger.house import admitted, paid, plain, stepped, stk

PASSING = {
    "deadlocks": ("ledger.commit", [Deadlock("1213")] * 3),
    "lock waits at the fence": ("ledger.open", [LockTimeout("1205")] * 3),
    "lock waits at the end": ("ledger.commit", [LockTimeout("1205")] * 3),
    "lost before anything was written": ("ledger.open.locked", [ConnectionLost(commit_sent=False)]),
    "lost with the COMMIT, not done": ("ledger.commit", [ConnectionLost(commit_sent=True)] * 2),
    "away": ("ledger.open", [Unavailable("database")] * 2),
}


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


@pytest.mark.parametrize("name", PASSING)
async def test_a_passing_trouble_is_waited_out(stage, name):
    point, errors = PASSING[name]
    async with ledger(stage) as (process, commit):
        process.troubles.plan(point, *errors)
        units = [plain() for _ in range(5)]
        answers = await asyncio.gather(*map(commit, units))
        assert [(answer.unit_id, answer.replayed) for answer in answers] == [(unit.unit_id, False) for unit in units]
        assert commit.ref.incarnation == 1
    assert len(stage.stored("units")) == 5


async def test_a_commit_whose_answer_was_lost_is_found_again(stage):
    async with ledger(stage) as (process, commit):
        process.lose("ledger.commit")
        first = admitted()
        answers = await asyncio.gather(*map(commit, [first, plain(), plain()]))
        assert all(answer.replayed for answer in answers)
        assert isinstance(await commit(paid(first)), Committed)
    assert sorted(row["seq"] for row in stage.stored("units")) == [1, 2, 3, 4]


async def test_the_one_unit_that_the_schema_refuses_is_put_aside_alone(stage):
    async with ledger(stage) as (_, commit):
        misfit = begun(new_operations=(stk(reference="R" * 65),))
        answers = await asyncio.gather(*map(commit, [admitted(), misfit, plain(), admitted()]))
        assert [isinstance(answer, Committed) for answer in answers] == [True, False, True, True]
        assert isinstance(answers[1], UnitRejected)
        assert answers[1].code is RejectCode.QUARANTINED
    assert [row["subject"] for row in stage.stored("dead_letters")] == [misfit.unit_id]
    assert [row["kind"] for row in stage.stored("review_items")] == ["unit_quarantined"]
    assert len(stage.stored("units")) == 3


async def test_a_former_owner_can_write_nothing(stage):
    async with ledger(stage, node="old") as (_, old):
        assert isinstance(await old(plain()), Committed)
        stage.expire("shard/0")
        async with ledger(stage, node="new") as (_, new):
            with pytest.raises(OutcomeUnknown):
                await old(plain())
            assert not old.ref.is_alive()
            assert isinstance(await new(plain()), Committed)
    assert [row["epoch"] for row in stage.stored("units")] == [2, 4]
