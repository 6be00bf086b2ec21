"""F91: the bell for stored evidence is lost or rings again and again; events of a stream come twice, in disorder."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import aiohttp

from actors.base import AsyncioActorRef
from actors.inbox import InboxActor, InboxTimes
from actors.suspects import Suspects
from penpay.adapters.redis_streams import RedisStreams, redis_client
from penpay.bench.seed import Customer
from penpay.messages import EvidenceArrived, InboxRow
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, operation, paid_body, row_of, settle
from tests.faults.operating import configured
from tests.faults.stage import Stage
from tests.faults.withdrawing import tree

UPDATED = "transaction.updated"


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
        shard=3,
        addresses=admitted,
        store=Inbox(admitted, [row]),
        suspects=Suspects(admitted),
        clock=admitted.clock,
        ids=admitted.ids,
        times=times,
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


async def test_a_callback_whose_bell_nobody_heard_is_found_by_the_next_sweep(stage: Stage) -> None:
    who = stage.customer()
    # Nobody asks anything by itself: only the callback says that it was paid, and only the sweep knows of it.
    async with configured(stage.installation.node, PENPAY_TIMING__STK_POLL_LADDER_S="360000"):
        deposit = await stage.deposit(who, phone={"outcome": "wait"})
        await stage.reaches(deposit, "AWAITING_PAYER")
        push = await stage.push_of(who)
        ((shard,),) = stage.rows("SELECT shard FROM {ledger}.transactions WHERE id = %s", deposit)
        await tree(stage, f"shards/{shard}/inbox", "stop")
        await stage.control.post(f"/pushes/{push['checkout_id']}/answer", {})
        async with asyncio.timeout(60):
            while stored(stage, deposit) != [("NEW",)]:
                await asyncio.sleep(0.05)
        assert stage.state(deposit) == "AWAITING_PAYER"
        await tree(stage, f"shards/{shard}/inbox", "start")
        await stage.reaches(deposit, "COMPLETED")
    assert stored(stage, deposit) == [("CONSUMED",)]
    assert stage.postings(deposit) == ["paid", "hold", "done"]
    assert (await stage.told(who)).counts == (1, 1, 1)


async def test_events_that_come_again_and_in_disorder_reach_their_reader_once_and_in_order(stage: Stage) -> None:
    who = stage.customer()
    seen: list[str] = []
    headers = {"Authorization": f"Bearer {who.token}"}
    async with stage.session.get(f"{stage.installation.node.public_url}/api/v1/events", headers=headers) as stream:
        first = await stage.deposit(who)
        await read_to_the_end(stream, first, seen)
        assert await backwards(stage, who) > 1
        await read_to_the_end(stream, await stage.deposit(who), seen)
    committed = stage.rows(
        "SELECT CONCAT(shard, '-', seq) FROM {ledger}.outbox WHERE user_id = %s AND type = %s ORDER BY seq",
        who.user_id,
        UPDATED,
    )
    assert seen == [place for (place,) in committed]


async def read_to_the_end(stream: aiohttp.ClientResponse, deposit: str, seen: list[str]) -> None:
    """Read events, and note the places of those about transactions, until this deposit's last one."""
    place = kind = ""
    async with asyncio.timeout(60):
        async for line in stream.content:
            name, _, value = line.decode().strip().partition(": ")
            if name == "id":
                place = value
            elif name == "event":
                kind = value
            elif name == "data" and kind == UPDATED:
                seen.append(place)
                if deposit in value and '"COMPLETED"' in value:
                    return


async def backwards(stage: Stage, who: Customer) -> int:
    """Have every event of a customer in the stream once more, the newest first; how many there are."""
    found = stage.rows(
        "SELECT shard, seq, event_id, type, body FROM {ledger}.outbox WHERE user_id = %s AND stream = %s"
        " ORDER BY seq DESC",
        who.user_id,
        "transactions",
    )
    client = redis_client(stage.installation.redis.url())
    try:
        for shard, seq, event_id, kind, body in found:
            stream = RedisStreams(client).stream("transactions", shard)
            ((newest, _),) = await client.xrevrange(stream, count=1)
            number, _, again = newest.partition("-")
            fields = {"id": event_id, "type": kind, "user_id": who.user_id, "body": body, "seq": seq}
            await client.xadd(stream, fields, id=f"{number}-{int(again) + 1}")
    finally:
        await client.aclose()
    return len(found)


def stored(stage: Stage, deposit: str) -> list[tuple[Any, ...]]:
    """What became of its callbacks."""
    return stage.rows(
        "SELECT i.status FROM {ledger}.callback_inbox i JOIN {ledger}.provider_operations o ON o.id = i.operation_id"
        " WHERE o.transaction_id = %s AND i.kind = 'stk'",
        deposit,
    )
