"""Connections: slow or large heads, too many from one address, bodies that lie, foreign hosts."""

import asyncio
import contextlib
import ipaddress
import json
from dataclasses import replace

import pytest
from aiohttp.web_protocol import RequestHandler
from structlog.testing import capture_logs

from penpay.domain.ids import is_ulid
from penpay.http.connection import ConnectionBounds, Doorkeeper
from penpay.http.public import public_app
from penpay.http.site import Site
from tests.http.test_edge import raw
from tests.http.world import Customer, World

JSON = b"Content-Type: application/json\r\n"


def request(customer: Customer, head: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    bearer = b"Authorization: Bearer " + customer.access.encode()
    lines = (head + b" HTTP/1.1", b"Host: x", b"Connection: close", bearer, *(field.strip() for field in fields))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def parsed(answer: bytes) -> tuple[int, dict[str, str], dict[str, object]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status.split()[1]), headers, json.loads(body)


@pytest.mark.parametrize(
    ("fields", "body", "status", "code"),
    [
        ((b"X-Long: " + b"a" * 9000,), b"", 431, "headers_too_large"),
        ((*(b"X-%d: 1" % n for n in range(60)),), b"", 431, "headers_too_large"),
        ((*(b"X-%d: %s" % (n, b"a" * 1000) for n in range(9)),), b"", 431, "headers_too_large"),
        ((b"Expect: a-miracle", b"Content-Length: 2"), b"{}", 417, "expectation_failed"),
        ((b"Transfer-Encoding: gzip, chunked",), b"0\r\n\r\n", 415, "unsupported_media_type"),
        ((b"Content-Encoding: gzip", b"Content-Length: 2"), b"{}", 415, "unsupported_media_type"),
        ((b"Transfer-Encoding: chunked",), b"zz\r\n{}\r\n0\r\n\r\n", 400, "malformed_request"),
        ((b"Transfer-Encoding: chunked",), b"2\r\n{}", 408, "request_timeout"),
        ((b"Content-Length: 5",), b"{}", 408, "request_timeout"),
        ((b"Content-Length: 2", b"Content-Length: 3"), b"{}", 400, "malformed_request"),
        ((b"Content-Length: 2", b"Transfer-Encoding: chunked"), b"0\r\n\r\n", 400, "malformed_request"),
        ((b"Transfer-Encoding: xchunked", b"Content-Length: 2"), b"{}", 400, "malformed_request"),
        ((b"X-A: b\r\n c", b"Content-Length: 2"), b"{}", 400, "malformed_request"),
    ],
)
async def test_what_is_no_request_of_ours_is_a_problem_with_an_id(
    world: World, customer: Customer, monkeypatch, fields: tuple[bytes, ...], body: bytes, status: int, code: str
):
    monkeypatch.setattr("config.limits.READ_BODY_S", 0.2)
    answer = await raw(world, request(customer, b"POST /api/v1/quotes", JSON, *fields, body=body))
    got, headers, problem = parsed(answer)
    assert (got, problem["code"], problem["instance"]) == (status, code, "/api/v1/quotes")
    assert headers["content-type"] == "application/problem+json"
    assert headers["server"] == "penpay"
    assert is_ulid(headers["x-request-id"])


TOO_LONG = b"Host: x\r\nX-Long: " + b"a" * 9000 + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("line", "instance"),
    [
        (b"GET /api/v1/me?code=secret HTTP/1.1", "/api/v1/me"),
        (b"GET  /api/v1/me HTTP/1.1", None),
        (b"GET /api/v1/\x80me HTTP/1.1", None),
        (b"GET http://x/api/v1/me HTTP/1.1", None),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1", None),
        (b"GET", None),
    ],
)
async def test_a_refused_head_names_its_path_where_its_first_line_does(world: World, line: bytes, instance: str | None):
    _, _, problem = parsed(await raw(world, line + b"\r\n" + TOO_LONG))
    assert problem.get("instance") == instance


async def test_the_path_is_that_of_the_refused_head_though_it_comes_in_pieces_and_behind_another(world: World):
    reader, writer = await asyncio.open_connection("127.0.0.1", world.site.port)
    async with asyncio.timeout(10):
        body = b"POST /not/this HTTP/1.1\r\n"
        writer.write(b"POST /api/v1/quotes HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
        for piece in (b"DELETE /api", b"/v1/deriv/link HT", b"TP/1.1\r\nHost", b": x\r\n b: c\r\n\r\n"):
            writer.write(piece)
            await writer.drain()
        status, _, problem = parsed(await reader.read())
    writer.close()
    assert (status, problem["instance"]) == (400, "/api/v1/deriv/link")


async def test_a_head_of_eight_kib_is_taken(world: World, customer: Customer):
    answer = await raw(world, request(customer, b"GET /api/v1/me", *(b"X-%d: %s" % (n, b"a" * 1000) for n in range(6))))
    assert answer.startswith(b"HTTP/1.1 200")


async def test_a_call_without_fields_takes_none(customer: Customer):
    answer = await customer.call("POST", "/deriv/link", {"state": "PAID", "is_admin": True})
    assert (answer.status, answer.fields) == (400, {"state", "is_admin"})
    headers = {"Content-Type": "application/json"}
    assert (await customer.call("POST", "/deriv/link", headers=headers, data=b"[1]")).code == "malformed_json"
    assert (await customer.call("POST", "/deriv/link", {})).code == "deriv_already_linked"


async def test_nobody_else_may_read_or_frame_an_answer(world: World, customer: Customer):
    answer = await customer.call("GET", "/me", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Strict-Transport-Security" not in answer.headers
    assert (await world.call("OPTIONS", "/me", headers={"Origin": "https://evil.example"})).status == 405


async def opened(world: World, **bounds: object) -> Site:
    site = Site(
        "bounded",
        lambda: public_app(world.edge),
        host="127.0.0.1",
        port=0,
        close_s=0.2,
        bounds=ConnectionBounds(**bounds),
    )
    await site.open()
    return site


async def test_a_head_that_does_not_end_is_cut(world: World, customer: Customer):
    site = await opened(world, head_s=0.3)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"GET /api/v1/me HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(10):
            assert (await reader.readline()).startswith(b"HTTP/1.1 401")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"GET /api/v1/me HTTP/1.1\r\nX-Slow: ")
            rest = await reader.read()
        assert b"HTTP/1.1" not in rest
        writer.close()
    finally:
        await site.close()


MANY = 60
DOCUMENT = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
LAST_DOCUMENT = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def served(site: Site) -> list[RequestHandler]:
    return site._runner.server.connections


async def test_who_asks_for_much_and_reads_nothing_is_cut(world: World, monkeypatch):
    monkeypatch.setattr("config.limits.WRITE_S", 0.2)
    monkeypatch.setattr("config.limits.WRITE_BYTES_PER_S", 1e9)
    site = await opened(world)
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1024)
        async with asyncio.timeout(15):
            while not served(site):
                await asyncio.sleep(0.01)
            writer.write(DOCUMENT * MANY)
            while served(site):
                await asyncio.sleep(0.01)
        writer.transport.abort()
    finally:
        await site.close()


