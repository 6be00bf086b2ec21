"""`penpay chaos`: people pay in and out while everything breaks; then everything heals, settles and is judged."""

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from penpay.chaos.books import Unsettled, rows, settled
from penpay.chaos.judge import Truth, Verdict
from penpay.chaos.pace import STORMY
from penpay.chaos.people import NotServed, Person
from penpay.chaos.plan import Blow, Kind, Plan
from penpay.chaos.storm import NodeLeft, Storm
from penpay.client import ApiProblem, Client
from penpay.demo.rails import SandboxControl
from penpay.stack import PrivateInstallation, ProcessFailed, RunFolder
from penpay.stack.folder import memory_folder

PATIENCE_S = 240.0
SETTLE_S = 240.0
CONNECTIONS = 64
SIGN_UPS = 8
"""At once: each costs the node several slow hashes."""
REQUEST_S = 10.0
LATENCY_S = 0.03
"""Of Safaricom, so that there is something under way when lines are cut."""
REVIEWS_MAX = 0.05
REVIEWS_LEAST = 6
"""Share of the transactions that may end before a person: more of them would be a way not to do the work. A few may
in any case: who paid another amount, or was refused a payout while nobody was there to hear the result."""

PATIENT_LEAST = 0.9
"""Of the people must have been served all the time: the promise is about money, but nobody shall wait for ever."""

Say = Callable[[str], None]


@dataclass(slots=True)
class Outcome:
    """How one run went. `fates`: direction, what the rails were told to do, how it ended for the customer."""

    plan: Plan
    accepted: int = 0
    held: int = 0
    """Not begun, because the customer's last withdrawal waited for a person."""
    gave_up: list[str] = field(default_factory=list)
    """Who was not served for longer than their patience, and what they were told."""
    raged_s: float = 0.0
    settled_s: float = 0.0
    blows: Counter[Kind] = field(default_factory=Counter)
    refused_starts: int = 0
    fates: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    verdict: Verdict = field(default_factory=Verdict)
    wrong: list[str] = field(default_factory=list)
    kept: Path | None = None
    """Where everything lies, when something is wrong."""

    @property
    def problems(self) -> list[str]:
        """All that is wrong, one line each."""
        return [*self.wrong, *self.verdict.wrong]


def run(plan: Plan, *, say: Say = lambda _: None) -> Outcome:
    """Everything from the start to the verdict. What is wrong is in the outcome; its folder is kept then."""
    outcome = Outcome(plan)
    folder = RunFolder(memory_folder())
    data = folder.path / "data"
    data.mkdir()
    with PrivateInstallation(settings=STORMY, data=data, on_step=lambda step: say(f"starting {step}")) as installation:
        try:
            installation.start()
            for number in range(2, plan.nodes + 1):
                installation.add_node(f"node-{number}").spawn()
            truth = asyncio.run(_play(installation, outcome, say))
            say("judging")
            outcome.verdict = Verdict.of(installation, truth)
            outcome.wrong += _unjust(outcome)
        except (NotServed, NodeLeft, ApiProblem, ProcessFailed, Unsettled, OSError) as error:
            outcome.wrong.append(f"{type(error).__name__}: {error}")
        if outcome.problems:
            _keep_logs(installation, data / "logs")
    if outcome.problems:
        outcome.kept = Path(shutil.move(data, tempfile.mkdtemp(prefix="kept-penpay-")))
    folder.remove()
    return outcome


