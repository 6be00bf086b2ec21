"""What holds for every request: ids, problems, bounds, and answers to what is no HTTP."""

import asyncio
import contextlib

import pytest

from penpay.domain.problems import PROBLEMS
from tests.http.world import Customer, World


async def test_every_answer_has_an_id_and_tells_nothing_of_the_software(world: World):
    for method, path in (("GET", "/me"), ("GET", "/nowhere"), ("DELETE", "/deposits"), ("GET", "/openapi.json")):
        answer = await world.call(method, path)
        assert len(answer.headers["X-Request-Id"]) == 26
        assert answer.headers["Server"] == "penpay"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_given_request_id_is_kept_if_it_is_harmless(world: World):
    assert (await world.call("GET", "/me", headers={"X-Request-Id": "app-12345678"})).headers[
        "X-Request-Id"
    ] == "app-12345678"
    assert (await world.call("GET", "/me", headers={"X-Request-Id": "a b<script>"})).headers[
        "X-Request-Id"
    ] != "a b<script>"


async def test_an_unknown_route_and_a_wrong_method_are_problems(world: World):
    unknown = await world.call("GET", "/nowhere")
    assert (unknown.status, unknown.code) == (404, "not_found")
    wrong = await world.call("DELETE", "/deposits")
    assert (wrong.status, wrong.code) == (405, "method_not_allowed")
    assert wrong.headers["Allow"] == "POST"
    for answer in (unknown, wrong):
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert answer.body["instance"].startswith("/api/v1/")


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "PROPFIND"])
async def test_other_methods_are_not_answered(world: World, method: str):
    answer = await world.call(method, "/me")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD")


async def test_what_can_be_read_can_be_asked_for_its_headers(world: World, customer: Customer):
    read, asked = await customer.call("GET", "/me"), await customer.call("HEAD", "/me")
    assert (asked.status, asked.raw) == (200, b"")
    assert asked.headers["Content-Length"] == read.headers["Content-Length"]
    assert (await world.call("HEAD", "/me")).status == 401


@pytest.mark.parametrize("path", ["/events", "/deriv/callback", "/statements", "/deposits"])
async def test_what_changes_something_or_never_ends_is_not_asked_for_headers(world: World, path: str):
    assert (await world.call("HEAD", path)).status == 405


async def test_too_much_at_once_is_refused_before_any_work(world: World, customer: Customer):
    world.edge.admission.requests = world.edge.admission.requests_max
    answer = await customer.call("GET", "/me")
    assert (answer.status, answer.code) == (503, "overloaded")
    assert int(answer.headers["Retry-After"]) > 0
    world.edge.admission.requests = 0
    assert (await customer.call("GET", "/me")).status == 200
    assert world.edge.admission.requests == 0


@pytest.mark.parametrize(
    "token",
    ["", "Bearer", "Bearer x", "Basic abc", "Bearer a.b.c", "Bearer " + "x" * 5000, "Bearer eyJhbGciOiJub25lIn0.e30."],
)
async def test_other_credentials_are_none(world: World, token: str):
    answer = await world.call("GET", "/me", headers={"Authorization": token})
    assert (answer.status, answer.code) == (401, "unauthorized")


async def raw(world: World, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.site.port)
    writer.write(text)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /me HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n",
        (
            b"POST /api/v1/deposits HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        b"GET /me HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /me HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(80)) + b"\r\n",
    ],
    ids=["version", "nonsense", "method", "header", "smuggling", "long", "many"],
)
async def test_broken_http_is_answered_without_inside(world: World, text: bytes):
    answer = await raw(world, text)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1].startswith(b"4")
    assert b"application/problem+json" in head
    assert b"X-Request-Id" in head
    assert b"aiohttp" not in answer
    assert b"Python" not in answer
    assert body.startswith(b'{"type":"/problems/')


async def test_a_client_that_leaves_hurts_nobody(world: World, customer: Customer):
    head = f"GET /api/v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {customer.access}\r\n\r\n".encode()
    for cut in range(0, len(head), 60):
        _, writer = await asyncio.open_connection("127.0.0.1", world.site.port)
        writer.write(head[:cut])
        writer.transport.abort()
    assert (await customer.call("GET", "/me")).status == 200


async def test_every_problem_type_explains_itself(world: World):
    for code, known in PROBLEMS.items():
        answer = await world.call("GET", f"/problems/{code}")
        assert (answer.status, answer.body["title"]) == (200, known.title)
    assert (await world.call("GET", "/problems/nothing")).status == 404


async def test_durations_are_measured_by_route_and_never_by_id(world: World, customer: Customer):
    await customer.call("GET", "/transactions/01KAF0Z3T9V5N5W6H3C8Q2YB7D")
    await world.call("PROPFIND", "/nowhere")
    text = world.edge.metrics.exposition("")[0].decode()
    assert 'route="/api/v1/transactions/{id}",status="404"' in text.replace('method="GET",', "")
    assert "01KAF0Z3T9V5N5W6H3C8Q2YB7D" not in text
    assert 'method="other"' in text
