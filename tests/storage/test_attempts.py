"""Permission to send, and how attempts end."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from penpay.adapters.attempt_store import MySqlAttemptStore
from penpay.adapters.saga_store import MySqlSagaStore
from penpay.domain.errors import Conflict
from penpay.domain.rail_end import decode_rail_end
from penpay.domain.unit import OperationChange, OperationKind, OperationState, UnitOfWork, UserStatusChange
from penpay.ports import AttemptEnd
from tests.ledger.house import CountedIds, SystemClock, admitted, fresh_id, opened, paid, sealer, stepped, stk

RAIL = "daraja"


@pytest.fixture
async def house(database):
    async with opened(database.url, prefix=database.prefix) as ledger:
        ledger.attempts = MySqlAttemptStore(ledger.database, sealer(), clock=SystemClock(), ids=CountedIds())
        ledger.epoch = (await ledger.leases.acquire("rail/daraja")).epoch
        yield ledger


async def intent(house, **changes):
    unit = admitted(new_operations=(stk(**changes),))
    await house.commit(unit)
    return unit, unit.new_operations[0].id


async def begin(house, operation_id, **changes):
    return await house.attempts.begin(RAIL, changes.get("epoch", house.epoch), operation_id, watermark={"seen": "7"})


def ended(operation_id, **changes):
    fields = {
        "operation_id": operation_id,
        "attempt": 1,
        "kind": "STK",
        "outcome": "CONFIRMED",
        "code": "0",
        "provider_ref": "ws_CO_1",
        "facts": {"checkout_request_id": "ws_CO_1"},
        "at": datetime.now(UTC),
        "body": b'{"phone":"254712345678"}',
    }
    return AttemptEnd(**fields | changes)


async def end(house, operation_id, **changes):
    outcome = ended(operation_id, **changes)
    return await house.attempts.end(RAIL, house.epoch, outcome, shard=0, transaction_id="")


async def test_an_intent_may_be_sent_once(house, database):
    unit, operation_id = await intent(house)
    attempt = await begin(house, operation_id)
    assert (attempt.number, attempt.operation.id, attempt.operation.attempts) == (1, operation_id, 1)
    assert attempt.operation.sealed_request == unit.new_operations[0].sealed_request
    assert attempt.operation.request == {"shortcode": "600000"}
    assert await begin(house, operation_id) is None
    assert database.rows("SELECT attempt, epoch, outcome FROM {ledger}.rail_attempts") == [(1, house.epoch, "")]


async def test_concurrent_permissions_are_given_once_each(house, database):
    operations = [(await intent(house))[1] for _ in range(8)]
    found = await asyncio.gather(*(begin(house, operation_id) for operation_id in operations * 3))
    assert sum(attempt is not None for attempt in found) == 8
    assert {attempt.operation.id for attempt in found if attempt} == set(operations)


async def test_the_data_key_of_the_user_comes_along(house, database):
    unit, operation_id = await intent(house)
    columns = database.rows(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = 'data_keys'",
        (database.schema("users"),),
    )
    assert {("user_id",), ("wrapped",)} <= set(columns)
    database.rows("SET FOREIGN_KEY_CHECKS = 0")
    with database.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0, sql_mode = ''")
        users = database.schema("users")
        cursor.execute(f"INSERT INTO {users}.data_keys SET user_id = %s, wrapped = %s", (unit.user_id, b"wrapped"))
    assert (await begin(house, operation_id)).operation.data_key == b"wrapped"


@pytest.mark.parametrize("state", [OperationState.SENT, OperationState.UNKNOWN, OperationState.REFUSED])
async def test_only_an_intent_may_be_sent(house, state):
    unit, operation_id = await intent(house)
    await house.commit(stepped(unit, state="S", operations=(OperationChange(id=operation_id, to=state),)))
    assert await begin(house, operation_id) is None


async def test_a_second_attempt_needs_the_first_one_closed_by_the_shard(house):
    unit, operation_id = await intent(house)
    await begin(house, operation_id)
    await end(house, operation_id, outcome="NOT_SENT")
    assert await begin(house, operation_id) is None
    retry = OperationChange(id=operation_id, to=OperationState.INTENT, attempts_closed=1)
    await house.commit(stepped(unit, state="S", operations=(retry,)))
    assert (await begin(house, operation_id)).number == 2


async def test_nothing_is_sent_for_a_frozen_user_unless_staff_decided_it(house):
    unit, operation_id = await intent(house)
    status = UserStatusChange(user_id=unit.user_id, status="FROZEN", reason="court order")
    await house.commit(UnitOfWork(unit_id="user:x:1", shard=0, at=datetime.now(UTC), user_status=status))
    assert await begin(house, operation_id) is None
    approved = stk(kind=OperationKind.REVERSAL)
    await house.commit(stepped(unit, state="S", new_operations=(approved,), staff_resolution=True))
    assert await begin(house, approved.id) is not None


async def test_a_former_owner_of_the_rail_sends_nothing(house, database):
    _, operation_id = await intent(house)
    with pytest.raises(Conflict):
        await begin(house, operation_id, epoch=house.epoch - 1)
    await house.leases.acquire("rail/daraja")
    with pytest.raises(Conflict):
        await begin(house, operation_id)
    assert database.rows("SELECT COUNT(*) FROM {ledger}.rail_attempts") == [(0,)]


async def test_an_end_is_evidence_for_the_shard(house, database):
    unit, operation_id = await intent(house)
    await begin(house, operation_id)
    row = await end(house, operation_id)
    assert (row.kind, row.operation_id, row.shard, row.trusted_source) == ("rail", operation_id, 0, True)
    told = decode_rail_end(row.body)
    assert (told.attempt, told.outcome, told.facts) == (1, "CONFIRMED", {"checkout_request_id": "ws_CO_1"})
    stored = database.rows("SELECT outcome, code, ended_at IS NOT NULL, sealed_body FROM {ledger}.rail_attempts")[0]
    assert stored[:3] == ("CONFIRMED", "0", 1)
    aad = f"rail_attempts|sealed_body|{operation_id}|1"
    assert sealer().open(stored[3], aad=aad) == b'{"phone":"254712345678"}'
    rows = await MySqlSagaStore(house.database, sealer()).load(unit.transaction.row.id)
    assert rows.inbox == (row,)


async def test_an_end_is_stored_once(house, database):
    _, operation_id = await intent(house)
    await begin(house, operation_id)
    rows = await asyncio.gather(*(end(house, operation_id, at=datetime.now(UTC)) for _ in range(3)))
    assert len({row.id for row in rows}) == 1
    again = await end(house, operation_id)
    assert again == rows[0]
    assert database.rows("SELECT COUNT(*) FROM {ledger}.callback_inbox") == [(1,)]


async def test_what_is_learned_after_an_unknown_end_replaces_it_and_is_new_evidence(house, database):
    _, operation_id = await intent(house)
    await begin(house, operation_id)
    await end(house, operation_id, outcome="UNKNOWN", code="timeout")
    await end(house, operation_id, outcome="CONFIRMED", code="late")
    await end(house, operation_id, outcome="REFUSED", code="too late")
    assert database.rows("SELECT outcome, code FROM {ledger}.rail_attempts") == [("CONFIRMED", "late")]
    assert database.rows("SELECT COUNT(*) FROM {ledger}.callback_inbox") == [(3,)]


async def test_attempts_of_an_earlier_epoch_without_an_end_are_found(house):
    _, open_one = await intent(house)
    _, ended_one = await intent(house)
    await begin(house, open_one)
    await begin(house, ended_one)
    await end(house, ended_one)
    assert await house.attempts.abandoned(RAIL, house.epoch) == []
    epoch = (await house.leases.acquire("rail/daraja")).epoch
    found = await house.attempts.abandoned(RAIL, epoch)
    assert [(operation.id, number) for operation, number in found] == [(open_one, 1)]


async def test_intents_that_nobody_submitted_are_found_oldest_first(house):
    first, _ = await intent(house, kind=OperationKind.B2C)
    _, second = await intent(house, kind=OperationKind.REVERSAL)
    _, sent = await intent(house, kind=OperationKind.REVERSAL)
    await intent(house)  # a push is submitted by its saga, after the recipient was checked
    _, foreign = await intent(house, kind=OperationKind.DERIV_TRANSFER)
    await begin(house, sent)
    later = datetime.now(UTC) + timedelta(seconds=1)
    found = await house.attempts.intents(RAIL, older_than=later, limit=10)
    assert [operation.id for operation in found] == [first.new_operations[0].id, second]
    assert len(await house.attempts.intents(RAIL, older_than=later, limit=1)) == 1
    assert await house.attempts.intents(RAIL, older_than=first.at, limit=10) == []
    assert [operation.id for operation in await house.attempts.intents("deriv", older_than=later, limit=10)] == [
        foreign
    ]


async def test_operations_that_may_have_executed_something_are_unresolved(house):
    unit, operation_id = await intent(house)
    assert await house.attempts.unresolved("STK") == []
    await begin(house, operation_id)
    assert [operation.id for operation in await house.attempts.unresolved("STK")] == [operation_id]
    unit = stepped(unit, state="S", operations=(OperationChange(id=operation_id, to=OperationState.UNKNOWN),))
    await house.commit(unit)
    assert [operation.attempts for operation in await house.attempts.unresolved("STK")] == [1]
    retry = OperationChange(id=operation_id, to=OperationState.INTENT, attempts_closed=1)
    await house.commit(stepped(unit, state="S", operations=(retry,)))
    assert await house.attempts.unresolved("STK") == []


async def test_the_newest_attempt_and_used_references_are_known(house):
    unit, operation_id = await intent(house)
    attempt = await begin(house, operation_id)
    newest = await house.attempts.newest([operation_id, fresh_id()])
    assert list(newest) == [operation_id]
    assert (newest[operation_id].number, newest[operation_id].watermark) == (attempt.number, {"seen": "7"})
    payment = paid(unit)
    await house.commit(payment)
    ref = payment.references[0].ref
    assert await house.attempts.used_references("mpesa_receipt", [ref, "other"]) == {ref: operation_id}
