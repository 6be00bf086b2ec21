"""The outbox relay: where it begins when Redis and the database do not tell the same story."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from actors.outbox import OutboxActor
from penpay.ports import OutboxRow
from tests.actors.house import House


class Memory:
    """Outbox of one shard and the streams that follow it."""

    def __init__(self, *, newest: int, cursor: int, marker: int | None) -> None:
        self.rows = [
            OutboxRow(shard=3, seq=n, stream="transactions", event_id=f"e{n}", type="t", user_id="u", body="{}")
            for n in range(1, newest + 1)
        ]
        self._cursor = cursor
        self._marker = marker
        self.sent: list[int] = []
        self.forgotten = 0

    async def after(self, shard: int, seq: int, *, limit: int) -> Sequence[OutboxRow]:
        return [row for row in self.rows if row.shard == shard and row.seq > seq][:limit]

    async def cursor(self, _shard: int) -> int:
        return self._cursor

    async def newest(self, _shard: int) -> int:
        return len(self.rows)

    async def publish(self, _shard: int, rows: Sequence[OutboxRow]) -> None:
        self.sent += [row.seq for row in rows]
        self._marker = rows[-1].seq

    async def marker(self, _shard: int) -> int | None:
        return self._marker

    async def forget(self, _shard: int) -> None:
        self.forgotten += 1
        self._marker = None


@pytest.mark.parametrize(
    ("cursor", "marker", "sent", "forgotten"),
    [
        (3, 3, [4, 5], 0),
        (3, None, [1, 2, 3, 4, 5], 0),
        (0, 90, [1, 2, 3, 4, 5], 1),
        (90, None, [1, 2, 3, 4, 5], 0),
        (90, 90, [1, 2, 3, 4, 5], 1),
    ],
    ids=["in step", "flushed", "redis of another database", "cursor of another redis", "restored database"],
)
async def test_every_event_is_sent_once_whatever_is_remembered(
    cursor: int, marker: int | None, sent: list[int], forgotten: int
) -> None:
    house, memory = House(), Memory(newest=5, cursor=cursor, marker=marker)
    ref = OutboxActor.start(
        shard=3, addresses=house, store=memory, streams=memory, clock=house.clock, look_s=3600.0, cursor_s=3600.0
    )
    await ref.aask("look")
    house.clock.turn(60)
    await ref.aask("look")
    await ref.shutdown(1)
    assert (memory.sent, memory.forgotten) == (sent, forgotten)


async def test_a_cursor_that_is_recorded_is_not_recorded_again() -> None:
    house, memory = House(), Memory(newest=5, cursor=5, marker=5)
    ref = OutboxActor.start(
        shard=3, addresses=house, store=memory, streams=memory, clock=house.clock, look_s=3600.0, cursor_s=3600.0
    )
    await ref.aask("look")
    await ref.aask("cursor")
    assert house.units == {}
    memory.rows.append(replace(memory.rows[-1], seq=6))
    await ref.aask("look")
    await ref.aask("cursor")
    await ref.shutdown(1)
    assert list(house.units) == ["shard:3:cursor:6"]


async def test_who_leaves_sends_what_is_committed_and_records_how_far_it_went() -> None:
    house, memory = House(), Memory(newest=5, cursor=3, marker=3)
    ref = OutboxActor.start(
        shard=3, addresses=house, store=memory, streams=memory, clock=house.clock, look_s=3600.0, cursor_s=3600.0
    )
    await ref.aask("look")
    memory.rows.append(replace(memory.rows[-1], seq=6))
    house.clock.turn(60)
    await ref.shutdown(1)
    assert memory.sent == [4, 5, 6]
    assert [unit.outbox_cursor for unit in house.units.values()] == [6]
