"""`penpay simulate`: worlds from seeds, without a database, a network or a clock."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from penpay.simulation.play import Outcome
    from penpay.simulation.runs import Report

CHECK_FAILED = 1
USAGE = 2
STORIES_MAX = 3
SEEDS, ABLATED_SEEDS, SEEDS_MAX = 200, 1000, 10_000_000


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(simulate)


def simulate(  # noqa: PLR0913 - one parameter per option
    *,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, max=SEEDS_MAX, help="How many worlds; 200, or 1,000 without each safeguard."),
    ] = None,
    first_seed: Annotated[
        int, typer.Option(min=0, help="The first one's number; each number is one world, for ever.")
    ] = 1,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Processes.")] = 1,
    without: Annotated[str, typer.Option(help="Take this safeguard out of every world.")] = "",
    ablations: Annotated[bool, typer.Option("--ablations", help="Take out one safeguard after the other.")] = False,
    until_failed: Annotated[
        int, typer.Option(min=0, help="With --ablations: enough failing seeds of one; 0: all run.")
    ] = 0,
    sweep: Annotated[bool, typer.Option("--sweep", help="Crash once at every step of both sagas.")] = False,
    pairs: Annotated[bool, typer.Option("--pairs", help="Crash twice, at every pair of steps: minutes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Run simulated worlds of both rails, faults and crashes from their seeds; 1 when one of them breaks a promise."""
    if sweep or pairs:
        raise typer.Exit(CHECK_FAILED if _swept(pairs=pairs, jobs=jobs, as_json=as_json) else 0)
    from penpay.simulation.safeguards import SAFEGUARDS  # noqa: PLC0415 - `penpay --help` must answer at once

    if without and without not in SAFEGUARDS:
        sys.stderr.write(f"penpay: --without is one of {', '.join(SAFEGUARDS)}\n")
        raise typer.Exit(USAGE)
    if ablations:
        numbers = range(first_seed, first_seed + (seeds or ABLATED_SEEDS))
        unmissed = _ablated(numbers, without, jobs=jobs, until_failed=until_failed, as_json=as_json)
        raise typer.Exit(CHECK_FAILED if unmissed else 0)
    from penpay.simulation.runs import run  # noqa: PLC0415

    seeds = seeds or SEEDS
    report = run(range(first_seed, first_seed + seeds), jobs=jobs, without=without, progress=_progress(seeds))
    if as_json:
        typer.echo(_json(report))
    else:
        _show(report, without)
    raise typer.Exit(CHECK_FAILED if report.failed else 0)


def _progress(seeds: int) -> "Callable[[Report], None]":
    def show(report: "Report") -> None:
        end = "\n" if report.seeds >= seeds else "\r"
        text = f"  {report.seeds} of {seeds} seeds, {report.per_minute:.0f} a minute, {report.failed} failed"
        print(text, end=end, file=sys.stderr, flush=True)  # noqa: T201 - progress of a command

    return show


def _show(report: "Report", without: str) -> None:
    from penpay.simulation.odds import FAULTS  # noqa: PLC0415
    from penpay.simulation.paths import PATHS  # noqa: PLC0415

    typer.echo(f"{report.seeds} seeds, {report.per_minute:.0f} a minute, {report.failed} failed")
    typer.echo(f"{report.steps} steps in {report.virtual_s / 3600:.1f} virtual hours")
    typer.echo("ends: " + ", ".join(f"{count} {state}" for state, count in sorted(report.states.items())))
    typer.echo("met: " + ", ".join(f"{kind} {count}" for kind, count in sorted(report.reached.items())))
    if never := sorted((FAULTS.keys() | PATHS) - report.reached.keys()):
        typer.echo(f"never met: {', '.join(never)}")
    for outcome in report.failing[:STORIES_MAX]:
        _tell(outcome, without)
    if report.failed > STORIES_MAX:
        numbers = ", ".join(str(outcome.seed) for outcome in report.failing)
        typer.echo(f"failing seeds: {numbers}{' …' if report.failed > len(report.failing) else ''}")


