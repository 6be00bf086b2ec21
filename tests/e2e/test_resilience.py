"""Two hundred people pay in and out, and something breaks: all reaches its right end, nothing is lost or doubled."""

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from penpay.bench.seed import PIN, Customer, Pin, seed
from penpay.chaos.books import SETTLED, rows, settled, states
from penpay.chaos.judge import Verdict
from penpay.chaos.pace import FASTER, WITHDRAWING
from penpay.client import ApiProblem
from penpay.demo.rails import SandboxControl
from penpay.domain.withdrawal import State
from penpay.stack import NodeProcess, PrivateInstallation
from tests.e2e.crowd import Asking, Crowd, Operator
from tests.faults.operating import configured

PEOPLE = 200
DEBITED = frozenset(State) - SETTLED - {State.CREATED, State.DERIV_SENDING, State.DERIV_UNKNOWN}
"""States of a withdrawal whose customer has paid and was not paid yet."""
DEBITED_LEAST = 10
"""So many of them are on their way when something breaks."""
OPEN_LEAST = PEOPLE // 4
"""So many of all were accepted by then and have not ended, beside those who just ask."""
UNSAID = {"DEPOSIT": "refund_overdue", "WITHDRAWAL": "payout_unknown"}
"""The one question that may be left to a person: nobody heard Safaricom's answer, and it gives none a second time."""
END_WITHIN_S = 90.0
REDIS_AWAY_S = 3.0
LEASE_S = 6.0
SETTINGS = {
    **FASTER,
    **WITHDRAWING,
    "PENPAY_TIMING__SHARD_LEASE_S": str(LEASE_S),
    "PENPAY_TIMING__LEASE_RENEW_S": "2",
}
LONG_LEASES = {"PENPAY_TIMING__SHARD_LEASE_S": "3600"}
"""Nobody would wait until these run out."""
BRANCHES = (
    *("infra", "door", "rails", "rails/deriv", "rails/daraja", "shards", "shards/0", "shards/1"),
    *("jobs", "edge", "ops", "penpay"),
)
_rounds = itertools.count()


@pytest.fixture(scope="module")
def running() -> Iterator[PrivateInstallation]:
    with PrivateInstallation(settings=SETTINGS) as installation:
        installation.start()
        yield installation


@pytest.fixture(scope="module")
def people(running: PrivateInstallation) -> list[Customer]:
    # Their PINs are cheap to compare: what that costs is measured elsewhere.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return list(runner.run(seed(running.node.env or {}, PEOPLE, pin=Pin(PIN, real=0))))


