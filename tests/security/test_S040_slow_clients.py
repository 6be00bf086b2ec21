"""S40: clients that send or read slowly hold a connection for seconds, and nobody else up."""

import asyncio

import pytest

from tests.http.test_connections import opened
from tests.http.world import Customer, World

HEADS = {
    "nothing": b"",
    "half a line": b"GET /api/v1/me HT",
    "half a head": b"GET /api/v1/me HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    "half a body": b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b'Content-Length: 100\r\n\r\n{"email":',
}


async def ended(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


@pytest.mark.parametrize("name", HEADS)
async def test_two_hundred_slow_clients_are_cut_and_a_good_one_is_served(
    world: World, customer: Customer, monkeypatch, name: str
):
    monkeypatch.setattr("config.limits.READ_BODY_S", 1.0)
    site = await opened(world, head_s=1.0)
    try:
        slow = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(200)]
        for _, writer in slow:
            writer.write(HEADS[name])
        served = await world.session.get(
            f"http://127.0.0.1:{site.port}/api/v1/me", headers={"Authorization": f"Bearer {customer.access}"}
        )
        assert served.status == 200
        async with asyncio.timeout(20):
            answers = await asyncio.gather(*(ended(reader) for reader, _ in slow))
        for _, writer in slow:
            writer.transport.abort()
    finally:
        await site.close()
    assert {answer[:12] for answer in answers} == ({b"HTTP/1.1 408"} if name == "half a body" else {b""})
    assert world.edge.admission.requests == 0


async def test_a_head_that_drips_is_cut_like_one_that_stands_still(world: World):
    site = await opened(world, head_s=0.5)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"GET /api/v1/me HTTP/1.1\r\nX-Slow: ")
        ending = asyncio.create_task(ended(reader))
        async with asyncio.timeout(10):
            while not ending.done():
                writer.write(b"X")
                await asyncio.sleep(0.02)
        assert ending.result() == b""
        writer.transport.abort()
    finally:
        await site.close()


SLOW = 40
"""Stands for REQUESTS_MAX: a test has fewer file descriptors."""


async def posted(world: World, *, source: str = "127.0.0.1", late: bool) -> bytes:
    """The status line for a call with a body that comes with its head, or after it."""
    before = world.edge.admission.bodies[source]
    reader, writer = await asyncio.open_connection("127.0.0.1", world.site.port, local_addr=(source, 0))
    head = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    writer.write(head if late else head + b"{}")
    async with asyncio.timeout(20):
        if late:
            while world.edge.admission.bodies[source] == before and not reader._buffer:
                await asyncio.sleep(0.01)
            writer.write(b"{}")
        line = await reader.readline()
    writer.transport.abort()
    return line[:12]


async def half_sent(world: World, count: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    slow = [await asyncio.open_connection("127.0.0.1", world.site.port) for _ in range(count)]
    for _, writer in slow:
        writer.write(HEADS["half a body"])
    return slow


async def test_bodies_that_do_not_come_take_no_place_of_a_request(world: World, customer: Customer, monkeypatch):
    monkeypatch.setattr("config.limits.READ_BODY_S", 30.0)
    admission = world.edge.admission
    admission.requests_max = SLOW
    slow = await half_sent(world, SLOW)
    async with asyncio.timeout(20):
        while admission.bodies.total() < SLOW:
            await asyncio.sleep(0.01)
    assert admission.requests == 0
    assert (await customer.call("GET", "/me")).status == 200
    assert await posted(world, late=False) == b"HTTP/1.1 400"
    assert await posted(world, late=True) == b"HTTP/1.1 400"
    # What arrives while everything is busy is refused like what begins then.
    admission.requests = SLOW
    slow[0][1].write(b" " * 91)
    async with asyncio.timeout(20):
        assert (await slow[0][0].readline())[:12] == b"HTTP/1.1 503"
    admission.requests = 0
    for _, writer in slow:
        writer.transport.abort()


async def test_one_address_awaits_no_more_than_its_share_of_bodies(world: World, monkeypatch):
    monkeypatch.setattr("config.limits.READ_BODY_S", 30.0)
    admission = world.edge.admission
    admission.bodies_max, admission.bodies_per_address = SLOW, SLOW // 4
    slow = await half_sent(world, SLOW)
    endings = [asyncio.create_task(reader.readline()) for reader, _ in slow]
    async with asyncio.timeout(20):
        while sum(ending.done() for ending in endings) < SLOW - SLOW // 4:
            await asyncio.sleep(0.01)
    assert {ending.result()[:12] for ending in endings if ending.done()} == {b"HTTP/1.1 503"}
    assert admission.bodies == {"127.0.0.1": SLOW // 4}
    # What came with its head is not awaited, and neighbours have shares of their own.
    assert await posted(world, late=True) == b"HTTP/1.1 503"
    assert await posted(world, late=False) == b"HTTP/1.1 400"
    assert await posted(world, source="127.0.0.2", late=True) == b"HTTP/1.1 400"
    for ending, (_, writer) in zip(endings, slow, strict=True):
        writer.transport.abort()
        ending.cancel()
