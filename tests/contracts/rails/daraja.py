"""Safaricom as a test meets it: the sandbox over sockets behind our own adapter, or the simulation in virtual time."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import aiohttp

from penpay.adapters.crypto import security_credential
from penpay.adapters.daraja import DarajaAccount, HttpDaraja
from penpay.adapters.system import SystemClock
from penpay.ports_rails import DarajaGateway
from penpay.sandbox.config import SandboxConfig
from penpay.sandbox.server import running
from penpay.simulation.clock import WorldClock
from penpay.simulation.loop import NodeLoop, Universe
from penpay.simulation.mpesa import Mpesa
from penpay.simulation.mpesa_gateway import SimDaraja
from penpay.simulation.odds import Odds
from penpay.simulation.people import Answer
from penpay.simulation.post import Post
from penpay.simulation.truth import Push, Truth
from tests.rails.conftest import listening
from tests.rails.fakes import Sandbox

PHONE = "254708374149"


class Rail(Protocol):
    """What a scenario of this contract may use. Every callback comes to `callback`, whatever its path."""

    daraja: DarajaGateway

    def url(self, path: str) -> str: ...
    def now(self) -> datetime: ...
    async def callback(self) -> tuple[str, bytes]:
        """Path and body of the next post."""
        ...

    async def payer(self, outcome: str, *, after_s: float = 0.0) -> None:
        """The next prompt on the phone ends like this: `0` is paid."""
        ...


Scenario = Callable[[Rail], Awaitable[None]]


@dataclass
class SandboxRail:
    """The sandbox as a real server."""

    box: Sandbox
    daraja: HttpDaraja

    def url(self, path: str) -> str:
        return f"{self.box.callback_url}{path}"

    def now(self) -> datetime:
        return SystemClock().now()

    async def callback(self) -> tuple[str, bytes]:
        return await self.box.callback()

    async def payer(self, outcome: str, *, after_s: float = 0.0) -> None:
        step = {"outcome": outcome, "answer_delay_s": after_s}
        await self.box.control(f"/phones/{PHONE}/script", {"steps": [step]})


@asynccontextmanager
async def _sandbox(folder: Path) -> AsyncIterator[SandboxRail]:
    async with (
        running(SandboxConfig(data_dir=folder)) as house,
        aiohttp.ClientSession() as http,
        listening() as (url, received),
    ):
        box = Sandbox(house, http, url, received)
        knobs = {"answer_delay_s": 0.0, "result_delay_s": 0.0, "push_interval_s": 0}
        await box.control("/daraja/script", {"knobs": knobs})
        daraja = HttpDaraja(_account(box.env), SystemClock())
        yield SandboxRail(box, daraja)
        await daraja.close()


def _account(env: dict[str, str]) -> DarajaAccount:
    named = {name: env[f"PENPAY_DARAJA__{name.upper()}"] for name in (
        "base_url", "consumer_key", "consumer_secret", "shortcode", "passkey", "initiator_name"
    )}  # fmt: skip
    certificate = Path(env["PENPAY_DARAJA__CERTIFICATE"]).read_bytes()
    return DarajaAccount(
        **named,
        paying_shortcode=env["PENPAY_DARAJA__B2C_SHORTCODE"],
        security_credential=security_credential(certificate, env["PENPAY_DARAJA__INITIATOR_PASSWORD"]),
        call_timeout_s=5.0,
    )


def on_the_sandbox(scenario: Scenario, folder: Path) -> None:
    """Run it in real time."""

    async def main() -> None:
        async with _sandbox(folder) as rail:
            await scenario(rail)

    with asyncio.Runner() as runner:
        runner.run(main())


@dataclass
class Hand:
    """The hand that holds the simulated phone: does what it is told, and pays at once when nobody says anything."""

    planned: list[tuple[str, float]] = field(default_factory=list)
    dice: random.Random = field(default_factory=lambda: random.Random(1))

    def answer(self, push: Push) -> Answer:
        code, after_s = self.planned.pop(0) if self.planned else ("0", 0.0)
        return Answer(code, after_s, push.amount_minor)

    def payer_of(self, push: Push) -> str:
        return push.phone

    def shown(self, phone: str) -> str:
        return phone


class SimulatedRail:
    """The simulation's Safaricom without faults."""

    def __init__(self) -> None:
        self.universe = Universe(random.Random(1), steps_max=200_000)
        self.loop = NodeLoop(self.universe, "node")
        world = NodeLoop(self.universe, "world")
        clock = WorldClock(self.universe)
        post, odds = Post(world, random.Random(2)), Odds(random.Random(3), random.Random(4), random.Random, only=())
        self.hand = Hand()
        self.received: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        mpesa = Mpesa(
            Truth(paybill_minor=50_000_000, utility_minor=50_000_000),
            odds,
            post,
            self.hand,  # type: ignore[arg-type]  # the same two methods and dice
            self._deliver,
            now_s=lambda: self.universe.now_s,
            tell=lambda text: None,
        )
        self.daraja: DarajaGateway = SimDaraja(mpesa, odds, post, self.loop, call_s=5.0)
        self.now = clock.now

    def _deliver(self, url: str, body: bytes, *, genuine: bool, certain: bool = False) -> None:
        self.received.put_nowait((url, body))

    def url(self, path: str) -> str:
        return path

    async def callback(self) -> tuple[str, bytes]:
        return await self.received.get()

    async def payer(self, outcome: str, *, after_s: float = 0.0) -> None:
        self.hand.planned.append((outcome, after_s))


def in_the_simulation(scenario: Scenario, folder: Path) -> None:
    """Run it in virtual time."""
    del folder
    rail = SimulatedRail()
    task = rail.loop.create_task(_awaited(scenario, rail))
    assert rail.universe.run(until=task.done), "nothing happens any more, and the scenario still waits"
    task.result()


async def _awaited(scenario: Scenario, rail: Rail) -> None:
    await scenario(rail)
