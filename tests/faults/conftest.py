"""The stage of the faults, and a saga without any outside for those that need no more."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import aiohttp
import pytest

from actors.base import AsyncioActorRef
from actors.saga import SagaActor
from penpay.adapters.daraja import DarajaAccount, HttpDaraja
from penpay.adapters.system import SystemClock
from penpay.bench.seed import Customer, seed
from penpay.chaos.books import settled
from penpay.chaos.judge import Verdict
from penpay.demo.rails import SandboxControl
from penpay.stack import PrivateInstallation
from tests.actors.house import House
from tests.actors.test_saga import house as admitted  # noqa: F401 - the fixture `house`, under another name
from tests.actors.test_saga import parts_of, row_of
from tests.faults.stage import SETTINGS, Stage
from tests.harness.wire import Wire

CUSTOMERS = 400
SOONER = {"PENPAY_TIMING__STK_UNKNOWN_S": "900"}
"""Where a second is one tenth of the stage's own."""


@pytest.fixture(scope="session")
def theatre() -> Iterator[tuple[PrivateInstallation, Iterator[Customer]]]:
    """The installation, and customers whom nobody knows yet."""
    with PrivateInstallation(settings=SETTINGS) as installation:
        installation.start()
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            customers = runner.run(seed(installation.node.env or {}, CUSTOMERS))
        yield installation, iter(customers)


@pytest.fixture(scope="module")
def somebody(theatre: tuple[PrivateInstallation, Iterator[Customer]]) -> Customer:
    """One customer for a whole module, where nothing that they ask for leaves a trace."""
    return next(theatre[1])


@pytest.fixture
async def stage(theatre: tuple[PrivateInstallation, Iterator[Customer]]) -> AsyncIterator[Stage]:
    installation, customers = theatre
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        control = SandboxControl(installation.control_url, session)
        await control.post("/daraja/script", {"knobs": {"push_interval_s": 0.0}})
        yield Stage(installation, session, control, customers)


@pytest.fixture
async def unlisted(stage: Stage) -> AsyncIterator[Stage]:
    """A stage on which Safaricom's list of payments is too far behind to tell anything."""
    await stage.control.post("/daraja/script", {"knobs": {"pull_lag_s": 60.0}})
    yield stage
    await stage.control.post("/daraja/script", {"knobs": {"pull_lag_s": 0.0}})


@pytest.fixture
async def daraja_at(stage: Stage) -> AsyncIterator[Callable[[str], HttpDaraja]]:
    """Make clients of Safaricom at an address of the test's choice."""
    environment = stage.installation.environment
    made: list[HttpDaraja] = []

    def at(base_url: str) -> HttpDaraja:
        account = DarajaAccount(
            base_url=base_url,
            consumer_key=environment["PENPAY_DARAJA__CONSUMER_KEY"],
            consumer_secret=environment["PENPAY_DARAJA__CONSUMER_SECRET"],
            shortcode=environment["PENPAY_DARAJA__SHORTCODE"],
            paying_shortcode=environment["PENPAY_DARAJA__B2C_SHORTCODE"],
            passkey=environment["PENPAY_DARAJA__PASSKEY"],
            initiator_name=environment["PENPAY_DARAJA__INITIATOR_NAME"],
            security_credential="",
            call_timeout_s=5.0,
        )
        made.append(HttpDaraja(account, SystemClock()))
        return made[-1]

    yield at
    for client in made:
        await client.close()


@pytest.fixture
async def saga(admitted: House) -> AsyncIterator[AsyncioActorRef]:  # noqa: F811 - the fixture
    """The saga of `admitted`'s one deposit."""
    ref = SagaActor.start(row_of(admitted).id, parts_of(admitted))
    yield ref  # type: ignore[misc]
    await ref.shutdown(1)


@pytest.fixture(scope="session")
def wired_theatre() -> Iterator[tuple[PrivateInstallation, Wire, Iterator[Customer]]]:
    """Another installation, whose node reaches its database over a line that can be cut, on a disk that can be full."""
    # Sagas that wait longer than the line is slow: at the stage's own speed a second is three minutes of theirs.
    with PrivateInstallation(settings={**SETTINGS, "PENPAY_TIMING__SPEED": "20", **SOONER}) as installation:
        installation.start_servers()
        installation.run("migrate")
        listen = installation.folder / "wire.sock"
        with Wire(listen, installation.mariadb.socket_path) as wire:
            node = installation.add_node("node-1")
            assert node.env is not None
            straight = node.env["PENPAY_DATABASE__URL"]
            over = straight.replace(installation.mariadb.socket_path.name, listen.name)
            assert over != straight
            node.env["PENPAY_DATABASE__URL"] = over
            node.start()
            with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
                customers = runner.run(seed(node.env, 60))
            yield installation, wire, iter(customers)
            judged(installation)
            node.stop()


@pytest.fixture
async def wired(
    wired_theatre: tuple[PrivateInstallation, Wire, Iterator[Customer]],
) -> AsyncIterator[tuple[Stage, Wire]]:
    """Its stage and its line, which is whole at the beginning and at the end."""
    installation, wire, customers = wired_theatre
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        control = SandboxControl(installation.control_url, session)
        await control.post("/daraja/script", {"knobs": {"push_interval_s": 0.0}})
        stage = Stage(installation, session, control, customers)
        await stage.operator.until_ready(within_s=30)
        yield stage, wire
        wire.delay_s, wire.silent, wire.cuts_left, wire.at_commit = 0.0, False, 0, ""
        await stage.operator.until_ready(within_s=30)
        await settled(installation, within_s=60)


def judged(installation: PrivateInstallation) -> None:
    """After everything that was played on it: rails and books agree."""

    async def told() -> Mapping[str, Any]:
        async with aiohttp.ClientSession() as session:
            truth: Mapping[str, Any] = await SandboxControl(installation.control_url, session).get("/truth")
            return truth

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        truth = runner.run(told())
    assert Verdict.of(installation, truth).wrong == []
