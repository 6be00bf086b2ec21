"""Many seeds, on several processes: how many held, how fast, and how often each fault was met."""

import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from penpay.simulation.play import Outcome, play
from penpay.simulation.safeguards import SAFEGUARDS
from penpay.simulation.world import Seed

CHUNK = 10
TWICE_EVERY = 100
"""Of so many seeds one is run twice: both times it must leave the same trace."""
FAILING_KEPT = 50


@dataclass(slots=True)
class Report:
    """What many seeds came to."""

    seeds: int = 0
    steps: int = 0
    virtual_s: float = 0.0
    wall_s: float = 0.0
    failing: list[Outcome] = field(default_factory=list)
    failed: int = 0
    reached: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count one seed in."""
        self.seeds += 1
        self.steps += outcome.steps
        self.virtual_s += outcome.seconds
        self.reached += outcome.reached
        self.states += outcome.states
        if outcome.wrong:
            self.failed += 1
            if len(self.failing) < FAILING_KEPT:
                self.failing.append(outcome)

    @property
    def per_minute(self) -> float:
        """Seeds."""
        return 60.0 * self.seeds / self.wall_s if self.wall_s else 0.0


def run(
    seeds: Iterable[int],
    *,
    jobs: int = 1,
    without: str = "",
    progress: Callable[[Report], None] = lambda _: None,
    until_failed: int = 0,
) -> Report:
    """Run them all, or until so many have failed. `without`: a safeguard that is taken out of every world."""
    report, began_s = Report(), time.perf_counter()
    for outcomes in _chunks(seeds, jobs, without):
        for outcome in outcomes:
            report.add(outcome)
        report.wall_s = time.perf_counter() - began_s
        progress(report)
        if until_failed and report.failed >= until_failed:
            break
    return report


def replay(number: int, *, without: str = "") -> Outcome:
    """One seed once more, with its story."""
    return play(seed_of(number, without=without, storied=True))


def seed_of(number: int, *, without: str = "", storied: bool = False) -> Seed:
    """The world of this number, with or without a safeguard."""
    if not without:
        return Seed(number, storied=storied)
    missing = SAFEGUARDS[without]
    return Seed(number, also=missing.faults, twists=missing.twists, storied=storied, until_broken=not storied)


def _chunks(seeds: Iterable[int], jobs: int, without: str) -> Iterator[list[Outcome]]:
    numbers = list(seeds)
    tasks = [(numbers[first : first + CHUNK], without) for first in range(0, len(numbers), CHUNK)]
    if jobs <= 1:
        _settle_memory()
        yield from map(_some, tasks)
        gc.unfreeze()
        return
    # Forked, so that what is imported is shared; each process keeps its own memory in order.
    with multiprocessing.get_context("fork").Pool(jobs, initializer=_settle_memory) as pool:
        yield from pool.imap(_some, tasks)


def _settle_memory() -> None:
    """What is there now stays: the collector need not look at it after every seed."""
    play(Seed(0, faults=()))
    gc.collect()
    gc.freeze()


def _some(task: tuple[list[int], str]) -> list[Outcome]:
    numbers, without = task
    return [_one(number, without) for number in numbers]


def _one(number: int, without: str) -> Outcome:
    outcome = play(seed_of(number, without=without))
    if number % TWICE_EVERY == 0 and play(seed_of(number, without=without)).hash != outcome.hash:
        return outcome.broken("the same seed left another trace")
    return outcome