def _tell(outcome: "Outcome", without: str) -> None:
    from penpay.simulation.runs import replay  # noqa: PLC0415

    told = replay(outcome.seed, without=without)
    typer.echo(f"\nseed {outcome.seed} broke, after {outcome.seconds:.1f} virtual seconds:")
    for line in outcome.wrong:
        typer.echo(f"  {line}")
    typer.echo("what happened:")
    for at_s, text in told.story:
        typer.echo(f"  {at_s:9.4f}  {text}")
    option = f" --without {without}" if without else ""
    typer.echo(f"again: penpay simulate --seeds 1 --first-seed {outcome.seed}{option}")


def _swept(*, pairs: bool, jobs: int, as_json: bool) -> int:
    """Walk and crash; how many walks broke a promise."""
    import orjson  # noqa: PLC0415

    from penpay.simulation.sweep import sweep  # noqa: PLC0415

    crashes: dict[str, int] = {}
    unreached = 0
    broken: list[dict[str, object]] = []
    for walked in sweep(pairs=pairs, jobs=jobs):
        crashes[walked.way.name] = crashes.get(walked.way.name, 0) + bool(walked.points)
        unreached += bool(walked.missed)
        if walked.outcome.wrong:
            at = [str(point) for point in walked.points]
            broken.append({"way": walked.way.name, "at": at, "wrong": walked.outcome.wrong})
        print(f"  {sum(crashes.values())} walks, {len(broken)} broken", end="\r", file=sys.stderr, flush=True)  # noqa: T201
    print(file=sys.stderr)  # noqa: T201 - progress of a command
    if as_json:
        typer.echo(orjson.dumps({"crashes": crashes, "unreached": unreached, "broken": broken}).decode())
        return len(broken)
    for name, count in crashes.items():
        typer.echo(f"{name:<45} {count:5} crashes")
    if unreached:
        typer.echo(f"{'of them, a second crash was not come to in':<45} {unreached:5}")
    for one in broken:
        typer.echo(f"BROKEN {one['way']}, killed {one['at']}: {one['wrong']}")
    return len(broken)


def _ablated(seeds: range, only: str, *, jobs: int, until_failed: int, as_json: bool) -> int:
    """The table of safeguards, or the line of one; how many of them nobody missed."""
    import orjson  # noqa: PLC0415

    from penpay.simulation.runs import run  # noqa: PLC0415
    from penpay.simulation.safeguards import SAFEGUARDS  # noqa: PLC0415

    if not as_json:
        typer.echo("| safeguard | failing seeds | first failing seed |\n|---|---|---|")
    rows: list[dict[str, object]] = []
    for name in [only] if only else SAFEGUARDS:
        report = run(seeds, jobs=jobs, without=name, progress=_progress(len(seeds)), until_failed=until_failed)
        first = report.failing[0] if report.failing else None
        row = {
            "safeguard": name,
            "purpose": SAFEGUARDS[name].purpose,
            "failed": report.failed,
            "seeds": report.seeds,
            "first": first.seed if first else None,
            "wrong": first.wrong[0] if first else "nobody missed it",
        }
        rows.append(row)
        if not as_json:
            seed = first.seed if first else "none"
            typer.echo(f"| {name}: {row['purpose']} | {report.failed} of {report.seeds} | {seed} |")
            sys.stdout.flush()
    if as_json:
        typer.echo(orjson.dumps(rows).decode())
    return sum(row["first"] is None for row in rows)


def _json(report: "Report") -> str:
    import orjson  # noqa: PLC0415

    return orjson.dumps(
        {
            "seeds": report.seeds,
            "failed": report.failed,
            "per_minute": round(report.per_minute),
            "steps": report.steps,
            "virtual_s": round(report.virtual_s),
            "ends": dict(sorted(report.states.items())),
            "reached": dict(sorted(report.reached.items())),
            "failing": [{"seed": one.seed, "hash": f"{one.hash:016x}", "wrong": one.wrong} for one in report.failing],
        }
    ).decode()