async def test_what_is_unread_at_the_end_is_not_kept_either(world: World, monkeypatch):
    monkeypatch.setattr("config.limits.WRITE_S", 0.2)
    site = await opened(world)
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1024)
        async with asyncio.timeout(15):
            while not served(site):
                await asyncio.sleep(0.01)
            # All answers fit into our own buffer, so none waits for its reader.
            served(site)[0].transport.set_write_buffer_limits(high=2**30)
            writer.write(DOCUMENT * MANY + LAST_DOCUMENT)
            while served(site):
                await asyncio.sleep(0.01)
        writer.transport.abort()
    finally:
        await site.close()


async def test_who_reads_slowly_gets_all_of_it(world: World):
    size = len((await world.call("GET", "/openapi.json")).raw)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.site.port, limit=1024)
    writer.write(DOCUMENT * MANY + LAST_DOCUMENT)
    got = 0
    async with asyncio.timeout(15):
        while not any(one.writing_paused for one in served(world.site)):
            await asyncio.sleep(0.01)
        while piece := await reader.read(65536):
            got += len(piece)
            await asyncio.sleep(0)
    assert got > (MANY + 1) * size
    writer.close()
    await writer.wait_closed()


async def test_who_leaves_in_the_middle_of_a_body_is_no_fault_of_ours(world: World):
    with capture_logs() as lines:
        _, writer = await asyncio.open_connection("127.0.0.1", world.site.port)
        writer.write(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\n" + JSON + b"Content-Length: 9\r\n\r\n{")
        async with asyncio.timeout(10):
            while not world.edge.admission.bodies:
                await asyncio.sleep(0.01)
            writer.transport.abort()
            while world.edge.admission.bodies:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0)
    assert lines == []
    assert world.edge.admission.requests == 0


async def test_one_address_holds_so_many_connections_and_no_more(world: World):
    site = await opened(world, per_address_max=3)
    try:
        held = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(3)]
        for reader, writer in held:
            writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(10):
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        async with asyncio.timeout(10):
            with pytest.raises(ConnectionError):
                await refused(reader, writer)
        for _, other in (*held, (reader, writer)):
            other.close()
            with contextlib.suppress(ConnectionError):
                await other.wait_closed()
    finally:
        await site.close()


async def refused(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads to the end: an aborted connection ends with a reset, or with nothing."""
    writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
    if not await reader.read():
        raise ConnectionResetError


class Peer(asyncio.BaseTransport):
    """A transport that only knows who is calling."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("2001:db8::5", 1, 0, 0) if name == "peername" else default


def test_connections_are_counted_per_network_and_forgotten_when_they_end():
    keeper = Doorkeeper(ConnectionBounds(per_address_max=1))
    name = keeper.enter(Peer())
    assert name == "2001:db8::"
    assert keeper.enter(Peer()) is None
    keeper.leave(name)
    assert not keeper.open
    trusting = Doorkeeper(ConnectionBounds(per_address_max=1, unbounded=(ipaddress.ip_network("2001:db8::/32"),)))
    assert [trusting.enter(Peer()) for _ in range(3)] == ["", "", ""]


class TestOutsideDevelopment:
    """Only our own name is answered to."""

    @pytest.fixture
    def edge_settings(self, edge_settings):
        return replace(edge_settings, hosts=("pay.example",), public_url="https://pay.example")

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "pay.example.evil.example", "pay.example@evil", ""])
    async def test_another_host_is_misdirected(self, world: World, host: str):
        answer = await world.call("GET", "/openapi.json", headers={"Host": host})
        assert (answer.status, answer.code) == (421, "misdirected_request")

    @pytest.mark.parametrize("host", ["pay.example", "PAY.example:443"])
    async def test_our_own_host_is_served_and_asks_for_encryption(self, world: World, host: str):
        answer = await world.call("GET", "/openapi.json", headers={"Host": host})
        assert answer.status == 200
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"

    async def test_an_address_in_the_first_line_counts_too(self, world: World):
        answer = await raw(
            world, b"GET http://evil.example/openapi.json HTTP/1.1\r\nHost: pay.example\r\nConnection: close\r\n\r\n"
        )
        assert parsed(answer)[0] == 421