@dataclass(slots=True)
class Scene:
    """One round of both directions and the means to break things."""

    installation: PrivateInstallation
    crowd: Crowd
    control: SandboxControl
    operator: Operator
    asked: list[asyncio.Task[list[str]]] = field(default_factory=list)
    before: int = 0

    @property
    def node(self) -> NodeProcess:
        """The node that has the shards."""
        return self.operator.node

    async def begin(self) -> None:
        """Most ask; returns when the first have ended and the rest are on their way, as the others ask.

        Some withdrawals begin early and others late, so that they are caught before, in and after their debit.
        """
        held = rows(self.installation, "SELECT user_id FROM {ledger}.transactions WHERE state = 'IN_REVIEW'")
        crowd = self.crowd
        await crowd.begin(next(_rounds), held={user_id for (user_id,) in held})
        await crowd.fetch_codes(crowd.withdrawing)
        self.before = sum(states(self.installation).values())
        half, some = len(crowd.withdrawing) // 2, len(crowd.depositing) // 2
        self._ask(crowd.withdrawing[:half])
        await self._until(lambda: self._debited() >= DEBITED_LEAST)
        self._ask(crowd.depositing[:some])
        await self._until(lambda: self._ended() > 0)
        self._ask(crowd.withdrawing[half:])
        # On a slow machine those who began early have ended by now, and others are debited a moment later.
        await self._until(lambda: self._ended() >= PEOPLE // 10 and self._debited() >= DEBITED_LEAST)
        # However many have ended meanwhile: these begin now.
        self._ask(crowd.depositing[some:])
        await self._until(lambda: self._open() >= OPEN_LEAST)
        asked = len(crowd.withdrawing) + len(crowd.depositing)
        await self._until(lambda: sum(states(self.installation).values()) - self.before >= asked)
        self._ask(crowd.late)

    def _ask(self, some: Sequence[Asking]) -> None:
        self.asked.append(asyncio.create_task(self.crowd.ask(some)))

    async def _until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not reached():
            assert time.monotonic() < deadline, states(self.installation)
            await asyncio.sleep(0.02)

    def _ended(self) -> int:
        return self._in(SETTLED) - self.before

    def _open(self) -> int:
        found = states(self.installation)
        return sum(found.values()) - self._in(SETTLED)

    def _debited(self) -> int:
        return self._in(DEBITED)

    def _in(self, some: Collection[str]) -> int:
        return sum(count for state, count in states(self.installation).items() if state in some)

    async def end(self) -> None:
        """Everybody was answered, everything ended, and the judge agrees."""
        ids = [id_ for wave in await asyncio.gather(*self.asked) for id_ in wave]
        assert len(set(ids)) == PEOPLE
        found = await settled(self.installation, within_s=END_WITHIN_S)
        assert sum(found.values()) == self.before + PEOPLE
        truth = await self.control.get("/truth")
        verdict = await asyncio.to_thread(Verdict.of, self.installation, truth)
        assert verdict.wrong == []
        for direction, question in UNSAID.items():
            assert verdict.ends[direction, "IN_REVIEW"] == verdict.reviews[question]
            assert verdict.ends[direction, "COMPLETED"]
            assert verdict.ends[direction, "REVERSED"]


@pytest.fixture
async def scene(running: PrivateInstallation, people: list[Customer]) -> AsyncIterator[Scene]:
    connector = aiohttp.TCPConnector(limit=64)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:
        control = SandboxControl(running.control_url, session)
        alive = next(node for node in running.nodes if node.is_running())
        operator = Operator(alive, running.ops_token, session)
        await operator.until_ready(within_s=60)
        yield Scene(running, Crowd(people, running.nodes, session, control), control, operator)


async def test_a_killed_node_goes_on_under_its_own_name(scene: Scene) -> None:
    # Its own leases need not run out first.
    async with configured(scene.node, **LONG_LEASES):
        await scene.begin()
        scene.node.kill()
        await scene.node.start_async()
        await scene.end()


@pytest.mark.parametrize("way", ["stopped", "killed"])
async def test_a_database_restart_restarts_no_actor(scene: Scene, way: str) -> None:
    await scene.begin()
    before = restarts(await scene.operator.members())
    mariadb = scene.installation.mariadb
    if way == "killed":
        mariadb.kill()
    else:
        await mariadb.stop_async()
    await scene.operator.until_ready(within_s=30, ready=False)
    await mariadb.start_async()
    await scene.operator.until_ready(within_s=30)
    await scene.end()
    after = await scene.operator.members()
    assert restarts(after) == before
    assert [path for path, member in after.items() if member["last_failure"]] == []
    # The lock on the node's name went with its session; somebody took it again.
    held = rows(scene.installation, "SELECT IS_USED_LOCK(%s) IS NOT NULL", f"penpay_node:{scene.node.name}")
    assert held == [(1,)]


async def test_a_flushed_redis_costs_nothing(scene: Scene) -> None:
    await scene.begin()
    scene.installation.redis.flush()
    await scene.end()


async def test_seconds_without_redis_lose_nothing(scene: Scene) -> None:
    await scene.begin()
    redis = scene.installation.redis
    redis.kill()
    await asyncio.sleep(REDIS_AWAY_S)
    await redis.start_async()
    await scene.end()


async def test_every_supervisor_is_restarted_in_one_storm(scene: Scene) -> None:
    await scene.begin()
    for path in BRANCHES:
        assert await scene.operator.restart(path) in {200, 202}, path
        await scene.operator.until_ready(within_s=30)
    await scene.end()


@pytest.mark.slow
@pytest.mark.parametrize("path", BRANCHES)
async def test_a_supervisor_is_restarted_under_load(scene: Scene, path: str) -> None:
    await scene.begin()
    status = await scene.operator.restart(path)
    assert status == (202 if path in {"ops", "penpay"} else 200)
    if status == 200:
        # Answered when it is ready again.
        assert (await scene.operator.members())[path]["state"] == "running"
    await scene.operator.until_ready(within_s=30)
    await scene.end()


async def test_every_static_actor_is_restarted_under_load(scene: Scene) -> None:
    await scene.begin()
    members = await scene.operator.members()
    leaves = [path for path, member in members.items() if not path_of_children(member) and path.count("/")]
    assert {"shards/0/ledger", "rails/deriv/session", "shards/3/sagas"} <= set(leaves)
    for path in leaves:
        assert await scene.operator.restart(path) in {200, 202}, path
    await scene.operator.until_ready(within_s=30)
    await scene.end()


async def test_deriv_drops_everybody(scene: Scene) -> None:
    await scene.begin()
    for _ in range(3):
        await scene.control.post("/deriv/drop", {})
        await asyncio.sleep(0.5)
    await scene.end()


async def test_deriv_is_being_updated(scene: Scene) -> None:
    await scene.begin()
    await scene.control.post("/deriv/site", {"status": "updating", "drop_after_s": 1})
    await asyncio.sleep(2.5)
    await scene.control.post("/deriv/site", {"status": "up"})
    await scene.end()


@pytest.mark.parametrize("way", ["drained", "killed", pytest.param("paused", marks=pytest.mark.slow)])
async def test_a_second_node_stands_by_and_takes_over(scene: Scene, way: str) -> None:
    first = scene.operator
    second = Operator(standby_of(scene), first.token, first.session)
    async with AsyncExitStack() as stack:
        if way == "drained":
            # Nothing has to run out: the leases are given back.
            await stack.enter_async_context(configured(first.node, **LONG_LEASES))
            await first.until_ready(within_s=30)
        await _taken_over(scene, second, way)


async def _taken_over(scene: Scene, second: Operator, way: str) -> None:
    first = scene.operator
    second.node.spawn()
    await second.until_ready(within_s=30, ready=False)
    await scene.begin()
    await stands_by(scene, second.node)
    if way == "drained":
        await first.drain()
        assert await exit_of(first.node, within_s=40) == 0
    elif way == "killed":
        first.node.kill()
    else:
        first.node.send(signal.SIGSTOP)
    scene.operator = second
    await second.until_ready(within_s=60)
    if way == "paused":
        # It wakes up in the middle of whatever it was doing, believes itself the owner, and may write nothing.
        first.node.send(signal.SIGCONT)
    await scene.end()
    if way == "paused":
        await first.until_ready(within_s=30, ready=False)
        await first.drain()
        assert await exit_of(first.node, within_s=40) == 0


async def exit_of(node: NodeProcess, *, within_s: float) -> int:
    """Wait until the process is gone; its exit status."""
    deadline = time.monotonic() + within_s
    while node.is_running():
        assert time.monotonic() < deadline, node.log_tail()
        await asyncio.sleep(0.05)
    assert node.exit_code is not None
    return node.exit_code


def standby_of(scene: Scene) -> NodeProcess:
    """The other node; made the first time."""
    others = [node for node in scene.installation.nodes if node is not scene.node]
    return others[0] if others else scene.installation.add_node("node-2")


async def stands_by(scene: Scene, standby: NodeProcess) -> None:
    """It refuses what needs a shard, reads, and stores callbacks."""
    client = scene.crowd.client(standby, scene.crowd.customers[0])
    with pytest.raises(ApiProblem) as refused:
        await client.deposit("5000.00", key="asked-at-the-standby")
    problem = refused.value
    assert (problem.status, problem.code) == (503, "not_owner")
    assert problem.retry_after_s > 0
    assert (await client.transactions())["items"]
    truth = await scene.control.get("/truth")
    push = next(push for push in truth["pushes"] if push["result_code"] == "0")
    path = push["callback_url"].partition("/cb/")[2]
    told = {"url": f"{standby.public_url}/cb/{path}", "receipt": push["receipt"], "msisdn": push["msisdn"]}
    told |= {"checkout_id": push["checkout_id"], "amount_kes": push["amount_minor"] // 100}
    assert await scene.control.post("/forge", told) == {"status": 200}


def restarts(members: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """How often each was restarted."""
    return {path: member["restarts"] for path, member in members.items()}


def path_of_children(member: Mapping[str, Any]) -> list[str]:
    """Paths of static children; a host's entities come and go."""
    return [] if member["kind"] == "entity host" else [child["path"] for child in member["children"]]
