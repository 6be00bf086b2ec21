"""Server-Sent Events: nothing missed, nothing twice, also while Redis is away."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from config.limits import EVENT_STREAMS_PER_USER
from penpay.adapters import stream_reader
from penpay.adapters.redis_streams import RedisStreams, redis_client
from penpay.adapters.session_bells import RedisSessionBells
from penpay.adapters.stream_reader import StreamReader, blocking_client
from penpay.domain.errors import Unavailable
from penpay.domain.money import usd
from penpay.http import events
from penpay.http.event_hub import NO_PLACE, EventHub, LiveEvent, balance_event
from penpay.messages import Refusal
from penpay.messages_rails import DerivBalance, GetBalance
from penpay.ports import OutboxRow
from tests.http.rows import add_event
from tests.http.world import Customer, LostAnswer, World, signed_in

BEGAN = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass
class Stream:
    """One open stream, read event by event."""

    response: aiohttp.ClientResponse
    seen: list[str] = field(default_factory=list)

    async def next(self) -> tuple[str, str, str]:
        """(id, event, data)."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            while True:
                line = (await self.response.content.readline()).decode().rstrip("\n")
                if not line and "event" in fields:
                    return fields["id"], fields["event"], fields["data"]
                name, _, value = line.partition(": ")
                if name:
                    fields[name] = value


@asynccontextmanager
async def opened(customer: Customer, last_id: str = "") -> AsyncIterator[Stream]:
    headers = {"Authorization": f"Bearer {customer.access}"} | ({"Last-Event-ID": last_id} if last_id else {})
    world = customer.world
    async with world.session.get(f"{world.base}/api/v1/events", headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield Stream(response)


async def shard_of(world: World, customer: Customer) -> int:
    await customer.call("GET", "/me")
    claims = world.edge.tokens.read(customer.access, at=world.edge.clock.now())
    identity = await world.edge.accounts.identity(customer.id, claims.session_id)
    return identity.shard


def live(customer: Customer, shard: int, seq: int) -> LiveEvent:
    return LiveEvent(shard=shard, seq=seq, type="transaction.updated", user_id=customer.id, body=f'{{"n":{seq}}}')


async def test_live_events_arrive_in_order_and_once(world: World, customer: Customer, module_database):
    shard = await shard_of(world, customer)
    async with opened(customer) as stream:
        place, event, _ = await stream.next()
        assert event == "ready"
        newest = int(place.partition("-")[2])
        for seq in (newest + 1, newest + 2, newest + 1, newest + 3):
            world.edge.events.publish(live(customer, shard, seq))
        got = [await stream.next() for _ in range(3)]
    assert [place for place, _, _ in got] == [f"{shard}-{newest + n}" for n in (1, 2, 3)]
    assert got[0][1:] == ("transaction.updated", f'{{"n":{newest + 1}}}')


async def test_zero_is_before_the_first_event_of_whatever_shard(world: World, customer: Customer, module_database):
    shard = await shard_of(world, customer)
    base = await world.edge.reads.newest_seq(shard)
    add_event(module_database, customer, shard, base + 1, {"n": 1})
    async with opened(customer, f"{shard + 1}-0") as stream:
        assert (await stream.next())[0] == f"{shard}-0"
        assert (await stream.next())[2] == '{"n": 1}'


async def test_a_balance_is_told_live_and_moves_no_place(world: World, customer: Customer, module_database):
    shard = await shard_of(world, customer)
    async with opened(customer) as stream:
        place, _, _ = await stream.next()
        body = '{"deriv":{"amount":"9.66","currency":"USD"}}'
        world.edge.events.publish(
            LiveEvent(shard=0, seq=NO_PLACE, type="balance.updated", user_id=customer.id, body=body)
        )
        assert await stream.next() == (place, "balance.updated", body)
        newest = int(place.partition("-")[2])
        world.edge.events.publish(live(customer, shard, newest + 1))
        assert (await stream.next())[0] == f"{shard}-{newest + 1}"


def asked_balances(world: World, customer: Customer) -> list[GetBalance]:
    return [asked for _, asked in world.actors.asked if isinstance(asked, GetBalance) and asked.user_id == customer.id]


async def test_who_only_listens_hears_the_balance_and_each_change_once(world: World, customer: Customer):
    seen = DerivBalance(balance=usd(966), as_of_at=world.edge.clock.now(), live=True)

    def opened_session(_: GetBalance) -> DerivBalance:
        # A session that opens tells everybody.
        world.edge.events.publish(balance_event(customer.id, seen))
        return seen

    world.actors.answers[GetBalance] = opened_session
    async with opened(customer) as stream:
        assert (await stream.next())[1] == "ready"
        _, event, told = await stream.next()
        assert (event, json.loads(told)["deriv"]["amount"]) == ("balance.updated", "9.66")
        (asked,) = asked_balances(world, customer)
        assert asked.loginid == f"CR{customer.phone[3:]}"
        world.edge.events.publish(balance_event(customer.id, replace(seen, balance=usd(1932))))
        assert json.loads((await stream.next())[2])["deriv"]["amount"] == "19.32"


async def test_a_stream_asks_again_before_the_session_is_idle(world: World, customer: Customer, clock, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.05)
    seen = DerivBalance(balance=usd(966), as_of_at=world.edge.clock.now(), live=True)
    world.actors.answers[GetBalance] = lambda _: seen
    async with opened(customer) as stream:
        assert [(await stream.next())[1] for _ in range(2)] == ["ready", "balance.updated"]
        for times in (2, 3):
            clock.ahead += timedelta(seconds=60)
            async with asyncio.timeout(10):
                while len(asked_balances(world, customer)) < times:
                    await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert len(asked_balances(world, customer)) == 3
        # Nothing has changed, so nothing is told.
        world.edge.events.publish(balance_event(customer.id, replace(seen, balance=usd(5))))
        assert '"0.05"' in (await stream.next())[2]


@pytest.mark.parametrize(
    "answer",
    [
        Refusal("rail_down", ""),
        LostAnswer(),
        Unavailable("deriv"),
        DerivBalance(balance=usd(1), as_of_at=BEGAN, live=False),
    ],
)
async def test_a_balance_that_nobody_can_tell_is_no_event(world: World, customer: Customer, answer: object):
    world.actors.answers[GetBalance] = lambda _: answer
    shard = await shard_of(world, customer)
    async with opened(customer) as stream:
        newest = int((await stream.next())[0].partition("-")[2])
        async with asyncio.timeout(10):
            while not asked_balances(world, customer):
                await asyncio.sleep(0.01)
        world.edge.events.publish(live(customer, shard, newest + 1))
        assert (await stream.next())[1] == "transaction.updated"


async def test_nobody_is_asked_for_the_balance_of_an_account_that_is_not_linked(world: World):
    someone = await signed_in(world, linked=False)
    async with opened(someone) as stream:
        await stream.next()
        await asyncio.sleep(0.1)
    assert asked_balances(world, someone) == []


def test_so_many_customers_keep_a_session_open_with_their_streams():
    hub = EventHub(followed_max=1)
    first, again, second = (hub.subscribe(user) for user in ("first", "first", "second"))
    assert [hub.follows_balance(one) for one in (first, second, again, first)] == [True, False, True, True]
    hub.unsubscribe(first)
    assert not hub.follows_balance(second)
    hub.unsubscribe(again)
    assert not hub.follows_balance(first)
    assert hub.follows_balance(second)


async def test_a_reader_that_does_not_read_is_cut(world: World, customer: Customer, monkeypatch):
    monkeypatch.setattr("config.limits.WRITE_S", 0.2)
    shard = await shard_of(world, customer)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.site.port, limit=1024)
    head = f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {customer.access}\r\n\r\n"
    writer.write(head.encode())
    await reader.readuntil(b"event: ready")
    big = '{"big":"' + "x" * 200_000 + '"}'
    seq = await world.edge.reads.newest_seq(shard)
    async with asyncio.timeout(15):
        while world.edge.events.streams:
            seq += 1
            world.edge.events.publish(replace(live(customer, shard, seq), body=big))
            await asyncio.sleep(0.005)
    writer.transport.abort()


