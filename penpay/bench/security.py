"""What a stranger could measure: how long a login takes for an address that exists, and for one that does not.

Both do the same work (one slow hash, the same statements), so their times must not tell them apart. Also measured:
what a hash costs, how fast one lane works them off, and what everybody else waits while it does.
Source: faults.md S1, S4.
"""

import asyncio
import math
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import aiohttp

from penpay.adapters.passwords import Argon2Passwords
from penpay.bench.seed import Customer, seed
from penpay.client import ApiProblem, Client
from penpay.stack import PrivateInstallation

P_LEAST = 0.05
"""Below this probability the two kinds of times would count as told apart."""
DIFFERENCE_MAX = 0.10
HEALTH_MAX_S = 0.2
_RIGHT = "the right one, which nobody tries"
_SETTINGS = {
    "PENPAY_LIMITS__LOGIN_PER_MINUTE": "100000",
    "PENPAY_LIMITS__LOGIN_PER_MINUTE_ADDRESS": "100000",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How many requests of each kind."""

    logins: int = 500
    rush: int = 100
    hashes: int = 40


@dataclass(slots=True)
class Report:
    """Seconds. `known_s` and `unknown_s`: wrong passwords for an address that exists, and for addresses that do not."""

    known_s: list[float] = field(default_factory=list)
    unknown_s: list[float] = field(default_factory=list)
    lane_per_s: float = 0.0
    health_max_s: float = 0.0
    """The slowest look at `/healthz` while a rush of logins waits for its hashes."""

    @property
    def p_value(self) -> float:
        """Probability of times as different as these, if nothing but chance made them differ."""
        return mann_whitney_p(self.known_s, self.unknown_s)

    @property
    def difference(self) -> float:
        """Of the medians, relative to the known one."""
        known, unknown = statistics.median(self.known_s), statistics.median(self.unknown_s)
        return abs(known - unknown) / known


def run(options: Options | None = None, *, progress: Callable[[str], None] = lambda _: None) -> Report:
    """Measure everything."""
    options = options or Options()
    report = Report()
    progress("hashing")
    report.lane_per_s = hashes_per_s(options.hashes)
    with PrivateInstallation(settings=_SETTINGS, on_step=lambda step: progress(f"starting {step}")) as installation:
        installation.start()
        # One wrong password each: a second and a third would be answered more slowly, on purpose.
        seeding = seed(installation.node.env or {}, options.logins + 1, password=_RIGHT)
        asyncio.run(_logins(installation, asyncio.run(seeding), options, report, progress))
    return report


def lines(report: Report) -> list[str]:
    """Each figure with its goal."""
    met = dict(verdicts(report))
    known, unknown = (statistics.median(times) * 1000 for times in (report.known_s, report.unknown_s))
    return [
        f"{len(report.known_s)} logins for a known address: median {known:.1f} ms; unknown ones: {unknown:.1f} ms",
        (
            f"  the medians differ by {report.difference:.1%} (goal {DIFFERENCE_MAX:.0%}) {_mark(met['difference'])};"
            f" Mann-Whitney p = {report.p_value:.2f} (goal above {P_LEAST}) — {_mark(met['indistinguishable'])}"
        ),
        f"argon2id: {1000 / report.lane_per_s:.0f} ms a hash, {report.lane_per_s:.0f}/s in one lane",
        (
            f"/healthz during a rush of logins: at most {report.health_max_s * 1000:.0f} ms (goal "
            f"{HEALTH_MAX_S * 1000:.0f} ms) — {_mark(met['health'])}"
        ),
        "  limited by the slow hash, on purpose: one thread per lane, off the loop; beyond its queue a login is a 503",
    ]


def verdicts(report: Report) -> list[tuple[str, bool]]:
    """Each goal, and whether it is met. Either test of equality is enough: on a busy machine times are noisy."""
    return [
        ("difference", report.difference <= DIFFERENCE_MAX),
        ("indistinguishable", report.p_value > P_LEAST),
        ("health", report.health_max_s <= HEALTH_MAX_S),
    ]


def mann_whitney_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided, by the normal approximation with a correction for ties; for samples of twenty and more."""
    count, other = len(first), len(second)
    ordered = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    rank_sum, ties, place = 0.0, 0.0, 0
    while place < len(ordered):
        end = place
        while end < len(ordered) and ordered[end][0] == ordered[place][0]:
            end += 1
        rank_sum += sum((place + end + 1) / 2 for _, which in ordered[place:end] if which == 0)
        ties += (end - place) ** 3 - (end - place)
        place = end
    total = count + other
    mean = count * other / 2
    variance = count * other / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:
        return 1.0
    distance = max(0.0, abs(rank_sum - count * (count + 1) / 2 - mean) - 0.5) / math.sqrt(variance)
    return math.erfc(distance / math.sqrt(2))


def hashes_per_s(count: int) -> float:
    """Of one lane that is full."""

    async def hash_all() -> float:
        passwords = Argon2Passwords(pepper=secrets.token_bytes(32))
        try:
            began_s = time.perf_counter()
            await asyncio.gather(*(passwords.hash_password("one of many") for _ in range(count)))
            return count / (time.perf_counter() - began_s)
        finally:
            passwords.close()

    return asyncio.run(hash_all())


async def _logins(
    installation: PrivateInstallation,
    customers: Sequence[Customer],
    options: Options,
    report: Report,
    progress: Callable[[str], None],
) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        client = Client(installation.node.public_url, session)
        progress(f"{options.logins} logins of each kind, in turn")
        first, *others = customers
        await _login(client, first.email)
        for one in others:
            report.unknown_s.append(await _login(client, f"{secrets.token_hex(8)}@example.com"))
            report.known_s.append(await _login(client, one.email))
        progress(f"{options.rush} logins at once")
        rush = asyncio.gather(*(_login(client, f"{secrets.token_hex(8)}@example.com") for _ in range(options.rush)))
        while not rush.done():
            began_s = time.perf_counter()
            async with session.get(f"{installation.node.internal_url}/healthz") as answer:
                await answer.read()
            report.health_max_s = max(report.health_max_s, time.perf_counter() - began_s)
            await asyncio.sleep(0.01)
        await rush


async def _login(client: Client, email: str) -> float:
    """Seconds of one that fails; a full lane is refused at once, and that is not counted as told apart."""
    began_s = time.perf_counter()
    try:
        await client.login(email=email, password="not the right one", device_id="bench")  # noqa: S106 - a wrong one
    except ApiProblem as problem:
        if problem.status not in {401, 503}:
            raise
    return time.perf_counter() - began_s


def _mark(met: bool) -> str:  # noqa: FBT001 - one word for one fact
    return "ok" if met else "MISSED"
