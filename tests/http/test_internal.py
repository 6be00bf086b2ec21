"""The internal listener: probes, metrics, and operating the tree."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request
from structlog.testing import capture_logs

from penpay.adapters.metrics import Metrics
from penpay.adapters.system import RandomUlids
from penpay.app.listeners import NodeReadiness
from penpay.domain.board import Board, RailHealth
from penpay.domain.errors import Unavailable
from penpay.http.edge import Admission
from penpay.http.internal import InternalParts, _Lock, internal_app
from penpay.http.readiness import Dependency
from penpay.http.replies import Stop
from penpay.http.site import Site

TREE = {"path": "penpay", "kind": "supervisor", "state": "running", "children": []}


class ElsewhereError(Unavailable):
    """Nobody lives at this address here."""


@dataclass
class Node:
    """What the listener asks, and what it was told to do."""

    dependencies_now: list[Dependency] = field(default_factory=lambda: [Dependency(name="database", ok=True)])
    commands: list[tuple[str, str]] = field(default_factory=list)
    draining: bool = False
    stands_by: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def dependencies(self) -> list[Dependency]:
        return self.dependencies_now

    def describe(self) -> dict[str, object]:
        if self.stands_by:
            raise ElsewhereError("no actor at shards/0/sagas/01KAF0Z3T9V5N5W6H3C8Q2YB7D")
        return TREE

    async def restart(self, path: str) -> None:
        await self._do("restart", path)

    async def stop_child(self, path: str) -> None:
        await self._do("stop", path)

    async def start_child(self, path: str) -> None:
        await self._do("start", path)

    async def _do(self, command: str, path: str) -> None:
        if path == "penpay/nowhere":
            raise KeyError(path)
        if path == "penpay/busy":
            raise Unavailable("another restart is running")
        self.commands.append((command, path))
        self.done.set()


@dataclass
class Internal:
    node: Node
    metrics: Metrics
    base: str
    session: aiohttp.ClientSession

    async def call(self, method: str, path: str, **more: object) -> tuple[int, object, aiohttp.ClientResponse]:
        async with self.session.request(method, self.base + path, **more) as answer:
            body = await answer.json(content_type=None) if "json" in answer.content_type else await answer.text()
            return answer.status, body, answer


@pytest.fixture
def ops_token() -> str:
    return ""


@pytest.fixture
async def internal(ops_token: str) -> AsyncIterator[Internal]:
    node, metrics = Node(), Metrics()

    def leave() -> None:
        node.draining = True

    parts = InternalParts(
        readiness=node,
        operations=node,
        metrics=metrics,
        ids=RandomUlids(),
        ops_token=ops_token,
        drain=leave,
        before_scrape=lambda: metrics.edge_load(requests=7, streams=3),
        unknown_path=(KeyError, ElsewhereError),
    )
    site = Site("internal", lambda: internal_app(parts), host="127.0.0.1", port=0, close_s=0.2)
    await site.open()
    async with aiohttp.ClientSession() as session:
        yield Internal(node, metrics, f"http://127.0.0.1:{site.port}", session)
    await site.close()


async def test_whoever_is_answered_knows_that_the_process_lives(internal: Internal):
    assert (await internal.call("GET", "/healthz"))[:2] == (200, {"alive": True})


async def test_ready_rests_on_what_is_needed_and_names_the_rest(internal: Internal):
    internal.node.dependencies_now.append(Dependency(name="pull", ok=False, needed=False, detail="not registered"))
    status, body, _ = await internal.call("GET", "/readyz")
    assert (status, body["ready"]) == (200, True)
    assert body["dependencies"]["pull"] == {"ok": False, "needed": False, "detail": "not registered"}
    internal.node.dependencies_now.append(Dependency(name="redis", ok=False))
    status, body, answer = await internal.call("GET", "/readyz")
    assert (status, body["ready"]) == (503, False)
    assert answer.headers["Retry-After"]


async def test_the_tree_is_shown_and_operated_by_path(internal: Internal):
    assert (await internal.call("GET", "/ops/tree"))[:2] == (200, TREE)
    assert (await internal.call("POST", "/ops/tree/penpay/rails/deriv/restart"))[0] == 200
    assert (await internal.call("POST", "/ops/tree/penpay/shards/3/stop"))[0] == 200
    assert (await internal.call("POST", "/ops/tree/penpay/shards/3/start"))[0] == 200
    assert internal.node.commands == [
        ("restart", "penpay/rails/deriv"),
        ("stop", "penpay/shards/3"),
        ("start", "penpay/shards/3"),
    ]


async def test_who_asks_a_node_that_stands_by_is_sent_to_the_one_that_runs(internal: Internal):
    internal.node.stands_by = True
    status, body, answer = await internal.call("GET", "/ops/tree")
    assert (status, body["code"], answer.headers["Retry-After"]) == (503, "not_owner", "1")
    assert "ask the one whose /readyz answers 200" in body["detail"]
    assert "shards/0" not in str(body)


@pytest.mark.parametrize(("owned", "says"), [(4, "4 of 4"), (0, "0 of 4: another node runs them")])
async def test_readiness_says_where_the_shards_are(owned: int, says: str):
    readiness = NodeReadiness(Board(), Admission(), lambda: owned, 4, dict)
    (shards,) = [one for one in await readiness.dependencies() if one.name == "shards"]
    assert shards.ok is (owned == 4)
    assert shards.detail.startswith(says)


async def test_readiness_names_what_a_rail_that_is_up_does_without():
    board = Board(rails={"daraja": RailHealth(up=True)}, untold={"mpesa_utility"})
    board.answers("daraja", "pull", well=False)
    found = {one.name: one for one in await NodeReadiness(board, Admission(), lambda: 4, 4, dict).dependencies()}
    assert (found["daraja"].ok, found["daraja"].detail) == (True, "without pull")
    assert (found["opening balances"].ok, found["opening balances"].detail) == (True, "without mpesa_utility")
    board.answers("daraja", "pull", well=True)
    board.rails["daraja"] = RailHealth(up=False, reason="stopping")
    found = {one.name: one for one in await NodeReadiness(board, Admission(), lambda: 4, 4, dict).dependencies()}
    assert (found["daraja"].ok, found["daraja"].detail) == (False, "stopping")


async def test_unknown_paths_and_commands_are_said_so(internal: Internal):
    assert (await internal.call("POST", "/ops/tree/penpay/nowhere/restart"))[0] == 404
    assert (await internal.call("POST", "/ops/tree/penpay/rails/explode"))[0] == 404
    status, body, _ = await internal.call("POST", "/ops/tree/penpay/busy/restart")
    assert (status, body["code"]) == (503, "unavailable")
    assert internal.node.commands == []


@pytest.mark.parametrize("path", ["penpay", "penpay/ops", "ops"])
async def test_what_would_cut_its_own_answer_is_answered_first(internal: Internal, path: str):
    assert (await internal.call("POST", f"/ops/tree/{path}/restart"))[0] == 202
    async with asyncio.timeout(5):
        await internal.node.done.wait()
    assert internal.node.commands == [("restart", path)]


async def test_what_the_framework_refuses_is_a_problem_here_too(internal: Internal):
    for method, path, status, code in (
        ("DELETE", "/ops/tree", 405, "method_not_allowed"),
        ("GET", "/ops/nowhere", 404, "not_found"),
    ):
        got, body, answer = await internal.call(method, path)
        assert (got, body["code"]) == (status, code)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert len(answer.headers["X-Request-Id"]) == 26
        assert ("Allow" in answer.headers) == (status == 405)


async def test_staff_decide_so_often_a_minute_and_looks_and_probes_are_not_in_the_way(internal: Internal):
    for _ in range(120):
        assert (await internal.call("POST", "/admin/v1/nothing"))[0] == 404
    status, body, answer = await internal.call("POST", "/admin/v1/nothing")
    assert (status, body["code"]) == (429, "rate_limited")
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert (await internal.call("GET", "/healthz"))[0] == 200
    assert (await internal.call("GET", "/ops/tree"))[0] == 200
    for _ in range(1200):
        assert (await internal.call("GET", "/admin/v1/nothing"))[0] == 404
    assert (await internal.call("GET", "/admin/v1/nothing"))[0] == 429


async def test_draining_begins_and_is_answered(internal: Internal):
    assert (await internal.call("POST", "/ops/drain"))[0] == 202
    assert internal.node.draining


async def test_to_stop_everything_is_to_leave(internal: Internal):
    assert (await internal.call("POST", "/ops/tree/penpay/start"))[0] == 202
    assert not internal.node.draining
    assert (await internal.call("POST", "/ops/tree/penpay/stop"))[0] == 202
    assert internal.node.draining
    assert internal.node.commands == []


async def test_metrics_come_in_both_formats(internal: Internal):
    internal.metrics.restarted("penpay/rails", "crashed")
    internal.metrics.violations({"I1": 0})
    status, text, answer = await internal.call("GET", "/metrics")
    assert status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert 'penpay_actor_restarts_total{reason="crashed",supervisor="penpay/rails"} 1.0' in text
    assert 'penpay_invariant_violations{name="I1"} 0.0' in text
    assert "penpay_event_streams 3.0" in text
    opened = {"Accept": "application/openmetrics-text; version=1.0.0"}
    _, text, answer = await internal.call("GET", "/metrics", headers=opened)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


CONTRACT = """
http_request_duration_seconds transactions_total stage_duration_seconds ledger_units_total ledger_batch_size
ledger_commit_duration_seconds actor_mailbox_depth actors_alive actor_restarts_total outbox_lag_seconds
saga_oldest_seconds provider_request_duration_seconds deriv_connected unknown_outcomes invariant_violations float_minor
"""


async def test_every_promised_name_is_there_with_its_help(internal: Internal):
    _, text, _ = await internal.call("GET", "/metrics")
    for name in CONTRACT.split():
        assert f"# HELP penpay_{name} " in text, name


class TestWithToken:
    @pytest.fixture
    def ops_token(self) -> str:
        return "operators-secret"

    async def test_operating_needs_the_token_and_probes_do_not(self, internal: Internal):
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await internal.call("GET", path))[0] == 200
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "operators-secret"}):
            assert (await internal.call("GET", "/ops/tree", headers=given))[0] == 401
            assert (await internal.call("POST", "/ops/drain", headers=given))[0] == 401
        assert not internal.node.draining
        right = {"Authorization": "Bearer operators-secret"}
        assert (await internal.call("GET", "/ops/tree", headers=right))[0] == 200

    async def test_wrong_tokens_leave_a_trace_and_are_told_to_wait(self, internal: Internal):
        async def tried(token: str) -> int:
            return (await internal.call("GET", "/ops/tree", headers={"Authorization": f"Bearer {token}"}))[0]

        with capture_logs() as lines:
            assert [await tried(f"guess-{n}") for n in range(30)] == [401] * 30
            status, body, answer = await internal.call("GET", "/ops/tree", headers={"Authorization": "Bearer guess"})
            assert (status, body["code"]) == (429, "rate_limited")
            assert 0 < int(answer.headers["Retry-After"]) <= 60
            assert await tried("operators-secret") == 200
            assert (await internal.call("GET", "/ops/tree"))[0] == 401, "no token is no guess"
        warnings = [line for line in lines if line["log_level"] == "warning"]
        assert [(line["event"], line["times"]) for line in warnings] == [("wrong_ops_token", 1)]
        text = (await internal.call("GET", "/metrics"))[1]
        assert 'penpay_authentications_total{kind="ops",result="refused"} 31.0' in text

    async def test_a_token_of_strange_bytes_is_a_wrong_one(self, internal: Internal):
        address = urlsplit(internal.base)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(
            b"GET /ops/tree HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer \xff\r\n\r\n"
        )
        async with asyncio.timeout(10):
            assert (await reader.read()).startswith(b"HTTP/1.1 401")
        writer.close()
        await writer.wait_closed()


def test_the_next_line_about_wrong_tokens_says_how_many_there_were():
    lock = _Lock("operators-secret", Metrics())
    request = make_mocked_request("GET", "/ops/tree", headers={"Authorization": "Bearer guess"})
    with capture_logs() as lines:
        for now_s in (1000.0, 1001.0, 1059.9, 1060.0, 1061.0):
            with pytest.raises(Stop):
                lock.open_for(request, now_s)
    assert [line["times"] for line in lines] == [1, 3]