async def test_what_was_missed_is_read_again_from_its_place(world: World, customer: Customer, module_database):
    shard = await shard_of(world, customer)
    stranger = await signed_in(world, linked=False)
    base = await world.edge.reads.newest_seq(shard)
    for n in range(1, 6):
        add_event(module_database, customer if n != 3 else stranger, shard, base + n, {"n": n})
    async with opened(customer, f"{shard}-{base + 1}") as stream:
        await stream.next()
        got = [await stream.next() for _ in range(3)]
    assert [place for place, _, _ in got] == [f"{shard}-{base + n}" for n in (2, 4, 5)]


async def test_another_shards_id_begins_at_the_newest(world: World, customer: Customer):
    shard = await shard_of(world, customer)
    newest = await world.edge.reads.newest_seq(shard)
    async with opened(customer, f"{shard + 1}-1") as stream:
        assert (await stream.next())[0] == f"{shard}-{newest}"


async def test_events_without_any_bell_are_found_at_the_next_heartbeat(
    world: World, customer: Customer, module_database, monkeypatch
):
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.05)
    shard = await shard_of(world, customer)
    async with opened(customer) as stream:
        place, _, _ = await stream.next()
        newest = int(place.partition("-")[2])
        add_event(module_database, customer, shard, newest + 1, {"n": 1})
        assert (await stream.next())[0] == f"{shard}-{newest + 1}"


async def test_a_stream_ends_with_its_session_also_when_no_bell_was_heard(
    world: World, customer: Customer, monkeypatch
):
    monkeypatch.setattr(world.edge.events, "ring", lambda _: None)
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.05)
    async with opened(customer) as stream:
        await stream.next()
        await world.call("POST", "/auth/logout", {"refresh_token": customer.refresh, "device_id": customer.device})
        async with asyncio.timeout(10):
            rest = await stream.response.content.read()
    assert b"event:" not in rest
    assert world.edge.events.streams == 0


