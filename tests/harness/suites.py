"""`./dev test`: style, types and every suite, each with its time beside the time it may take.

The cheap and telling ones run first, then four at a time, the longest first: each has servers and folders of its own,
and waits for half of its time. Long ones are cut into parts.
With arguments it runs pytest on them and nothing else.
"""

import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHEAP_S = 15
"""Suites with such a budget run first and alone: what they say is worth knowing before anything else."""
AT_ONCE = 4
LAST = "test_zz_"
"""Files of this name look at what a whole suite left behind: every part ends with them."""
PYTEST = ("-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider")


@dataclass(frozen=True, slots=True)
class Suite:
    """One step: what runs, and how many seconds it may take on a quiet two-core machine."""

    name: str
    arguments: tuple[str, ...]
    budget_s: float


@dataclass(frozen=True, slots=True)
class Result:
    """How one step went."""

    suite: Suite
    exit_code: int
    took_s: float

    @property
    def verdict(self) -> str:
        """Over its budget a suite is named, but only a failed one fails: the machine may be busy."""
        if self.exit_code:
            return f"FAILED ({self.exit_code})"
        return "over budget" if self.took_s > self.suite.budget_s else "ok"


def checks() -> list[Suite]:
    """Lint, format and types."""
    return [
        Suite("lint", ("-m", "ruff", "check", "--quiet"), 15),
        Suite("format", ("-m", "ruff", "format", "--check", "--quiet"), 10),
        Suite("types", ("-m", "mypy", "--no-error-summary"), 90),
    ]


def suites(root: Path = ROOT) -> list[Suite]:
    """Every folder of tests that holds tests, in the order of suites.toml; unlisted ones come last, so none is lost."""
    table = tomllib.loads((root / "tests" / "suites.toml").read_text())
    budgets: dict[str, float] = table["budget_s"]
    found = sorted({path.relative_to(root / "tests").parts[0] for path in (root / "tests").rglob("test_*.py")})
    names = [name for name in budgets if name in found] + [name for name in found if name not in budgets]
    parts: dict[str, int] = table.get("parts", {})
    return [
        suite
        for name in names
        for suite in _cut(root, name, budget_s=budgets.get(name, table["unlisted_s"]), parts=parts.get(name, 1))
    ]


def _cut(root: Path, name: str, *, budget_s: float, parts: int) -> Iterator[Suite]:
    """A suite as it is, or dealt out file by file."""
    if parts == 1:
        yield Suite(name, (*PYTEST, f"tests/{name}"), budget_s)
        return
    files = sorted(str(path.relative_to(root)) for path in (root / "tests" / name).rglob("test_*.py"))
    last = [file for file in files if Path(file).name.startswith(LAST)]
    others = [file for file in files if file not in last]
    for part in range(parts):
        dealt = (*others[part::parts], *last)
        yield Suite(f"{name} {part + 1}/{parts}", (*PYTEST, *dealt), budget_s / parts)


class Runner:
    """Runs steps in processes of their own, `at_once` of them; what one prints stays together."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._running: set[subprocess.Popen[bytes]] = set()

    def results(self, suites: Sequence[Suite]) -> Iterator[Result]:
        """In the order in which they end, so that an interrupted run still tells what it knows."""
        with ThreadPoolExecutor(self._at_once) as pool:
            try:
                for ended in as_completed([pool.submit(self._run, suite) for suite in suites]):
                    result, said = ended.result()
                    print(f"── {result.suite.name} ({result.took_s:.0f} s)\n{said}", end="", flush=True)
                    yield result
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in tuple(self._running):
                    process.send_signal(signal.SIGINT)
                raise

    def _run(self, suite: Suite) -> tuple[Result, str]:
        began = time.monotonic()
        arguments = [sys.executable, *suite.arguments]
        with subprocess.Popen(
            arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        ) as process:
            self._running.add(process)
            said, _ = process.communicate()
            self._running.discard(process)
        return Result(suite, process.returncode, time.monotonic() - began), said.decode(errors="replace")


def report(results: list[Result], took_s: float) -> str:
    """The table at the end. Suites that ran side by side took longer than alone, and less time together."""
    total_s = sum(result.took_s for result in results)
    allowed_s = sum(result.suite.budget_s for result in results)
    lines = [f"{'suite':<20}{'seconds':>9}{'budget':>9}"]
    lines += [f"{r.suite.name:<20}{r.took_s:>9.1f}{r.suite.budget_s:>9.0f}  {r.verdict}" for r in results]
    failed = sum(result.exit_code != 0 for result in results)
    lines.append(f"{'sum':<20}{total_s:>9.1f}{allowed_s:>9.0f}  {f'{failed} failed' if failed else 'all passed'}")
    lines.append(f"{'by the clock':<20}{took_s:>9.1f}")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Exit status: 0 only if every step passed."""
    if arguments:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, *PYTEST, *arguments])
    began = time.monotonic()
    results: list[Result] = []
    every = [*checks(), *suites()]
    first = [suite for suite in every if suite.budget_s <= CHEAP_S]
    then = sorted((suite for suite in every if suite.budget_s > CHEAP_S), key=lambda suite: -suite.budget_s)
    try:
        for at_once, some in ((1, first), (AT_ONCE, then)):
            for result in Runner(at_once).results(some):
                results.append(result)  # noqa: PERF402 - what was run before an interrupt is reported
    except KeyboardInterrupt:
        print(report(results, time.monotonic() - began))
        return 128 + signal.SIGINT
    print(report(results, time.monotonic() - began))
    return int(any(result.exit_code for result in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
