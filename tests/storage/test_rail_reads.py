"""What rails look up beside their attempts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from penpay.adapters.attempt_store import MySqlAttemptStore
from penpay.adapters.rail_reads import MySqlRailReads
from penpay.domain.ledger import AccountCode
from penpay.domain.money import kes, usd
from penpay.domain.postings import opening
from penpay.domain.unit import OperationChange, OperationKind, OperationState, UnitOfWork
from tests.ledger.house import CountedIds, SystemClock, admitted, fresh_id, opened, sealer, stepped, stk


@pytest.fixture
async def house(database):
    async with opened(database.url, prefix=database.prefix) as ledger:
        ledger.reads = MySqlRailReads(ledger.database)
        ledger.attempts = MySqlAttemptStore(ledger.database, sealer(), clock=SystemClock(), ids=CountedIds())
        yield ledger


async def intent(house, kind, amount, **changes):
    unit = admitted(new_operations=(stk(kind=kind, amount=amount),))
    if changes:
        change = unit.transaction
        unit = replace(unit, transaction=replace(change, row=replace(change.row, **changes)))
    await house.commit(unit)
    return unit, unit.new_operations[0].id


async def test_an_operation_is_read_as_its_intent_said(house):
    unit, operation_id = await intent(house, OperationKind.B2C, kes(249_000))
    found = await house.reads.operations([operation_id, fresh_id()])
    assert list(found) == [operation_id]
    intended = unit.new_operations[0]
    row = found[operation_id]
    assert (row.kind, row.amount, row.request) == ("B2C", kes(249_000), intended.request)
    assert (row.sealed_request, row.attempts, row.user_id) == (intended.sealed_request, 0, unit.user_id)
    assert await house.reads.operations([]) == {}


async def test_payouts_without_an_end_and_debits_on_their_way_are_reserved(house):
    assert await house.reads.reserved_payouts_minor() == 0
    unit, payout = await intent(house, OperationKind.B2C, kes(249_000))
    await intent(
        house, OperationKind.DERIV_WITHDRAW, usd(2_000), send=usd(2_000), receive=kes(100_000), type="WITHDRAWAL"
    )
    await intent(house, OperationKind.STK, kes(130_000))
    assert await house.reads.reserved_payouts_minor() == 349_000
    for state in (OperationState.SENT, OperationState.UNKNOWN):
        unit = stepped(unit, state="S", operations=(OperationChange(id=payout, to=state),))
        await house.commit(unit)
        assert await house.reads.reserved_payouts_minor() == 349_000
    await house.commit(stepped(unit, state="S", operations=(OperationChange(id=payout, to=OperationState.CONFIRMED),)))
    assert await house.reads.reserved_payouts_minor() == 100_000


async def test_the_books_of_an_account_begin_with_its_opening_or_else_the_installation(house):
    installed_at = await house.reads.booked_since("deriv_agent")
    at = datetime.now(UTC)
    assert at - timedelta(minutes=10) < installed_at <= at
    posting = opening(0, AccountCode.DERIV_AGENT, usd(100))
    await house.commit(UnitOfWork(unit_id="opening:deriv_agent", shard=0, at=at, postings=(posting,)))
    assert await house.reads.booked_since("deriv_agent") >= at - timedelta(seconds=1)
    assert await house.reads.booked_since("mpesa_utility") == installed_at


async def test_each_sender_of_a_rail_finds_its_own_intents(house):
    _, debit = await intent(house, OperationKind.DERIV_WITHDRAW, usd(2_000))
    _, back = await intent(house, OperationKind.DERIV_RETURN, usd(2_000))
    later = datetime.now(UTC) + timedelta(seconds=1)
    for kinds, expected in (({"DERIV_WITHDRAW"}, {debit}), ({"DERIV_RETURN"}, {back}), ((), {debit, back})):
        found = await house.attempts.intents("deriv", kinds=kinds, older_than=later, limit=10)
        assert {operation.id for operation in found} == expected