async def _play(installation: PrivateInstallation, outcome: Outcome, say: Say) -> Truth:
    """From the first customer to the moment when nothing is open any more; what the rails say happened."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=REQUEST_S)) as session:
        control = SandboxControl(installation.control_url, session)
        crowd = [_person(number, installation, session, control) for number in range(1, outcome.plan.people + 1)]
        say(f"{len(crowd)} people sign up")
        door = asyncio.Semaphore(SIGN_UPS)

        async def sign_up(person: Person) -> None:
            async with door:
                await person.sign_up(installation.node.public_url, session)

        await asyncio.gather(*map(sign_up, crowd))
        await control.post("/daraja/script", {"knobs": {"push_interval_s": 0.0, "latency_s": LATENCY_S}})
        await _storm(installation, control, crowd, outcome, say)
        began_s = time.monotonic()
        await settled(installation, within_s=SETTLE_S)
        outcome.settled_s = time.monotonic() - began_s
        outcome.fates.update(
            (one.turn.direction, one.turn.fate, one.status) for person in crowd for one in person.ended
        )
        outcome.gave_up = [person.gave_up for person in crowd if person.gave_up]
        outcome.held = sum(person.held for person in crowd)
        outcome.wrong += _forgotten(installation, crowd)
        truth: Truth = await control.get("/truth")
        return truth


async def _storm(
    installation: PrivateInstallation, control: SandboxControl, crowd: Sequence[Person], outcome: Outcome, say: Say
) -> None:
    """Everybody walks while the storm rages; it ends with the last walker, or when the time is over."""
    plan, began_s = outcome.plan, time.monotonic()
    until_s = began_s + plan.minutes * 60.0

    def changed() -> None:
        outcome.accepted = sum(len(person.accepted) for person in crowd)

    def said(blow: Blow) -> None:
        ended = sum(len(person.ended) for person in crowd)
        say(f"{time.monotonic() - began_s:5.0f} s  {outcome.accepted:,} accepted, {ended:,} ended  {blow.kind}")

    storm = Storm(installation, control, said)
    outcome.blows = storm.blows
    walks = (
        person.walk(plan.turns(person.number), stopped=lambda: time.monotonic() > until_s, changed=changed)
        for person in crowd
    )
    walking: asyncio.Future[list[None]] = asyncio.gather(*walks)
    raging = asyncio.create_task(storm.rage(plan.storm()))
    try:
        both: set[asyncio.Future[Any]] = {walking, raging}
        await asyncio.wait(both, timeout=plan.minutes * 60.0, return_when=asyncio.FIRST_COMPLETED)
    finally:
        raging.cancel()
        with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
            await raging
    outcome.raged_s, outcome.refused_starts = time.monotonic() - began_s, storm.refused_starts
    if not raging.cancelled() and isinstance(group := raging.exception(), ExceptionGroup):
        walking.cancel()
        raise group.exceptions[0]
    say(f"the storm is over after {outcome.raged_s:.0f} s; everything heals")
    await storm.heal()
    try:
        await asyncio.wait_for(walking, SETTLE_S)
    except TimeoutError:
        raise Unsettled(f"customers still wait {SETTLE_S:.0f} s after the storm") from None


def _person(
    number: int, installation: PrivateInstallation, session: aiohttp.ClientSession, control: SandboxControl
) -> Person:
    clients = [Client(node.public_url, session) for node in installation.nodes]
    return Person(number, clients, control, PATIENCE_S)


def _forgotten(installation: PrivateInstallation, crowd: Sequence[Person]) -> list[str]:
    """What was answered 202 and is not in the books, or not as its customer saw it end."""
    states = dict(rows(installation, "SELECT id, state FROM {ledger}.transactions"))
    lost = [f"accepted and lost: {id_}" for person in crowd for id_ in person.accepted if id_ not in states]
    turned = [
        f"{one.id} was shown as {one.status} and is {states[one.id]}"
        for person in crowd
        for one in person.ended
        # Evidence that comes later may reopen what failed, and ask a person about anything.
        if states.get(one.id, one.status) not in {one.status, "IN_REVIEW"} and one.status not in {"FAILED", "IN_REVIEW"}
    ]
    # An answer that never came belongs to a key that was asked again, so there is a 202 for every row; only who left
    # while asking may have missed theirs.
    unknown = len(states) - sum(len(person.accepted) for person in crowd)
    told = 0 <= unknown <= sum(bool(person.gave_up) for person in crowd)
    return [*lost, *turned, *([] if told else [f"{unknown} transactions that nobody was told of"])]


def _unjust(outcome: Outcome) -> list[str]:
    """Work that was left to people, and people who were left without service."""
    patient = outcome.plan.people * PATIENT_LEAST
    if outcome.plan.people - len(outcome.gave_up) < patient:
        return [f"not served: {reason}" for reason in outcome.gave_up]
    reviewed = sum(count for (_, state), count in outcome.verdict.ends.items() if state == "IN_REVIEW")
    allowed = max(REVIEWS_LEAST, int(REVIEWS_MAX * outcome.accepted))
    return [f"{reviewed} transactions wait for a person, {allowed} may"] if reviewed > allowed else []


def _keep_logs(installation: PrivateInstallation, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for path in (*installation.folder.glob("*.log"), *installation.folder.glob("*.out")):
        shutil.copy(path, folder)
