"""Withdrawals through a whole private installation: how many per second; and a start with many of them open.

Each customer has a code mailed, reads it, and asks with code and PIN; the debit goes over a Deriv session of their own,
the payout through Safaricom. Latency from the code to the result is counted as one. Settings are those of production,
but pacing towards the providers is off.
"""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from penpay.bench.load import Measured
from penpay.bench.rig import Rig
from penpay.bench.security import hashes_per_s
from penpay.bench.seed import PIN, Pin
from penpay.stack import ProcessFailed

MANY_PER_S = 80
"""Customers are seeded for this rate: one thread compares about fifty PINs a second."""
RESULT_S = 7200.0
BALANCE_MINOR = 100_000
PAYOUT_MAX_MINOR = 1_000_000
"""What nobody's withdrawal exceeds, in cents of a shilling: the float must suffice for all that are open at once."""
FIRST = 400
"""At most so many that moved first are looked at, to see who was woken first."""
_PINS = 40
_WAITING = ("AWAITING_RESULT", "B2C_UNKNOWN", "AWAITING_PAYER", "STK_UNKNOWN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much to measure. Seconds; zero leaves a part out."""

    rounds: int = 3
    warm_s: float = 3.0
    measure_s: float = 10.0
    in_flight: int = 32
    waiting: int = 10_000
    payers: int = 500
    """Deposits that wait for their payer beside them: less urgent, so they must come later."""
    shards: int = 4

    @property
    def measured(self) -> int:
        """Customers of the rounds: their PINs cost what they cost in production."""
        return int(self.rounds * (self.warm_s + self.measure_s) * MANY_PER_S) + 4 * self.in_flight

    @property
    def customers(self) -> int:
        """Enough for every part."""
        return self.measured + self.waiting + self.payers


@dataclass(frozen=True, slots=True)
class Open:
    """A start with many withdrawals past the debit. `urgent_first`: share of them among those that moved first."""

    count: int
    payers: int
    cold_s: float
    urgent_first: float


@dataclass(slots=True)
class Report:
    """What was measured; `broken` what was wrong afterwards."""

    rounds: list[Measured] = field(default_factory=list)
    open: Open | None = None
    pins_per_s: float = 0.0
    """What one thread compares when it does nothing else: no node of one thread could be faster."""
    broken: list[str] = field(default_factory=list)
    stored_on: str = ""

    @property
    def goal_per_s(self) -> float:
        """Half of it: everything beside the PIN must not cost more than the PIN."""
        return self.pins_per_s / 2

    @property
    def completed_per_s(self) -> float:
        """Median over the rounds."""
        return statistics.median(one.completed_per_s for one in self.rounds) if self.rounds else 0.0


def run(options: Options | None = None, *, progress: Callable[[str], None] = lambda _: None) -> Report:
    """Measure everything that the options ask for."""
    options = options or Options()
    with Bench(options, progress) as bench:
        bench.start()
        bench.pins()
        bench.closed_rounds()
        bench.books()
        bench.many_open()
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
        """Bring everything up, and customers with PINs and dollars in."""
        customers = self._options.customers
        pin = Pin(PIN, real=self._options.measured)
        self._rig.start(customers, pin=pin, utility_minor=customers * PAYOUT_MAX_MINOR)
        self._rig.script("/deriv/script", {"knobs": {"auto_balance_minor": BALANCE_MINOR}})

    def pins(self) -> None:
        """How fast PINs can be compared at all."""
        self._progress("comparing PINs")
        self.report.pins_per_s = hashes_per_s(_PINS)

    def closed_rounds(self) -> None:
        """A fixed number in flight, from asking for the code to the end."""
        options = self._options
        for number in range(1, options.rounds + 1):
            self._progress(f"{options.in_flight} in flight ({number}/{options.rounds})")
            measured = self._rig.generated(
                mode="closed",
                kind="withdrawal",
                count=int((options.warm_s + options.measure_s) * MANY_PER_S),
                warm_s=options.warm_s,
                measure_s=options.measure_s,
                in_flight=options.in_flight,
            )
            self.report.rounds.append(measured)

    def books(self) -> None:
        """Nothing may be left open or wrong after all that load."""
        self._progress("checking the books")
        if not self._rig.until(lambda: self._rig.states().keys() <= {"COMPLETED"}, within_s=30.0):
            self.report.broken.append(f"withdrawals that did not complete: {self._rig.states()}")
        try:
            self._rig.installation.run("check")
        except ProcessFailed as error:
            self.report.broken.append(str(error))

    def many_open(self) -> None:
        """Payouts whose results stay away and payers who do not answer, then a cold start that shows who goes first."""
        options = self._options
        if not options.waiting:
            return
        self._script_silence()
        self._progress(f"{options.waiting:,} withdrawals without a result, {options.payers:,} payers who wait")
        before = sum(self._rig.states().values())
        filled = [
            self._rig.generated(mode="fill", kind="withdrawal", count=options.waiting, in_flight=options.in_flight),
            self._rig.generated(mode="fill", kind="deposit", count=options.payers, in_flight=48),
        ]
        refused = {reason: times for one in filled for reason, times in one.refused.items()}
        if refused:
            self.report.broken.append(f"refused: {refused}")
        asked = options.waiting + options.payers - sum(refused.values())
        if not self._rig.until(lambda: self._waiting() >= asked, within_s=60.0):
            self.report.broken.append(f"not all came to wait: {self._rig.states()}")
        self._rig.node.kill()
        # As if it had been away for an hour: everybody's time has come.
        self._rig.rows(
            "UPDATE penpay_ledger.transactions SET next_wake_at = UTC_TIMESTAMP(6) - INTERVAL 1 HOUR"
            " WHERE next_wake_at IS NOT NULL"
        )
        ((began_at,),) = self._rig.rows("SELECT UTC_TIMESTAMP(6)")
        self._progress("a cold start with all of them due")
        cold_s = self._rig.cold_start()
        moved = f"SELECT type FROM penpay_ledger.transactions WHERE updated_at > '{began_at}' ORDER BY updated_at"  # noqa: S608 - a time of the server's own
        few = min(FIRST, options.waiting // 4)
        self._rig.until(lambda: len(self._rig.rows(moved)) >= few, within_s=60.0)
        first = [type_ for (type_,) in self._rig.rows(moved)[:few]]
        urgent = first.count("WITHDRAWAL") / len(first) if first else 0.0
        self.report.open = Open(options.waiting, options.payers, cold_s, urgent)
        lost = before + asked - sum(self._rig.states().values())
        if lost:
            self.report.broken.append(f"{lost} transactions were lost")

    def _script_silence(self) -> None:
        silent: Mapping[str, Any] = {"op": "b2c", "times": 0, "delay_s": RESULT_S}
        knobs = {"prompt_timeout_s": RESULT_S}
        self._rig.script("/daraja/script", {"steps": [silent], "stk_default": {"outcome": "wait"}, "knobs": knobs})

    def _waiting(self) -> int:
        """Those on a slow machine may have begun to ask Safaricom."""
        states = self._rig.states()
        return sum(states.get(state, 0) for state in _WAITING)
