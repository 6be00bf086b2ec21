"""F92: a message that always raises."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from actors.base import ActorCrashed, ActorKilled, AsyncioActorRef
from actors.inbox import InboxActor, InboxTimes
from actors.saga import SagaActor
from actors.suspects import Suspects
from penpay.domain.errors import Unavailable
from penpay.domain.suspicion import DELIVERIES_MAX
from penpay.messages import CancelTransaction, EvidenceArrived, EvidenceBroke, InboxRow, Refusal, inbox_of
from penpay.simulation.play import play
from penpay.simulation.world import Seed
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, parts_of, row_of
from tests.faults.hosting import hosted
from tests.faults.test_F091_bell_lost_or_rung_twice import Inbox

POISON = b"poison"


@pytest.fixture
def poison(admitted: House) -> EvidenceArrived:
    return evidence(admitted, "stk", b"{}")


@pytest.fixture
async def inbox(admitted: House, poison: EvidenceArrived) -> AsyncIterator[AsyncioActorRef]:
    """It looks when it is asked to, and hands the row over anew each time."""
    ref = InboxActor.start(
        shard=3,
        addresses=admitted,
        store=Inbox(admitted, [poison.row]),
        suspects=Suspects(admitted),
        clock=admitted.clock,
        ids=admitted.ids,
        times=InboxTimes(sweep_s=3600.0),
    )
    yield ref
    await ref.shutdown(1)


async def looks(house: House, inbox: AsyncioActorRef) -> None:
    house.clock.turn(20)
    await inbox.aask("sweep")


async def breaks(house: House, message: EvidenceArrived) -> None:
    """One incarnation of its saga is given the message, and breaks over a row."""
    ref = SagaActor.start(row_of(house).id, parts_of(house))
    house.failing.append(ValueError("poison"))
    with pytest.raises((ActorCrashed, ValueError)):
        await ref.aask(message)
    await ref.shutdown(1)


def told(house: House) -> list[object]:
    return house.told_to(inbox_of(3))


async def test_evidence_that_a_saga_breaks_over_again_and_again_is_put_in_front_of_a_person(
    admitted: House, inbox: AsyncioActorRef, poison: EvidenceArrived
) -> None:
    for _ in range(DELIVERIES_MAX):
        await looks(admitted, inbox)
        assert poison.row.id not in admitted.quarantined
        await breaks(admitted, poison)
        await inbox.aask(told(admitted)[-1])
    await looks(admitted, inbox)
    assert poison.row.id in admitted.quarantined
    assert admitted.reviews == ["evidence_unmatched"]


async def test_evidence_that_its_saga_has_not_taken_waits_for_it(
    admitted: House, inbox: AsyncioActorRef, poison: EvidenceArrived
) -> None:
    """It lies in a mailbox for as long as a storm or a person holds the saga."""
    for _ in range(2 * DELIVERIES_MAX):
        await looks(admitted, inbox)
    assert (admitted.quarantined, admitted.reviews) == (set(), [])


async def test_only_the_row_that_a_saga_breaks_over_is_counted(admitted: House, poison: EvidenceArrived) -> None:
    """What waits in the inbox is applied before the message that came; that one was not taken."""
    admitted.waiting = [poison.row]
    await breaks(admitted, accepted(admitted))
    assert told(admitted) == [EvidenceBroke(poison.row.id)]


async def test_a_ledger_that_is_away_is_no_fault_of_the_evidence(admitted: House, poison: EvidenceArrived) -> None:
    ref = SagaActor.start(row_of(admitted).id, parts_of(admitted))
    admitted.failing.append(Unavailable("ledger"))
    with pytest.raises(Unavailable):
        await ref.aask(poison)
    await ref.shutdown(1)
    assert told(admitted) == []


async def test_evidence_over_which_a_saga_stands_still_until_it_is_killed_is_counted(
    admitted: House, poison: EvidenceArrived
) -> None:
    ref = SagaActor.start(row_of(admitted).id, parts_of(admitted))
    stands_still = asyncio.Event()

    async def forever() -> None:
        stands_still.set()
        await asyncio.Event().wait()

    admitted.meanwhile.append(forever)
    asked = asyncio.ensure_future(ref.aask(poison))
    await stands_still.wait()
    ref.kill()
    with pytest.raises(ActorKilled):
        await asked
    await ref.shutdown(1)
    assert told(admitted) == [EvidenceBroke(poison.row.id)]


@pytest.mark.parametrize("number", [1720001, 1720003])
def test_a_whole_node_puts_poison_aside_before_it_parks_the_saga_and_finds_the_money_otherwise(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    broke_over: list[str] = []
    said = SagaActor._said

    def poisoned(self: SagaActor, row: InboxRow) -> object:
        if row.kind == "stk":
            broke_over.append(row.id)
            raise ValueError("poison")
        return said(self, row)

    monkeypatch.setattr(SagaActor, "_said", poisoned)
    played = play(Seed(number, faults=()))
    assert set(Counter(broke_over).values()) == {DELIVERIES_MAX}
    assert played.wrong == ("an actor broke: ValueError('poison')",)
    assert {state for state in played.states if "DEPOSIT" in state} == {"DEPOSIT COMPLETED"}


class Brittle(SagaActor):
    """A saga with a bug: one message always breaks it."""

    async def on_receive(self, message: Any) -> Any:
        if isinstance(message, EvidenceArrived) and message.row.body == POISON:
            raise ValueError("a bug")
        return await super().on_receive(message)


async def test_a_saga_that_a_message_always_breaks_is_parked_alone_and_with_its_error(admitted: House) -> None:
    poisoned, parts = row_of(admitted), parts_of(admitted)
    sound = replace(poisoned, id=admitted.ids.ulid())
    admitted.rows[sound.id] = sound
    message = evidence(admitted, "stk", POISON)
    async with hosted(parts, Brittle) as tree:
        assert admitted.reviews == []
        async with asyncio.timeout(60):
            while admitted.rows[poisoned.id].state != "IN_REVIEW":
                tree.registry.tell(f"sagas/{poisoned.id}", message)
                await asyncio.sleep(0.001)
        assert admitted.reviews == ["parked"]
        (question,) = [one for unit in admitted.units.values() for one in unit.reviews]
        assert question.evidence == {"error": "ValueError"}
        tree.registry.tell(f"sagas/{poisoned.id}", message)
        refused = await tree.registry.ask(f"sagas/{sound.id}", CancelTransaction("nobody"), timeout_s=5.0)
        assert refused == Refusal("not_found"), "its neighbour does not answer"
        assert admitted.rows[sound.id] == sound
        (host,) = tree.describe()["children"]
        assert (host["restarts"], host["state"]) == (0, "running")
