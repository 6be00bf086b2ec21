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
