"""F91: the bell for stored evidence is lost, or rings again and again."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from actors.base import AsyncioActorRef
from actors.inbox import InboxActor, InboxTimes
from penpay.messages import EvidenceArrived, InboxBell, InboxRow
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, operation, paid_body, row_of, settle


class Inbox:
    """Rows that nobody has consumed."""

    def __init__(self, house: House, rows: Sequence[InboxRow]) -> None:
        self.house = house
        self.rows = list(rows)

    async def waiting(self, shard: int, *, older_than: datetime, limit: int) -> Sequence[InboxRow]:
        return [row for row in self.rows if row.received_at <= older_than and row.id not in self.house.consumed]

    async def transactions_of(self, operation_ids: Sequence[str]) -> dict[str, str]:
        return {operation(self.house, "STK"): row_of(self.house).id}

    async def delivered(self, inbox_ids: Sequence[str]) -> None:
        self.rows = [replace(row, deliveries=row.deliveries + 1) for row in self.rows]


async def test_a_sweep_brings_what_no_bell_rang_for(admitted: House) -> None:
    row = evidence(admitted, "stk", b"{}").row
    times = InboxTimes(sweep_s=3600.0)
    ref = InboxActor.start(
        shard=3, addresses=admitted, store=Inbox(admitted, [row]), clock=admitted.clock, ids=admitted.ids, times=times
    )
    await ref.aask("sweep")
    assert not admitted.told_to(f"shards/3/sagas/{row_of(admitted).id}")[1:]
    admitted.clock.turn(2.1)
    await ref.aask("sweep")
    assert EvidenceArrived(row) in admitted.told_to(f"shards/3/sagas/{row_of(admitted).id}")
    await ref.shutdown(1)


async def test_evidence_that_is_delivered_often_counts_once(admitted: House, saga: AsyncioActorRef) -> None:
    arrived = evidence(admitted, "stk", paid_body(admitted.clock.now()))
    await settle(saga, accepted(admitted), *[arrived] * 10)
    assert row_of(admitted).version == 3
    assert [posting.key for unit in admitted.units.values() for posting in unit.postings] == ["paid", "hold"]


async def test_a_bell_for_what_is_consumed_already_rings_for_nothing(admitted: House) -> None:
    ref = InboxActor.start(
        shard=3,
        addresses=admitted,
        store=Inbox(admitted, []),
        clock=admitted.clock,
        ids=admitted.ids,
        times=InboxTimes(sweep_s=3600.0),
    )
    await ref.aask(InboxBell(()))
    await ref.aask("sweep")
    assert admitted.reviews == []
    await ref.shutdown(1)
