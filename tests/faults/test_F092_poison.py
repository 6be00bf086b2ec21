"""F92: a message that always raises."""

import asyncio
import random
from dataclasses import replace
from typing import Any

from actors.inbox import DELIVERIES_MAX, InboxActor, InboxTimes
from actors.saga import SagaActor, park
from config.limits import SAGA_CRASHES_MAX
from penpay.messages import CancelTransaction, EvidenceArrived, Refusal
from supervisors.root import SupervisionTree
from supervisors.specs import BackoffPolicy, EntityHostSpec, StormPolicy, SupervisorSpec
from tests.actors.house import House
from tests.actors.test_saga import evidence, parts_of, row_of
from tests.faults.test_F091_bell_lost_or_rung_twice import Inbox

POISON = b"poison"


async def test_evidence_that_nobody_can_consume_is_put_in_front_of_a_person(admitted: House) -> None:
    row = replace(evidence(admitted, "stk", b"{}").row, deliveries=DELIVERIES_MAX)
    admitted.clock.turn(10)
    ref = InboxActor.start(
        shard=3,
        addresses=admitted,
        store=Inbox(admitted, [row]),
        clock=admitted.clock,
        ids=admitted.ids,
        times=InboxTimes(sweep_s=3600.0),
    )
    await ref.aask("sweep")
    assert row.id in admitted.quarantined
    assert admitted.reviews == ["evidence_unmatched"]
    await ref.shutdown(1)


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
    sagas = EntityHostSpec(
        name="sagas",
        factory=lambda transaction_id: (Brittle, (transaction_id, parts)),
        on_parked=lambda transaction_id, error: park(transaction_id, error, parts),
        crashes_max=SAGA_CRASHES_MAX,
        backoff=BackoffPolicy(base_s=0.001, cap_s=0.002),
        storm=StormPolicy(share_min=10_000),
    )
    tree = SupervisionTree(
        SupervisorSpec(name="penpay", strategy="one_for_one", children=[sagas], max_restarts=1, within_s=60.0),
        randomness=random.Random(92),
    )
    await tree.start()
    try:
        for _ in range(SAGA_CRASHES_MAX):
            assert admitted.reviews == []
            tree.registry.tell(f"sagas/{poisoned.id}", message)
        async with asyncio.timeout(5):
            while admitted.rows[poisoned.id].state != "IN_REVIEW":
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
    finally:
        await tree.stop()
