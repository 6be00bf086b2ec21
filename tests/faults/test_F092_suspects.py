"""F92: evidence that may end processes is taken by one saga at a time, and the row says so first."""

import asyncio
from dataclasses import replace

import pytest

from actors.base import AsyncioActorRef
from actors.saga import SagaActor
from actors.suspects import Suspects
from penpay.domain.errors import Unavailable
from penpay.domain.suspicion import DELIVERIES_MAX, SUSPECT
from penpay.messages import EvidenceArrived, InboxRow
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, paid_body, parts_of, row_of


@pytest.fixture
async def paid(admitted: House, saga: AsyncioActorRef) -> EvidenceArrived:
    await saga.aask(accepted(admitted))
    arrived = evidence(admitted, "stk", paid_body(admitted.clock.now()))
    return EvidenceArrived(replace(arrived.row, suspicion=SUSPECT))


async def test_a_suspect_is_in_hand_before_anything_is_recorded(
    admitted: House, saga: AsyncioActorRef, paid: EvidenceArrived
) -> None:
    said: list[list[tuple[str, bool]]] = []

    async def on_the_way() -> None:
        said.append(list(admitted.in_hand))

    admitted.meanwhile.append(on_the_way)
    await saga.aask(paid)
    assert said == [[(paid.row.id, True)]]
    assert paid.row.id in admitted.consumed


async def test_ordinary_evidence_says_nothing_of_itself(
    admitted: House, saga: AsyncioActorRef, paid: EvidenceArrived
) -> None:
    await saga.aask(EvidenceArrived(replace(paid.row, suspicion=SUSPECT - 1)))
    assert (admitted.in_hand, paid.row.id in admitted.consumed) == ([], True)


async def test_a_dependency_that_is_away_is_not_held_against_a_suspect(
    admitted: House, saga: AsyncioActorRef, paid: EvidenceArrived
) -> None:
    admitted.failing.append(Unavailable("ledger"))
    with pytest.raises(Unavailable):
        await saga.aask(paid)
    assert admitted.in_hand == [(paid.row.id, True), (paid.row.id, False)]
    await saga.aask(paid)
    assert paid.row.id in admitted.consumed


async def test_a_saga_leaves_to_the_inbox_what_broke_too_much(
    admitted: House, saga: AsyncioActorRef, paid: EvidenceArrived
) -> None:
    before = row_of(admitted)
    admitted.waiting = [replace(paid.row, deliveries=DELIVERIES_MAX)]
    await saga.shutdown(1)
    again = SagaActor.start(before.id, parts_of(admitted))
    await again.aask(EvidenceArrived(admitted.waiting[0]))
    await again.shutdown(1)
    assert (row_of(admitted), admitted.in_hand) == (before, [])


async def test_suspects_are_taken_one_at_a_time(admitted: House, paid: EvidenceArrived) -> None:
    suspects, free = Suspects(admitted), asyncio.Event()

    async def taken(row: InboxRow) -> None:
        async with suspects.taken(row):
            await free.wait()

    first, second = (asyncio.ensure_future(taken(replace(paid.row, id=row_id))) for row_id in "12")
    while not admitted.in_hand:
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert admitted.in_hand == [("1", True)]
    free.set()
    await asyncio.gather(first, second)
    assert admitted.in_hand == [("1", True), ("2", True)]


async def test_whoever_waits_too_long_for_a_turn_is_told_so(
    admitted: House, paid: EvidenceArrived, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.suspects.TURN_S", 0.0)
    suspects, second = Suspects(admitted), replace(paid.row, id="2")
    async with suspects.taken(replace(paid.row, id="1")):
        with pytest.raises(Unavailable):
            async with suspects.taken(second):
                pytest.fail("two at a time")
    assert admitted.in_hand == [("1", True)]
    async with suspects.taken(second):
        assert admitted.in_hand[-1] == ("2", True)
