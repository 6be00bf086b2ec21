"""Permission to send, and how attempts end."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penpay.domain.errors import Conflict, Unavailable
from penpay.domain.money import usd
from penpay.domain.rail_end import decode_rail_end
from penpay.domain.unit import (
    OperationChange,
    OperationKind,
    OperationState,
    ProviderReference,
    RejectCode,
    TransactionEvent,
)
from penpay.messages import UnitRejected
from penpay.ports import AttemptEnd, Unwitnessed
from tests.contracts.store.ledgers import ledger
from tests.contracts.store.units import begun, cancelled, confirmed, debited, status_changed, withdrawal
from tests.ledger.house import fresh_id, paid, stepped, stk

RAIL = "daraja"
LATER = timedelta(seconds=1)


class Rail:
    """A process that owns shard 0 and a rail."""

    def __init__(self, stage, process, commit) -> None:
        self.stage = stage
        self.process = process
        self.commit = commit
        self.epoch = 0

    async def take(self) -> None:
        self.epoch = (await self.process.leases.acquire("rail/daraja")).epoch

    async def intent(self, **changes):
        unit = begun(new_operations=(stk(**changes),))
        await self.commit(unit)
        return unit, unit.new_operations[0].id

    async def begin(self, operation_id, *, epoch=None, rail=RAIL):
        mine = self.epoch if epoch is None else epoch
        return await self.process.attempts.begin(rail, mine, operation_id, watermark={"seen": "7"})

    async def end(self, operation_id, **changes):
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
        ended = AttemptEnd(**fields | changes)
        return await self.process.attempts.end(RAIL, self.epoch, ended, shard=0, transaction_id="")

    def attempts(self, *columns: str) -> list[tuple[Any, ...]]:
        return [tuple(row[column] for column in columns) for row in self.stage.stored("rail_attempts")]

    async def move(self, unit, **change: Any):
        moved = stepped(unit, state="S", operations=(OperationChange(id=unit.new_operations[0].id, **change),))
        await self.commit(moved)
        return moved


@pytest.fixture
async def rail(stage):
    async with ledger(stage) as (process, commit):
        made = Rail(stage, process, commit)
        await made.take()
        yield made


async def test_an_intent_may_be_sent_once(rail):
    unit, operation_id = await rail.intent()
    rail.stage.give_data_key(unit.transaction.row.user_id, b"wrapped")
    attempt = await rail.begin(operation_id)
    assert (attempt.number, attempt.operation.id, attempt.operation.attempts) == (1, operation_id, 1)
    assert attempt.operation.sealed_request == unit.new_operations[0].sealed_request
    assert attempt.operation.request == {"shortcode": "600000"}
    assert attempt.operation.data_key == b"wrapped"
    assert await rail.begin(operation_id) is None
    assert rail.attempts("attempt", "epoch", "outcome", "rail") == [(1, rail.epoch, "", "rail/daraja")]


async def test_concurrent_permissions_are_given_once_each(rail):
    operations = [(await rail.intent())[1] for _ in range(8)]
    found = await asyncio.gather(*(rail.begin(operation_id) for operation_id in operations * 3))
    assert sum(attempt is not None for attempt in found) == 8
    assert {attempt.operation.id for attempt in found if attempt} == set(operations)


async def _as_it_is(rail, unit):
    return unit


async def _attempted(rail, unit):
    await rail.begin(unit.new_operations[0].id)
    return unit


async def _frozen(rail, unit):
    await rail.commit(status_changed(unit.transaction.row.user_id, "FROZEN"))


async def _freed(rail, unit):
    await _frozen(rail, unit)
    await rail.commit(status_changed(unit.transaction.row.user_id, "ACTIVE", number=2))


async def _closed_again(rail, unit):
    await _attempted(rail, unit)
    await rail.move(unit, to=OperationState.INTENT, attempts_closed=1)


async def _ended_only(rail, unit):
    await _attempted(rail, unit)
    await rail.end(unit.new_operations[0].id, outcome="NOT_SENT")


def _to(state: OperationState) -> Callable[..., Any]:
    return lambda rail, unit: rail.move(unit, to=state)


MAY_BE_SENT = {
    "an intent": (_as_it_is, 1),
    "an attempt without an end": (_attempted, None),
    "an attempt that ended, which the shard has not seen": (_ended_only, None),
    "an attempt that the shard has closed": (_closed_again, 2),
    "of a frozen user": (_frozen, None),
    "of a user who is free again": (_freed, 1),
    **{str(state): (_to(state), None) for state in OperationState if state is not OperationState.INTENT},
}


@pytest.mark.parametrize("name", MAY_BE_SENT)
async def test_what_may_be_sent(rail, name):
    happens, number = MAY_BE_SENT[name]
    unit, operation_id = await rail.intent()
    await happens(rail, unit)
    attempt = await rail.begin(operation_id)
    assert (attempt.number if attempt else None) == number


async def test_an_operation_that_does_not_exist_is_not_sent(rail):
    assert await rail.begin(fresh_id()) is None
    assert rail.attempts("attempt") == []


async def test_what_staff_decided_is_sent_for_a_frozen_user(rail):
    unit, _ = await rail.intent()
    await _frozen(rail, unit)
    approved = stk(kind=OperationKind.REVERSAL)
    await rail.commit(stepped(unit, state="S", new_operations=(approved,), staff_resolution=True))
    assert await rail.begin(approved.id) is not None


async def test_a_former_owner_of_the_rail_sends_nothing(rail):
    _, operation_id = await rail.intent()
    with pytest.raises(Conflict):
        await rail.begin(operation_id, epoch=rail.epoch - 1)
    await rail.process.leases.acquire("rail/daraja")
    with pytest.raises(Conflict):
        await rail.begin(operation_id)
    with pytest.raises(Conflict):
        await rail.begin(operation_id, rail="rail/unheard")
    assert rail.attempts("attempt") == []


@pytest.mark.parametrize("effect", [True, False])
async def test_a_permission_whose_answer_was_lost_is_given_once(rail, effect):
    _, operation_id = await rail.intent()
    rail.process.lose("attempts.begin", effect=effect)
    assert (await rail.begin(operation_id)).number == 1
    assert rail.attempts("attempt") == [(1,)]


async def test_a_permission_that_nobody_can_confirm_is_no_permission(rail):
    _, operation_id = await rail.intent()
    rail.process.lose("attempts.begin", times=5)
    with pytest.raises(Unavailable):
        await rail.begin(operation_id)
    assert rail.attempts("attempt", "outcome") == [(1, "")]
    assert await rail.begin(operation_id) is None, "it may have been used: its end is unknown"


async def test_an_intent_with_an_attempt_cannot_be_withdrawn(rail):
    unit, operation_id = await rail.intent()
    await rail.begin(operation_id)
    refused = await rail.commit(cancelled(unit))
    assert isinstance(refused, UnitRejected)
    assert refused.code is RejectCode.ATTEMPT_EXISTS
    await rail.move(unit, to=OperationState.INTENT, attempts_closed=1)
    withdrawn = OperationChange(id=operation_id, to=OperationState.WITHDRAWN)
    moved = stepped(stepped(unit, state="S"), state="FAILED", operations=(withdrawn,))
    assert not isinstance(await rail.commit(moved), UnitRejected)
    assert await rail.begin(operation_id) is None


async def test_an_intent_is_withdrawn_or_sent_and_never_both(rail):
    units = [(await rail.intent())[0] for _ in range(10)]
    answers = await asyncio.gather(
        *(call for unit in units for call in (rail.commit(cancelled(unit)), rail.begin(unit.new_operations[0].id)))
    )
    for withdrawn, attempt in zip(answers[::2], answers[1::2], strict=True):
        assert isinstance(withdrawn, UnitRejected) is (attempt is not None)


async def test_an_end_is_evidence_for_the_shard(rail):
    unit, operation_id = await rail.intent()
    await rail.begin(operation_id)
    row = await rail.end(operation_id)
    assert (row.kind, row.operation_id, row.shard, row.trusted_source) == ("rail", operation_id, 0, True)
    told = decode_rail_end(row.body)
    assert (told.attempt, told.outcome, told.facts) == (1, "CONFIRMED", {"checkout_request_id": "ws_CO_1"})
    assert rail.attempts("outcome", "code", "provider_ref") == [("CONFIRMED", "0", "ws_CO_1")]
    assert (await rail.process.sagas.load(unit.transaction.row.id)).inbox == (row,)


@pytest.mark.parametrize("effect", [True, False])
async def test_an_end_is_stored_once(rail, effect):
    _, operation_id = await rail.intent()
    await rail.begin(operation_id)
    rail.process.lose("attempts.end", effect=effect)
    rows = await asyncio.gather(*(rail.end(operation_id, at=datetime.now(UTC)) for _ in range(3)))
    assert len({row.id for row in rows}) == 1
    assert await rail.end(operation_id) == rows[0]
    assert len(rail.stage.stored("callback_inbox")) == 1


async def test_what_is_learned_after_an_unknown_end_replaces_it_and_is_new_evidence(rail):
    _, operation_id = await rail.intent()
    await rail.begin(operation_id)
    for outcome, code in (("UNKNOWN", "timeout"), ("CONFIRMED", "late"), ("REFUSED", "too late")):
        await rail.end(operation_id, outcome=outcome, code=code)
    assert rail.attempts("outcome", "code") == [("CONFIRMED", "late")]
    assert len(rail.stage.stored("callback_inbox")) == 3


async def test_what_is_learned_without_an_attempt_is_evidence_only(rail):
    _, operation_id = await rail.intent()
    row = await rail.end(operation_id, code="c" * 200, provider_ref="r" * 200)
    assert decode_rail_end(row.body).code == "c" * 200
    assert rail.attempts("attempt") == []
    await rail.begin(operation_id)
    await rail.end(operation_id, outcome="REFUSED", code="c" * 200, provider_ref="r" * 200)
    assert rail.attempts("code", "provider_ref") == [("c" * 128, "r" * 128)]


async def test_an_end_is_stored_although_the_rail_was_lost(rail):
    _, operation_id = await rail.intent()
    await rail.begin(operation_id)
    await rail.process.leases.acquire("rail/daraja")
    assert (await rail.end(operation_id)).operation_id == operation_id


async def test_attempts_of_an_earlier_epoch_without_an_end_are_found(rail):
    _, open_one = await rail.intent()
    _, ended_one = await rail.intent()
    _, unknown_one = await rail.intent()
    for operation_id in (open_one, ended_one, unknown_one):
        await rail.begin(operation_id)
    await rail.end(ended_one)
    await rail.end(unknown_one, outcome="UNKNOWN")
    assert await rail.process.attempts.abandoned(RAIL, rail.epoch) == []
    await rail.take()
    found = await rail.process.attempts.abandoned(RAIL, rail.epoch)
    assert [(operation.id, number) for operation, number in found] == [(open_one, 1)]
    assert await rail.process.attempts.abandoned("deriv", 99) == []


async def test_a_call_is_under_way_until_its_rail_or_the_next_epoch_ends_it(rail):
    process = rail.process
    unit, operation_id = await rail.intent()

    async def under_way() -> bool:
        (operation,) = (await process.sagas.load(unit.transaction.row.id)).operations
        return operation.under_way

    assert not await under_way()
    assert (await rail.begin(operation_id)).operation.under_way
    assert await under_way()
    (unresolved,) = await process.attempts.unresolved("STK")
    assert unresolved.under_way
    await rail.take()
    ((left, number),) = await process.attempts.abandoned(RAIL, rail.epoch)
    assert (left.under_way, await under_way()) == (True, True)
    await rail.end(left.id, attempt=number, outcome="UNKNOWN", code="abandoned")
    assert not await under_way()
    (unresolved,) = await process.attempts.unresolved("STK")
    assert not unresolved.under_way


async def test_an_attempt_that_follows_an_ended_one_is_under_way(rail):
    unit, operation_id = await rail.intent()
    await rail.begin(operation_id)
    await rail.end(operation_id, outcome="NOT_SENT")
    await rail.move(unit, to=OperationState.INTENT, attempts_closed=1)
    (operation,) = (await rail.process.sagas.load(unit.transaction.row.id)).operations
    assert (operation.attempts, operation.under_way) == (1, False)
    await rail.begin(operation_id)
    (operation,) = (await rail.process.sagas.load(unit.transaction.row.id)).operations
    assert (operation.attempts, operation.under_way) == (2, True)


async def test_intents_that_nobody_submitted_are_found_oldest_first(rail):
    first, _ = await rail.intent(kind=OperationKind.B2C)
    _, second = await rail.intent(kind=OperationKind.REVERSAL)
    _, sent = await rail.intent(kind=OperationKind.REVERSAL)
    retried, _ = await rail.intent(kind=OperationKind.REVERSAL)
    await rail.intent()  # a push is submitted by its saga, after the recipient was checked
    _, foreign = await rail.intent(kind=OperationKind.DERIV_TRANSFER)
    await rail.begin(sent)
    await _closed_again(rail, retried)
    attempts, later = rail.process.attempts, datetime.now(UTC) + LATER

    async def found(name=RAIL, **asked):
        return [row.id for row in await attempts.intents(name, **{"older_than": later, "limit": 10} | asked)]

    assert await found() == [first.new_operations[0].id, second]
    assert await found(limit=1) == [first.new_operations[0].id]
    assert await found(older_than=first.at) == []
    assert await found(kinds=("REVERSAL",)) == [second]
    assert await found(kinds=("STK",)) == []
    assert await found("deriv") == [foreign]


async def test_operations_that_may_have_executed_something_are_unresolved(rail):
    unit, operation_id = await rail.intent()
    unresolved = rail.process.attempts.unresolved
    assert await unresolved("STK") == []
    await rail.begin(operation_id)
    assert [operation.id for operation in await unresolved("STK")] == [operation_id]
    assert await unresolved("B2C") == []
    unit = await rail.move(unit, to=OperationState.UNKNOWN) and stepped(unit, state="S")
    assert [operation.attempts for operation in await unresolved("STK")] == [1]
    retry = OperationChange(id=operation_id, to=OperationState.INTENT, attempts_closed=1)
    await rail.commit(stepped(unit, state="S", operations=(retry,)))
    assert await unresolved("STK") == []


@pytest.mark.parametrize(
    ("kind", "state", "kept"),
    [
        (OperationKind.DERIV_WITHDRAW, OperationState.CONFIRMED, False),
        (OperationKind.DERIV_WITHDRAW, OperationState.REFUSED, False),
        (OperationKind.DERIV_WITHDRAW, OperationState.UNKNOWN, True),
        (OperationKind.B2C, OperationState.CONFIRMED, True),
    ],
)
async def test_a_debit_that_is_over_forgets_its_code(rail, kind, state, kept):
    unit, operation_id = await rail.intent(kind=kind)
    await rail.move(unit, to=state)
    found = await rail.process.rail_reads.operations([operation_id])
    assert bool(found[operation_id].sealed_request) is kept


async def test_a_final_operation_is_resolved_whatever_its_attempts(rail):
    unit, operation_id = await rail.intent()
    await rail.begin(operation_id)
    await rail.move(unit, to=OperationState.CONFIRMED)
    assert await rail.process.attempts.unresolved("STK") == []


async def test_debits_that_wait_for_our_side_of_them_are_unwitnessed(rail):
    first, seen, asked, begun_ = withdrawal(), withdrawal(), withdrawal(), withdrawal()
    for unit in (first, seen, asked, begun_):
        await rail.commit(unit)
    steps = (TransactionEvent(from_state="DERIV_SENDING", event="DebitConfirmed", to_state="DEBITED"),)
    waiting = stepped(first, state="DEBITED", operations=(confirmed(first),))
    await rail.commit(replace(waiting, transaction=replace(waiting.transaction, events=steps)))
    await rail.commit(debited(seen))
    await rail.begin(begun_.new_operations[0].id)
    found = await rail.process.attempts.unwitnessed(begun_.at - timedelta(hours=1))
    assert {(row.id, row.state, row.attempts) for row in found.waiting} == {
        (first.new_operations[0].id, "CONFIRMED", 0),
        (begun_.new_operations[0].id, "INTENT", 1),
    }
    assert found.in_review == []
    assert await rail.process.attempts.unwitnessed(begun_.at + timedelta(hours=1)) == Unwitnessed([], [])


def in_review(first, **changes):
    """Executed, and before people."""
    steps = (TransactionEvent(from_state="DERIV_SENDING", event="DebitConfirmed", to_state="IN_REVIEW"),)
    unit = stepped(first, state="IN_REVIEW", operations=(confirmed(first),), **changes)
    return replace(unit, transaction=replace(unit.transaction, events=steps))


@pytest.mark.parametrize("kind", ["deriv_credit", "deriv_credit_claimed"])
async def test_executed_debits_in_review_are_known_until_our_side_of_them_is(rail, kind):
    missed, seen, waiting, other = withdrawal(), withdrawal(), withdrawal(), withdrawal()
    for unit in (missed, seen, waiting, other):
        await rail.commit(unit)
    reference = ProviderReference(kind=kind, ref=fresh_id(), operation_id=seen.new_operations[0].id)
    await rail.commit(in_review(missed))
    await rail.commit(in_review(seen, references=(reference,)))
    await rail.commit(debited(other))
    found = await rail.process.attempts.unwitnessed(missed.at - timedelta(hours=1))
    assert [(row.id, row.state) for row in found.in_review] == [(missed.new_operations[0].id, "CONFIRMED")]
    assert found.waiting == []
    assert await rail.process.attempts.unwitnessed(missed.at + timedelta(hours=1)) == Unwitnessed([], [])


async def test_the_newest_attempt_and_used_references_are_known(rail):
    unit, operation_id = await rail.intent()
    await rail.begin(operation_id)
    unit = await rail.move(unit, to=OperationState.INTENT, attempts_closed=1) and stepped(unit, state="S")
    attempt = await rail.begin(operation_id)
    newest = await rail.process.attempts.newest([operation_id, fresh_id()])
    assert list(newest) == [operation_id]
    assert newest[operation_id].watermark == {"seen": "7"}
    assert newest[operation_id].number == attempt.number == 2
    await rail.end(operation_id, attempt=2)
    ended = (await rail.process.attempts.newest([operation_id]))[operation_id]
    assert (ended.provider_ref, ended.code) == ("ws_CO_1", "0")
    first = begun()
    payment = paid(first)
    for unit in (first, payment):
        await rail.commit(unit)
    ref = payment.references[0]
    used = rail.process.attempts.used_references
    assert await used("mpesa_receipt", [ref.ref, "other"]) == {ref.ref: ref.operation_id}
    assert await used("deriv_transaction", [ref.ref]) == {}


@pytest.mark.parametrize(
    ("kind", "reference"),
    [
        (OperationKind.DERIV_TRANSFER, "deriv_transaction"),
        (OperationKind.DERIV_RETURN, "deriv_transaction"),
        (OperationKind.DERIV_WITHDRAW, "deriv_debit"),
    ],
)
async def test_what_a_confirmed_end_names_is_taken_before_its_shard_has_recorded_it(rail, kind, reference):
    _, operation_id = await rail.intent(kind=kind, amount=usd(966))
    _, another = await rail.intent(kind=kind, amount=usd(967))
    used = rail.process.attempts.used_references
    for begun_id in (operation_id, another):
        await rail.begin(begun_id)
    await rail.end(another, kind=kind, outcome="UNKNOWN", provider_ref="78")
    assert await used(reference, ["77", "78"]) == {}
    await rail.end(operation_id, kind=kind, provider_ref="77")
    assert await used(reference, ["77", "78"]) == {"77": operation_id}
    assert await used("deriv_credit", ["77"]) == {}


async def test_a_freeze_counts_from_when_it_is_recorded(rail):
    """Its unit may have waited for the database; what was attempted meanwhile was allowed."""
    unit, _ = await rail.intent()
    frozen = status_changed(unit.transaction.row.user_id, "FROZEN")
    await rail.commit(replace(frozen, at=frozen.at - timedelta(hours=1)))
    (stored,) = rail.stage.stored("user_status")
    assert abs(stored["frozen_at"].replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(minutes=1)
