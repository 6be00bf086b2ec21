"""The node dies at every named step of both sagas, around each commit and each call; another one brings it to its end.

All points with `-m slow`; otherwise a sample of them, drawn from a seed.
"""

import asyncio
import contextlib
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import aiohttp
import pytest

from penpay.chaos.books import settled
from penpay.chaos.judge import Verdict
from penpay.chaos.pace import STORMY
from penpay.chaos.people import Person
from penpay.chaos.plan import Step, Turn
from penpay.client import Client
from penpay.demo.rails import SandboxControl
from penpay.stack import NodeProcess, PrivateInstallation
from tests.harness.crashing_node import DIED

SAMPLE, SEED = 4, 27
SETTINGS = {
    **STORMY,
    "PENPAY_TIMING__SPEED": "200",
    "PENPAY_TIMING__STK_MAX_AGE_S": "24000",
    "PENPAY_TIMING__PAID_IN_TIME_S": "24000",
    "PENPAY_TIMING__UNKNOWN_UNTIL_S": "4000",
    "PENPAY_TIMING__REFUND_RECEIPT_WAIT_S": "4000",
}
REACHED_S = 60.0
ENDED_S = 120.0


@dataclass(frozen=True, slots=True)
class Path:
    """One way through a saga: its steps, what the rails are told, and where it ends whoever dies on the way."""

    direction: str
    units: tuple[str, ...]
    """Events that a unit of the path records; those of the same unit are named once."""
    operations: tuple[str, ...]
    calls: tuple[str, ...]
    ends: frozenset[str]
    unasked: tuple[str, ...] = ()
    """Points at which the first call was recorded and never left: it is not made again, and nothing was paid."""
    scripts: dict[str, Step] = field(default_factory=dict)

    def points(self) -> list[str]:
        """Every moment at which its node may die."""
        around = [f"unit {event}" for event in self.units]
        around += [f"{row} {kind}" for kind in self.operations for row in ("sent", "end")]
        around += [f"call {name}" for name in self.calls]
        return [f"{what}:{when}" for what in around for when in ("before", "after")]


PHONE: Step = {"answer_delay_s": 0.3}
PATHS = {
    "deposit": Path(
        "deposit",
        ("StkStarted", "StkAccepted", "MpesaPaid", "DerivConfirmed"),
        ("STK", "DERIV_TRANSFER"),
        ("stk_push", "paymentagent_transfer"),
        frozenset({"COMPLETED"}),
        ("sent STK:after", "call stk_push:before"),
        scripts={"phone": PHONE},
    ),
    "refund": Path(
        "deposit",
        ("RefundStarted", "RefundConfirmed"),
        ("REVERSAL",),
        ("reverse",),
        # The result of a Reversal comes once: with nobody there to hear it, a person has to look.
        frozenset({"REVERSED", "IN_REVIEW"}),
        scripts={"phone": PHONE, "transfer": {"fault": "refuse", "times": 0}},
    ),
    "withdrawal": Path(
        "withdrawal",
        ("DebitStarted", "DebitConfirmed", "PayoutStarted", "PayoutAccepted", "PayoutPaid"),
        ("DERIV_WITHDRAW", "B2C"),
        ("paymentagent_withdraw", "pay_out"),
        frozenset({"COMPLETED"}),
        ("sent DERIV_WITHDRAW:after", "call paymentagent_withdraw:before"),
    ),
    "return": Path(
        "withdrawal",
        ("PayoutFailed", "ReturnStarted", "ReturnConfirmed"),
        ("DERIV_RETURN",),
        ("paymentagent_transfer",),
        # The same with the failed result of a payout.
        frozenset({"REVERSED", "IN_REVIEW"}),
        scripts={"payout": {"result_code": "2040", "times": 0}},
    ),
}
ALL = [(name, point) for name, path in PATHS.items() for point in path.points()]
DRAWN = frozenset(random.Random(SEED).sample(ALL, SAMPLE))


def parameters() -> list[object]:
    """Those drawn come with every run."""
    return [pytest.param(*one, id=f"{one[0]} {one[1]}", marks=() if one in DRAWN else pytest.mark.slow) for one in ALL]


@pytest.fixture(scope="module")
def house() -> Iterator[PrivateInstallation]:
    with PrivateInstallation(settings=SETTINGS) as installation:
        installation.start()
        yield installation
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(judged(installation))


async def judged(installation: PrivateInstallation) -> None:
    """After all deaths: nothing is open, and rails and books agree."""
    await settled(installation, within_s=ENDED_S)
    async with aiohttp.ClientSession() as session:
        truth = await SandboxControl(installation.control_url, session).get("/truth")
    assert (await asyncio.to_thread(Verdict.of, installation, truth)).wrong == []


_people = iter(range(1, 1000))


@pytest.mark.parametrize(("name", "point"), parameters())
async def test_a_node_that_dies_there_is_followed_by_one_that_ends_it(
    house: PrivateInstallation, name: str, point: str
) -> None:
    path, node = PATHS[name], house.node
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        control = SandboxControl(house.control_url, session)
        await control.post("/daraja/script", {"knobs": {"push_interval_s": 0.0}})
        number = next(_people)
        person = Person(number, [Client(node.public_url, session)], control, ENDED_S)
        await person.sign_up(node.public_url, session)
        minor = 1000 + number if path.direction == "withdrawal" else (1000 + number) * 100
        turn = Turn(path.direction, minor, point, **path.scripts)  # type: ignore[arg-type]
        async with dying(node, point):
            walking = asyncio.create_task(
                person.walk([turn], stopped=lambda: False, changed=lambda: None), name=f"{name} {point}"
            )
            async with asyncio.timeout(REACHED_S):
                while node.is_running():
                    assert not walking.done(), f"it ended without coming to {point}: {person.ended}"
                    await asyncio.sleep(0.02)
            assert node.exit_code == DIED, node.log_tail()
        async with asyncio.timeout(ENDED_S):
            await walking
    assert not person.gave_up
    (ended,) = person.ended
    assert ended.status in ({"FAILED"} if point in path.unasked else path.ends)


@contextlib.asynccontextmanager
async def dying(node: NodeProcess, point: str):
    """The node is one that dies at a point; afterwards it is an ordinary one again."""
    argv, env = node.argv, node.env
    await node.stop_async()
    node.argv, node.env = [sys.executable, "-m", "tests.harness.crashing_node"], {**(env or {}), "CRASH_AT": point}
    try:
        await node.start_async()
        yield
    finally:
        node.kill()
        node.argv, node.env = argv, env
        await node.start_async()
