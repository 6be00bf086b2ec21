"""One seed from beginning to end: boot, storm, healing, a virtual hour, staff, verdict."""

import gc
import logging
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pykka
import structlog

from actors.base import StartFailed
from actors.runtime import incarnation
from penpay.simulation.loop import StepLimit
from penpay.simulation.mail import ForcedCrash
from penpay.simulation.scale import scaled
from penpay.simulation.staff import Staff
from penpay.simulation.story import shortened
from penpay.simulation.town import SPREAD_S, Town
from penpay.simulation.verdict import verdict
from penpay.simulation.world import Seed, World

BOOT_S = 60.0
STORM_S = 4.0 * SPREAD_S
"""The longest that people and faults go on."""
VISITS_MAX = 3
HOUR_S = scaled(3600.0)
DAY_S = 2.0 * HOUR_S + scaled(3600.0)
"""What may take a day in production (`scale.LONG_S`), and some time to end it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a seed."""

    seed: int
    hash: int
    steps: int
    seconds: float
    wrong: tuple[str, ...]
    reached: Counter[str]
    states: Counter[str]
    story: Sequence[tuple[float, str]] = ()

    def broken(self, line: str) -> "Outcome":
        """The same, with one thing more that is wrong."""
        return replace(self, wrong=(*self.wrong, line))


def play(seed: Seed) -> Outcome:
    """Run one world to its end."""
    with _quiet() as broken:
        return _played(seed, broken)


def _played(seed: Seed, broken: list[BaseException]) -> Outcome:
    """The world ends with this call: then it may be collected."""
    with seed.twists.parts():
        world = World(seed)
        try:
            wrong = _phases(world)
        except StepLimit as error:
            wrong = [f"runs in circles: {error}"]
        finally:
            world.end()
    wrong += [f"an actor broke: {error!r}" for error in broken]
    broken.clear()
    return Outcome(
        seed=seed.number,
        hash=world.universe.hash,
        steps=world.universe.steps,
        seconds=world.now_s(),
        wrong=tuple(dict.fromkeys([*world.truth.mistakes, *wrong])),
        reached=world.odds.reached,
        states=Counter(f"{one.row.type} {one.row.state}" for one in world.server.schema.transactions),
        story=shortened(world, wrong) if seed.storied else (),
    )


def _phases(world: World) -> list[str]:
    node = world.boot("a")
    world.odds.calm = True
    if not world.run(BOOT_S, until=lambda: node.ready):
        return ["the node never became ready"]
    world.odds.calm = False
    town = world.town = Town(world)
    town.live()
    storm_s = 0.0 if world.seed.only is not None else 2.0 * SPREAD_S
    world.run(STORM_S, until=lambda: world.given_up or (town.quiet and world.now_s() > storm_s and _has_begun(world)))
    world.heal()
    world.run(HOUR_S, until=lambda: world.over)
    if not world.over:
        world.run(DAY_S, until=lambda: world.over)
    if not world.given_up and world.staffed:
        return _with_staff(world)
    return verdict(world)


def _with_staff(world: World) -> list[str]:
    """People answer what was asked, and come again when something is asked behind their backs."""
    staff = Staff(world)
    for _ in range(VISITS_MAX):
        staff.work()
        world.run(HOUR_S, until=lambda: world.given_up or (world.at_rest and world.staff_done))
        if not staff.unanswered:
            break
    left = [] if world.given_up else [f"{id_} could not be decided" for id_ in staff.unanswered]
    return [*verdict(world), *left]


def _has_begun(world: World) -> bool:
    """A single transaction is walked to its end before anything heals."""
    return world.seed.only is None or world.at_rest


@contextmanager
def _quiet() -> Iterator[list[BaseException]]:
    """No log lines, no collections of memory, no actors of others; and what breaks is collected."""
    broken: list[BaseException] = []
    logger = logging.getLogger("pykka")
    before = (logger.handlers, logger.propagate, logger.level)
    logger.handlers, logger.propagate = [_Broken(broken)], False
    logger.setLevel(logging.ERROR)
    configured = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), processors=[_say_nothing_at_all]
    )
    known = set(pykka.ActorRegistry.get_all())
    hook, collecting = sys.unraisablehook, gc.isenabled()
    sys.unraisablehook = _say_nothing
    gc.disable()
    # What was there before this world is not looked through at its end: that would cost as much as the world itself.
    gc.freeze()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
            yield broken
            _unregister_all_but(known)
            # Again while something is found: a coroutine that is closed by a collection holds its frame until the next.
            while gc.collect():
                pass
    finally:
        logger.handlers, logger.propagate = before[0], before[1]
        logger.setLevel(before[2])
        structlog.configure(**configured)
        sys.unraisablehook = hook
        gc.unfreeze()
        if collecting:
            gc.enable()


def _unregister_all_but(known: set[Any]) -> None:
    for ref in pykka.ActorRegistry.get_all():
        if ref not in known:
            pykka.ActorRegistry.unregister(ref)


class _Broken(logging.Handler):
    """Hears of every exception that nobody expected."""

    def __init__(self, broken: list[BaseException]) -> None:
        super().__init__()
        self._broken = broken

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not _is_expected(error):
            self._broken.append(error)


def _is_expected(error: BaseException) -> bool:
    """What the seed wanted, or what follows for a supervisor whose child was late because its machine stood still."""
    if isinstance(error, StartFailed):
        return error.cause is None or isinstance(error.cause, TimeoutError) or _is_expected(error.cause)
    if isinstance(error, TimeoutError) and error.__traceback__ is not None:
        # A supervisor that was made to break has a few seconds to stop its children; then they are killed.
        return error.__traceback__.tb_frame.f_code is incarnation._last_hook.__code__  # noqa: SLF001 - where it is raised
    return isinstance(error, ForcedCrash)


def _say_nothing_at_all(*_line: Any) -> Any:
    raise structlog.DropEvent


def _say_nothing(_unraisable: Any) -> None:
    """A process that was killed in the middle of an `await` is collected in the middle of it."""
