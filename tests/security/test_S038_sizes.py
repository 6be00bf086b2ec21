"""S38: bodies, heads and codings are bounded; what is over a bound is refused before it is read."""

import gzip
import io
import json

import pytest
from aiohttp import helpers

from config.limits import BODY_BYTES_MAX, CALLBACK_BYTES_MAX, HEADER_BYTES_MAX, HEADERS_MAX
from tests.http.test_callbacks import operation, path_of, post
from tests.http.world import Customer, World

__all__ = ["operation"]
JSON = {"Content-Type": "application/json"}


def padded(size: int) -> bytes:
    body = b'{"email":"a@example.com"}'
    return body[:-1] + b" " * (size - len(body)) + b"}"


@pytest.mark.parametrize(("size", "status"), [(BODY_BYTES_MAX, 202), (BODY_BYTES_MAX + 1, 413)])
async def test_a_body_has_at_most_32_kib(world: World, size: int, status: int):
    answer = await world.call("POST", "/auth/password/forgot", headers=JSON, data=padded(size))
    assert answer.status == status


@pytest.mark.parametrize(("size", "status"), [(CALLBACK_BYTES_MAX, 200), (CALLBACK_BYTES_MAX + 1, 413)])
async def test_a_callback_has_at_most_64_kib(world: World, operation: str, size: int, status: int):
    assert (await post(world, path_of(world, operation=operation), b"x" * size)).status == status


async def test_a_body_without_a_length_is_counted_while_it_comes(world: World):
    async def endless():
        for _ in range(200):
            yield b" " * 1024

    answer = await world.call("POST", "/auth/password/forgot", headers=JSON, data=endless())
    assert (answer.status, answer.code) == (413, "payload_too_large")


async def test_a_length_that_is_too_large_is_refused_before_a_byte_is_read(world: World):
    read: list[int] = []

    class Watched(io.BytesIO):
        def read(self, size: int = -1) -> bytes:
            read.append(size)
            return super().read(size)

    answer = await world.call(
        "POST", "/auth/password/forgot", headers={**JSON, "Content-Length": "10000000"}, data=Watched(b" " * 100)
    )
    assert answer.status in {400, 413}


@pytest.mark.parametrize(("length", "status"), [(HEADER_BYTES_MAX - 1500, 401), (HEADER_BYTES_MAX + 1, 431)])
async def test_a_head_has_at_most_8_kib(world: World, length: int, status: int):
    half = "a" * (length // 2)
    assert (await world.call("GET", "/me", headers={"X-A": half, "X-B": half})).status == status


@pytest.mark.parametrize(("count", "status"), [(HEADERS_MAX - 10, 401), (HEADERS_MAX + 1, 431)])
async def test_a_head_has_at_most_fifty_fields(world: World, count: int, status: int):
    assert (await world.call("GET", "/me", headers={f"X-{n}": "1" for n in range(count)})).status == status


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, identity", "x"])
async def test_nothing_is_unpacked(world: World, customer: Customer, operation: str, coding: str):
    bomb = gzip.compress(b" " * 10_000_000)
    headers = {**JSON, "Content-Encoding": coding, "Idempotency-Key": "k"}
    answer = await customer.call("POST", "/deposits", headers=headers, data=bomb)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    stored = await post(world, path_of(world, operation=operation), bomb, headers={"Content-Encoding": coding})
    assert stored.status == 415


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data", "text/json"],
)
async def test_other_content_is_not_taken(customer: Customer, kind: str):
    body = json.dumps({"amount": {"amount": "1300.00", "currency": "KES"}}).encode()
    headers = {"Idempotency-Key": "k"} | ({"Content-Type": kind} if kind else {})
    answer = await customer.call("POST", "/deposits", headers=headers, data=body)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize("part", [";", "; a=b", "; charset=utf-8", '"', "(", "="])
async def test_a_media_type_as_long_as_a_head_is_refused_unread(world: World, monkeypatch, part: str):
    read: list[str] = []
    parse = helpers.parse_content_type
    monkeypatch.setattr(helpers, "parse_content_type", lambda text: read.append(text) or parse(text))
    kind = "application/json; charset=utf-8"
    assert (await world.call("POST", "/auth/password/forgot", headers={"Content-Type": kind}, data=b"{}")).status == 400
    padding = part * (7000 // len(part))
    answer = await world.call("POST", "/auth/password/forgot", headers={"Content-Type": kind + padding}, data=b"{}")
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert kind in read
    assert max(map(len, read)) < 100
