"""Callbacks: stored before they are acknowledged, and nobody else's words are."""

import asyncio
import ipaddress
import itertools
from collections.abc import Mapping
from dataclasses import replace

import pytest

from penpay.domain.errors import Unavailable
from penpay.domain.ids import ulid
from penpay.http.edge import EdgeSettings
from penpay.messages import InboxBell
from tests.http.world import Answer, World

_numbers = itertools.count(1)
BODY = b'{"Body":{"stkCallback":{"ResultCode":0}}}'


def path_of(world: World, kind: str = "stk", shard: int = 2, *, operation: str) -> str:
    return world.edge.callback_tokens.url(kind, shard, operation).removeprefix("https://pay.example")


async def post(world: World, path: str, body: bytes = BODY, headers: Mapping[str, str] | None = None) -> Answer:
    return await world.call("POST", path, headers=headers, data=body)


def stored(database, operation: str) -> list[tuple[object, ...]]:
    return database.rows(
        "SELECT shard, kind, source, trusted_source, status FROM {ledger}.callback_inbox WHERE operation_id = %s",
        (operation,),
    )


@pytest.fixture
def operation() -> str:
    """One of its own for each test: the database is shared."""
    return ulid(1_763_600_000_000 + next(_numbers), b"operation2")


async def test_a_callback_is_stored_and_then_acknowledged(world: World, module_database, operation: str):
    answer = await post(world, path_of(world, operation=operation))
    assert (answer.status, answer.raw) == (200, b'{"ResultCode":0,"ResultDesc":"Accepted"}')
    assert stored(module_database, operation) == [(2, "stk", "127.0.0.1", 0, "NEW")]
    address, bell = world.actors.told[-1]
    assert address == "shards/2/inbox"
    assert isinstance(bell, InboxBell)
    assert bell.rows[0].body == BODY


async def test_its_body_is_not_readable_in_the_database(world: World, module_database, operation: str):
    await post(world, path_of(world, operation=operation), b"254712345678")
    sealed = module_database.rows(
        "SELECT sealed_body FROM {ledger}.callback_inbox WHERE operation_id = %s", (operation,)
    )[0][0]
    assert b"254712345678" not in sealed


async def test_twenty_equal_callbacks_at_once_are_one_row_and_twenty_acknowledgements(
    world: World, module_database, operation: str
):
    path = path_of(world, operation=operation)
    answers = await asyncio.gather(*(post(world, path) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert len(stored(module_database, operation)) == 1
    assert len([address for address, _ in world.actors.told if address.endswith("inbox")]) == 1


async def test_two_different_bodies_for_one_operation_are_two_pieces_of_evidence(
    world: World, module_database, operation: str
):
    path = path_of(world, operation=operation)
    await post(world, path, b'{"ResultCode":1032}')
    await post(world, path, b'{"ResultCode":0}')
    assert len(stored(module_database, operation)) == 2


@pytest.mark.parametrize("spoil", ["digit", "kind", "short", "upper", "unknown_kind", "none"])
async def test_a_token_that_is_not_ours_has_no_effect(world: World, module_database, operation: str, spoil: str):
    path = path_of(world, operation=operation)
    letter, token = path.split("/")[2:]
    wrong = {
        "digit": f"/cb/{letter}/{token[:-1]}{'0' if token[-1] != '0' else '1'}",
        "kind": f"/cb/r/{token}",
        "short": f"/cb/{letter}/{token[:-2]}",
        "upper": f"/cb/{letter}/{token.upper()}",
        "unknown_kind": f"/cb/zz/{token}",
        "none": f"/cb/{letter}/{'0' * len(token)}",
    }[spoil]
    answer = await post(world, wrong)
    assert (answer.status, answer.code) == (404, "not_found")
    assert stored(module_database, operation) == []
    assert world.actors.told == []


async def test_a_callback_that_cannot_be_stored_is_not_acknowledged(world: World, operation: str):
    class Away:
        async def add(self, *_: object, **__: object) -> bool:
            raise Unavailable("database")

    object.__setattr__(world.edge, "inbox", Away())
    answer = await post(world, path_of(world, operation=operation))
    assert answer.status == 503
    assert b"Accepted" not in answer.raw


async def test_a_callback_is_taken_while_everything_else_is_closed(world: World, module_database, operation: str):
    world.edge.admission.open = False
    assert (await post(world, path_of(world, operation=operation))).status == 200
    assert len(stored(module_database, operation)) == 1
    closed = await world.call("GET", "/me")
    assert (closed.status, closed.code) == (503, "not_ready")


async def test_a_bell_that_nobody_hears_changes_nothing(world: World, module_database, operation: str):
    def deaf(_address: str, _message: object) -> None:
        raise Unavailable("inbox")

    world.actors.tell = deaf
    assert (await post(world, path_of(world, operation=operation))).status == 200
    assert len(stored(module_database, operation)) == 1


@pytest.mark.parametrize(("size", "status"), [(64 * 1024, 200), (64 * 1024 + 1, 413), (1_000_000, 413)])
async def test_a_callback_has_at_most_64_kib(world: World, operation: str, size: int, status: int):
    assert (await post(world, path_of(world, operation=operation), b"x" * size)).status == status


async def test_results_of_the_rail_itself_are_stored_without_a_bell(world: World, module_database, operation: str):
    assert (await post(world, path_of(world, "balance", 0xFFFF, operation=operation))).status == 200
    assert stored(module_database, operation)[0][:2] == (0xFFFF, "balance")
    assert world.actors.told == []


class TestEnforced:
    """Where only listed addresses are heard, through one trusted proxy."""

    @pytest.fixture
    def edge_settings(self, edge_settings: EdgeSettings) -> EdgeSettings:
        return replace(
            edge_settings,
            callback_enforce=True,
            callback_allowlist=(ipaddress.ip_network("196.201.214.200/32"),),
            trusted_proxies=(ipaddress.ip_network("127.0.0.0/8"),),
        )

    async def test_a_foreign_address_with_a_right_token_is_404(self, world: World, module_database, operation: str):
        path = path_of(world, operation=operation)
        for forwarded in ("203.0.113.9", "196.201.214.200, 203.0.113.9", "garbage", ""):
            answer = await post(world, path, headers={"X-Forwarded-For": forwarded})
            assert answer.status == 404
        assert stored(module_database, operation) == []

    async def test_the_listed_address_is_heard_and_marked(self, world: World, module_database, operation: str):
        headers = {"X-Forwarded-For": "10.1.1.1, 196.201.214.200"}
        assert (await post(world, path_of(world, operation=operation), headers=headers)).status == 200
        assert stored(module_database, operation) == [(2, "stk", "196.201.214.200", 1, "NEW")]


async def test_without_a_trusted_proxy_forwarded_addresses_are_ignored(world: World, module_database, operation: str):
    headers = {"X-Forwarded-For": "196.201.214.200"}
    assert (await post(world, path_of(world, operation=operation), headers=headers)).status == 200
    assert stored(module_database, operation)[0][2] == "127.0.0.1"
