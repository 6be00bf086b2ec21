"""Deposits through a whole private installation: how many per second, how fast, at what cost; and what waiting costs.

The node, the sandbox rails, MariaDB, Redis and the load generator are processes of their own; settings are those of
production, but pacing towards the providers is off. The sandbox's customers answer after a tenth of a second: answers
before our own acknowledgement would each have to be queried first (and are, in another test).
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from penpay.bench.load import Measured
from penpay.bench.rig import Rig
from penpay.bench.usage import rss_bytes, speed
from penpay.stack import ProcessFailed

MANY_PER_S = 400
"""Customers are seeded for this rate: each may have one push per minute, so nobody is asked twice."""
PACED_IN_FLIGHT = 16
PROMPT_S = 7200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much to measure. Seconds; zero leaves a part out."""

    rounds: int = 3
    warm_s: float = 3.0
    measure_s: float = 10.0
    in_flight: int = 128
    half_s: float = 10.0
    paced_s: float = 30.0
    waiting: int = 10_000
    settle_s: float = 20.0
    shards: int = 1
    answer_s: float = 0.1

    @property
    def customers(self) -> int:
        """Enough for every part."""
        busy_s = (self.rounds + 1) * (self.warm_s + self.measure_s) + self.half_s
        return int(busy_s * MANY_PER_S) + 10 * self.in_flight + self.waiting


@dataclass(frozen=True, slots=True)
class Waiting:
    """What deposits cost that wait for their payer. Bytes resident; `cold_s`: kill -9 and start until ready."""

    count: int
    idle_bytes: int
    peak_bytes: int
    settled_bytes: int
    cold_s: float
    cold_bytes: int

    @property
    def above_idle_bytes(self) -> int:
        """Growth of the node once all of them only wait."""
        return self.settled_bytes - self.idle_bytes


@dataclass(slots=True)
class Report:
    """What was measured. `parts` is the share of the node's CPU time by part; `broken` what was wrong afterwards."""

    rounds: list[Measured] = field(default_factory=list)
    half: Measured | None = None
    half_per_s: float = 0.0
    speeds: list[float] = field(default_factory=list)
    """Of the machine, in pieces of work a second: before each round, and at last before and after the half rate."""
    paced: Measured | None = None
    waiting: Waiting | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    stored_on: str = ""

    @property
    def completed_per_s(self) -> float:
        """Median over the rounds."""
        return statistics.median(one.completed_per_s for one in self.rounds) if self.rounds else 0.0


def run(options: Options | None = None, *, progress: Callable[[str], None] = lambda _: None) -> Report:
    """Measure everything that the options ask for."""
    options = options or Options()
    with Bench(options, progress) as bench:
        bench.start()
        bench.closed_rounds()
        bench.where_time_goes()
        bench.half_rate()
        bench.books()
        bench.production_pacing()
        bench.waiting_payers()
        return bench.report


class Bench:
    """One installation under measurement."""

    def __init__(self, options: Options, progress: Callable[[str], None]) -> None:
        self._options = options
        self._progress = progress
        self._rig = Rig(shards=options.shards, say=progress)
        self.report = Report(stored_on=self._rig.stored_on)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rig.__exit__()

    def start(self) -> None:
        """Bring everything up, and the customers in."""
        self._rig.start(self._options.customers)
        self._rig.script("/daraja/script", {"knobs": {"answer_delay_s": self._options.answer_s}})

    def closed_rounds(self) -> None:
        """A fixed number in flight, from the request to the end."""
        for number in range(1, self._options.rounds + 1):
            self._progress(f"{self._options.in_flight} in flight ({number}/{self._options.rounds})")
            self.report.speeds.append(speed())
            self.report.rounds.append(self._closed(self._options.measure_s))

    def where_time_goes(self) -> None:
        """One more round on a node that samples itself; its rate does not count."""
        if not self._options.rounds:
            return
        self._progress("where the node's time goes")
        self.report.parts = self._rig.sampled(lambda: self._closed(self._options.measure_s))

    def half_rate(self) -> None:
        """At fixed times, half as often as was reached: what a request takes when the node is not saturated."""
        per_s = self.report.completed_per_s / 2
        if self._options.half_s and per_s:
            self._progress(f"{per_s:.0f} a second at fixed times")
            warm_s = self._options.warm_s
            self.report.half_per_s = per_s
            self.report.speeds.append(speed())
            self.report.half = self._rig.generated(
                mode="open",
                count=int(per_s * (self._options.half_s + warm_s + 5)),
                per_s=per_s,
                warm_s=warm_s,
                measure_s=self._options.half_s,
            )
            self.report.speeds.append(speed())

    def books(self) -> None:
        """Nothing may be left open or wrong after all that load."""
        self._progress("checking the books")
        states = self._rig.states()
        unfinished = {state: count for state, count in states.items() if state != "COMPLETED"}
        if unfinished:
            self.report.broken.append(f"deposits that did not complete: {unfinished}")
        try:
            self._rig.installation.run("check")
        except ProcessFailed as error:
            self.report.broken.append(str(error))

    def production_pacing(self) -> None:
        """The same load under the rates that we keep towards the providers."""
        if not self._options.paced_s:
            return
        self._progress("under production pacing")
        self._rig.restarted(paced=True)
        # Few, or the first seconds of checks would fill the whole measured time.
        self.report.paced = self._closed(self._options.paced_s, warm_s=10.0, in_flight=PACED_IN_FLIGHT)

    def waiting_payers(self) -> None:
        """Customers who do not answer: what they cost, and how fast a node is ready again with all of them."""
        count = self._options.waiting
        if not count:
            return
        self._rig.restarted(paced=False)
        node = self._rig.node
        before = sum(self._rig.states().values())
        time.sleep(2.0)
        idle = rss_bytes(node.pid)
        self._rig.script(
            "/daraja/script", {"stk_default": {"outcome": "wait"}, "knobs": {"prompt_timeout_s": PROMPT_S}}
        )
        self._progress(f"{count:,} customers who do not answer")
        filled = self._rig.generated(mode="fill", count=count, in_flight=64)
        for refusal, times in filled.refused.items():
            self.report.broken.append(f"{times} deposits were refused: {refusal}")
        asked = count - sum(filled.refused.values())
        if not self._rig.until(lambda: self._rig.states().get("AWAITING_PAYER", 0) >= asked):
            self.report.broken.append(f"not all deposits came to wait: {self._rig.states()}")
        settled, peak = self._rig.settled(self._options.settle_s)
        self._progress("kill -9 and a cold start")
        cold_s = self._rig.cold_start()
        time.sleep(2.0)
        self.report.waiting = Waiting(count, idle, peak, settled, cold_s, rss_bytes(node.pid))
        lost = before + asked - sum(self._rig.states().values())
        if lost:
            self.report.broken.append(f"{lost} deposits were lost")

    # --- the hands ---

    def _closed(self, measure_s: float, *, warm_s: float | None = None, in_flight: int = 0) -> Measured:
        return self._rig.generated(
            mode="closed",
            count=int((measure_s + self._options.warm_s) * MANY_PER_S),
            warm_s=self._options.warm_s if warm_s is None else warm_s,
            measure_s=measure_s,
            in_flight=in_flight or self._options.in_flight,
        )
