"""Deriv as a test meets it: the sandbox over a real WebSocket, or the simulation's socket in virtual time."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import aiohttp

from penpay.adapters.deriv import WebSocketDialer
from penpay.domain import deriv_protocol as protocol
from penpay.ports_rails import DerivDialer, DerivSocket
from penpay.sandbox.config import SandboxConfig
from penpay.sandbox.server import running
from penpay.simulation.deriv import Deriv
from penpay.simulation.deriv_socket import SimDialer
from penpay.simulation.loop import NodeLoop, Universe
from penpay.simulation.odds import Odds
from penpay.simulation.post import Post
from penpay.simulation.scale import AGENT, AGENT_TOKEN
from penpay.simulation.truth import Account, Truth
from tests.rails.conftest import listening
from tests.rails.fakes import Sandbox

HELD_MINOR = 500_000
"""What the agent has at the beginning: two and a half of the greatest transfers."""


@dataclass(frozen=True)
class Who:
    """Somebody with a Deriv account."""

    loginid: str
    token: str
    email: str


class Rail(Protocol):
    """What a scenario of this contract may use."""

    dialer: DerivDialer
    agent: Who

    async def customer(self, *, balance_minor: int) -> Who: ...
    async def code(self, who: Who) -> str:
        """The newest code that was mailed to somebody."""
        ...

    async def drop(self, who: Who) -> None:
        """Deriv closes this account's sockets without a word."""
        ...


Scenario = Callable[[Rail], Awaitable[None]]


@dataclass
class Talk:
    """A socket, the answers to what was asked on it, and what streamed meanwhile."""

    socket: DerivSocket
    streamed: list[protocol.Frame] = field(default_factory=list)
    asked: int = 0

    async def ask(self, request: protocol.Request) -> protocol.Frame:
        """Send a request and wait for its own answer."""
        self.asked += 1
        number = self.asked
        await self.socket.send(protocol.encode(request, number))
        while True:
            frame = protocol.decode(await self.socket.receive())
            if frame.req_id == number and frame.msg_type == protocol.method(request):
                return frame
            self.streamed.append(frame)

    async def next_of(self, name: str) -> protocol.Frame:
        """The next message of a stream."""
        while True:
            for frame in self.streamed:
                if frame.msg_type == name:
                    self.streamed.remove(frame)
                    return frame
            self.streamed.append(protocol.decode(await self.socket.receive()))


async def talk(rail: Rail, who: Who | None = None) -> Talk:
    """An open socket, signed in as somebody."""
    opened = Talk(await rail.dialer.connect())
    if who is not None:
        assert not (await opened.ask(protocol.authorize(who.token))).error_code
    return opened


@dataclass
class SandboxRail:
    """The sandbox as a real server."""

    box: Sandbox
    dialer: WebSocketDialer
    agent: Who
    customers: int = 0

    async def customer(self, *, balance_minor: int) -> Who:
        self.customers += 1
        email = f"c{self.customers}@customers.example"
        body = {"fullname": "Jane Wanjiku", "email": email, "balance": f"{balance_minor / 100:.2f}"}
        told = await self.box.control("/deriv/customers", body)
        return Who(told["loginid"], told["token"], email)

    async def code(self, who: Who) -> str:
        codes = self.box.house.truth.world.codes
        return [code for code, mailed in codes.items() if mailed.email == who.email][-1]

    async def drop(self, who: Who) -> None:
        await self.box.control("/deriv/drop", {"loginid": who.loginid})


@asynccontextmanager
async def _sandbox(folder: Path) -> AsyncIterator[SandboxRail]:
    async with (
        running(SandboxConfig(data_dir=folder, opening_agent_minor=HELD_MINOR)) as house,
        aiohttp.ClientSession() as http,
        listening() as (url, received),
    ):
        box = Sandbox(house, http, url, received)
        env = box.env
        dialer = WebSocketDialer(ws_url=env["PENPAY_DERIV__WS_URL"], app_id=env["PENPAY_DERIV__APP_ID"])
        agent = Who(env["PENPAY_DERIV__AGENT_LOGINID"], env["PENPAY_DERIV__AGENT_TOKEN"], "")
        yield SandboxRail(box, dialer, agent)


def on_the_sandbox(scenario: Scenario, folder: Path) -> None:
    """Run it in real time."""

    async def main() -> None:
        async with _sandbox(folder) as rail, asyncio.timeout(20):
            await scenario(rail)

    with asyncio.Runner() as runner:
        runner.run(main())


class SimulatedRail:
    """The simulation's Deriv without faults."""

    def __init__(self) -> None:
        self.universe = Universe(random.Random(1), steps_max=200_000)
        self.loop = NodeLoop(self.universe, "node")
        world = NodeLoop(self.universe, "world")
        post, odds = Post(world, random.Random(2)), Odds(random.Random(3), random.Random(4), random.Random, only=())
        self._truth = Truth(paybill_minor=0, utility_minor=0)
        self._deriv = Deriv(
            self._truth, odds, post, random.Random(4), now_s=lambda: self.universe.now_s, tell=lambda text: None
        )
        self._codes: dict[str, str] = {}
        self._deriv.mailed = self._codes.__setitem__
        self.agent = self._account(AGENT, AGENT_TOKEN, HELD_MINOR)
        self.dialer = SimDialer(self.loop, post, odds, self._deriv.hear, self._deriv.gone)

    def _account(self, loginid: str, token: str, balance_minor: int) -> Who:
        self._truth.accounts[loginid] = Account(loginid, token, balance_minor)
        return Who(loginid, token, f"{loginid.lower()}@example.com")

    async def customer(self, *, balance_minor: int) -> Who:
        number = len(self._truth.accounts)
        return self._account(f"CR{number}", f"token-{number}", balance_minor)

    async def code(self, who: Who) -> str:
        return self._codes[who.loginid]

    async def drop(self, who: Who) -> None:
        for end in list(self._deriv._watchers):
            if end.loginid == who.loginid:
                end.drop()


def in_the_simulation(scenario: Scenario, folder: Path) -> None:
    """Run it in virtual time."""
    del folder
    rail = SimulatedRail()

    async def main() -> None:
        await scenario(rail)

    task = rail.loop.create_task(main())
    assert rail.universe.run(until=task.done), "nothing happens any more, and the scenario still waits"
    task.result()