async def test_a_fifth_stream_of_one_customer_is_refused(world: World, customer: Customer):
    async with opened(customer), opened(customer), opened(customer), opened(customer):
        answer = await customer.call("GET", "/events")
        assert (answer.status, answer.code) == (503, "overloaded")


async def test_a_stream_whose_client_left_counts_no_more(world: World, customer: Customer):
    for _ in range(2 * EVENT_STREAMS_PER_USER):
        async with opened(customer) as stream:
            await stream.next()
            # Until here the stream was written to; from here on nothing happens.
        async with asyncio.timeout(5):
            while world.edge.events.streams:
                await asyncio.sleep(0.01)


async def test_open_streams_are_no_requests_in_progress(world: World, customer: Customer):
    async with opened(customer) as stream:
        await stream.next()
        assert world.edge.admission.requests == 0
        assert world.edge.events.streams == 1


async def test_streams_end_with_their_listener_and_it_can_be_opened_again(world: World, customer: Customer):
    port = world.site.port
    async with opened(customer) as stream:
        await stream.next()
        await world.site.close()
        async with asyncio.timeout(5):
            assert b"event:" not in await stream.response.content.read()
    assert world.site.port == 0
    await world.site.open()
    assert world.site.port == port
    async with opened(customer) as stream:
        assert (await stream.next())[1] == "ready"


def test_a_slow_reader_is_marked_and_nobody_waits():
    hub = EventHub()
    subscription = hub.subscribe("user")
    assert subscription is not None
    event = LiveEvent(shard=0, seq=1, type="t", user_id="user", body="{}")
    for _ in range(subscription.queue.maxsize + 1):
        hub.publish(event)
    assert subscription.lagged
    hub.unsubscribe(subscription)
    hub.unsubscribe(subscription)
    assert hub.streams == 0


async def test_the_reader_hands_on_what_the_relay_publishes(redis):
    got: asyncio.Queue[OutboxRow] = asyncio.Queue()
    rung: list[str] = []
    client = redis_client(redis.url())
    streams = RedisStreams(client)
    rows = [
        OutboxRow(shard=1, seq=n, stream="transactions", event_id=f"e{n}", type="t", user_id="u", body="{}")
        for n in (1, 2, 3)
    ]
    await streams.publish(1, rows[:1])
    reader = StreamReader(blocking_client(redis.url()), shards=2, publish=got.put_nowait, ring=rung.append)
    await reader.open()
    try:
        async with asyncio.timeout(10):
            # The reader finds its place first; what was there before is not news.
            while not reader._places:
                await asyncio.sleep(0)
            await streams.publish(1, rows[1:])
            assert [await got.get(), await got.get()] == rows[1:]
    finally:
        await reader.close()
        await streams.close()
    assert got.empty()
    assert rung == []


async def test_the_reader_follows_a_stream_that_was_made_anew(redis, monkeypatch):
    monkeypatch.setattr(stream_reader, "_BLOCK_MS", 20)
    got: asyncio.Queue[OutboxRow] = asyncio.Queue()
    streams = RedisStreams(redis_client(redis.url()), prefix="anew.")
    rows = [
        OutboxRow(shard=0, seq=n, stream="transactions", event_id=f"e{n}", type="t", user_id="u", body="{}")
        for n in (1, 2, 9)
    ]
    await streams.publish(0, rows[2:])
    reader = StreamReader(blocking_client(redis.url()), shards=1, publish=got.put_nowait, prefix="anew.")
    await reader.open()
    try:
        async with asyncio.timeout(10):
            while not reader._places:
                await asyncio.sleep(0)
            await streams.forget(0)
            await streams.publish(0, rows[:2])
            assert [await got.get(), await got.get()] == rows[:2]
    finally:
        await reader.close()
        await streams.close()


async def test_a_bell_of_one_node_is_heard_by_the_streams_of_another(redis):
    client = redis_client(redis.url())
    heard: asyncio.Queue[str] = asyncio.Queue()
    reader = StreamReader(
        blocking_client(redis.url()), shards=1, publish=lambda _: None, ring=heard.put_nowait, prefix="bells."
    )
    bells = RedisSessionBells(client, prefix="bells.")
    await reader.open()
    try:
        async with asyncio.timeout(10):
            while not reader._places:
                await asyncio.sleep(0)
            bells.ring("somebody")
            assert await heard.get() == "somebody"
    finally:
        await reader.close()
        await bells.close()
        await client.aclose()


async def test_a_bell_fails_nobody_while_redis_is_away(tmp_path):
    client = redis_client(f"unix://{tmp_path}/nobody")
    bells = RedisSessionBells(client)
    bells.ring("somebody")
    await bells.close()
    await client.aclose()


@pytest.mark.parametrize("given", ["x", "1-", "-1", "1-99999999999999999999", "1 -1"])
async def test_a_place_that_is_none_begins_at_the_newest(customer: Customer, given: str):
    async with opened(customer, given) as stream:
        assert (await stream.next())[1] == "ready"
