"""The stage of the faults, and a saga without any outside for those that need no more."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import aiohttp
import pytest

from actors.base import AsyncioActorRef
from actors.saga import SagaActor
from penpay.adapters.daraja import DarajaAccount, HttpDaraja
from penpay.adapters.system import SystemClock
from penpay.bench.seed import Customer, seed
from penpay.demo.rails import SandboxControl
from penpay.stack import PrivateInstallation
from tests.actors.house import House
from tests.actors.test_saga import house as admitted  # noqa: F401 - the fixture `house`, under another name
from tests.actors.test_saga import parts_of, row_of
from tests.faults.stage import SETTINGS, Stage

CUSTOMERS = 150


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
