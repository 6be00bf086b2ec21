"""F92: a message that always raises."""

from dataclasses import replace

from actors.inbox import DELIVERIES_MAX, InboxActor, InboxTimes
from actors.saga import park
from tests.actors.house import House
from tests.actors.test_saga import evidence, parts_of, row_of
from tests.faults.test_F091_bell_lost_or_rung_twice import Inbox


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


async def test_a_saga_that_keeps_crashing_is_parked_with_its_error(admitted: House) -> None:
    await park(row_of(admitted).id, ValueError("poison"), parts_of(admitted))
    assert (row_of(admitted).state, admitted.reviews) == ("IN_REVIEW", ["parked"])
