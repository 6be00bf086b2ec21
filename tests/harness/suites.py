"""`./dev test`: style, types and every suite in order, each with its time beside the time it may take.

With arguments it runs pytest on them and nothing else.
"""

import os
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
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
    return [Suite(name, (*PYTEST, f"tests/{name}"), budgets.get(name, table["unlisted_s"])) for name in names]


def run(suite: Suite) -> Result:
    """One step in a process of its own, output passed through."""
    print(f"── {suite.name}", flush=True)
    began = time.monotonic()
    exit_code = subprocess.run([sys.executable, *suite.arguments], cwd=ROOT, check=False).returncode
    return Result(suite, exit_code, time.monotonic() - began)


def report(results: list[Result]) -> str:
    """The table at the end."""
    total_s = sum(result.took_s for result in results)
    allowed_s = sum(result.suite.budget_s for result in results)
    lines = [f"{'suite':<20}{'seconds':>9}{'budget':>9}"]
    lines += [f"{r.suite.name:<20}{r.took_s:>9.1f}{r.suite.budget_s:>9.0f}  {r.verdict}" for r in results]
    failed = sum(result.exit_code != 0 for result in results)
    lines.append(f"{'total':<20}{total_s:>9.1f}{allowed_s:>9.0f}  {f'{failed} failed' if failed else 'all passed'}")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Exit status: 0 only if every step passed."""
    if arguments:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, *PYTEST, *arguments])
    results: list[Result] = []
    try:
        for suite in [*checks(), *suites()]:
            results.append(run(suite))  # noqa: PERF401 - what was run before an interrupt is reported
    except KeyboardInterrupt:
        print(report(results))
        return 128 + signal.SIGINT
    print(report(results))
    return int(any(result.exit_code for result in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
