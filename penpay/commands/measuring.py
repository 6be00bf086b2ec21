"""`penpay bench`: measurements, each beside its comparison or its goal."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NoReturn

import typer

CHECK_FAILED = 1
SHARDS_MAX = 256
Json = Annotated[bool, typer.Option("--json", help="For machines.")]
Rounds = Annotated[
    int, typer.Option(min=1, max=1000, help="Rounds with a fixed number in flight; their median counts.")
]
RoundSeconds = Annotated[float, typer.Option(min=0.1, max=3600.0, help="Seconds per round.")]
Shards = Annotated[int, typer.Option(min=1, max=SHARDS_MAX, help="Shards of the installation.")]

bench = typer.Typer(
    help="Measure: actors, the ledger, deposits, withdrawals, security. Without a name, all of them.",
    invoke_without_command=True,
    no_args_is_help=False,
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One part: its lines for a person, its figures for machines, and whether it met its goals."""

    name: str
    lines: Sequence[str]
    figures: Mapping[str, Any]
    met: bool


@bench.callback()
def everything(context: typer.Context, *, as_json: Json = False) -> None:
    """Measure: actors, the ledger, both directions, security. Without a name, all; 1 when a goal is missed."""
    if context.invoked_subcommand is None:
        _measure(_actors, _ledger, _deposits, _withdrawals, _security, as_json=as_json)
    # Before a name it means the same as behind it.
    context.default_map = {context.invoked_subcommand: {"as_json": as_json}}


@bench.command()
def actors(*, as_json: Json = False) -> None:
    """Our actors beside Pykka's threads: starting, memory, messages."""
    _measure(_actors, as_json=as_json)


@bench.command()
def ledger(*, as_json: Json = False) -> None:
    """Group commit beside one transaction per request with row locks."""
    _measure(_ledger, as_json=as_json)


@bench.command()
def deposits(
    *,
    rounds: Rounds = 3,
    measure_s: RoundSeconds = 10.0,
    in_flight: Annotated[int, typer.Option(min=1, max=10_000, help="Deposits in flight.")] = 128,
    paced_s: Annotated[
        float, typer.Option(min=0.0, max=3600.0, help="Seconds under production pacing; 0 leaves it out.")
    ] = 30.0,
    waiting: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Customers who do not answer; 0 leaves them out.")
    ] = 10_000,
    shards: Shards = 1,
    as_json: Json = False,
) -> None:
    """Deposits over HTTP through a whole private installation."""
    options = {
        "rounds": rounds,
        "measure_s": measure_s,
        "in_flight": in_flight,
        "paced_s": paced_s,
        "waiting": waiting,
        "shards": shards,
    }
    _measure(partial(_deposits, **options), as_json=as_json)


@bench.command()
def withdrawals(
    *,
    rounds: Rounds = 3,
    measure_s: RoundSeconds = 10.0,
    in_flight: Annotated[int, typer.Option(min=1, max=10_000, help="Withdrawals in flight.")] = 32,
    waiting: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Withdrawals past the debit at a start; 0 leaves them out.")
    ] = 10_000,
    shards: Shards = 4,
    as_json: Json = False,
) -> None:
    """Withdrawals over HTTP through a whole private installation, and a start with many of them open."""
    options = {
        "rounds": rounds,
        "measure_s": measure_s,
        "in_flight": in_flight,
        "waiting": waiting,
        "payers": waiting // 20,
        "shards": shards,
    }
    _measure(partial(_withdrawals, **options), as_json=as_json)


@bench.command()
def security(
    *, logins: Annotated[int, typer.Option(min=20, max=100_000, help="Of each kind.")] = 500, as_json: Json = False
) -> None:
    """Whether the time of a login tells if an address exists, and what the slow hash costs everybody else."""
    _measure(partial(_security, logins=logins), as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(bench, name="bench")


def _measure(*parts: Callable[[], Measured], as_json: bool) -> NoReturn:
    """One after the other. A person reads each as soon as it is known, a machine one document in the end."""
    import orjson  # noqa: PLC0415 - `penpay --help` must answer at once

    measured: list[Measured] = []
    for part in parts:
        one = part()
        measured.append(one)
        if not as_json:
            typer.echo("\n".join((f"{one.name}:", *(f"  {line}" for line in one.lines))))
    if as_json:
        typer.echo(orjson.dumps({one.name: one.figures for one in measured}).decode())
    raise typer.Exit(0 if all(one.met for one in measured) else CHECK_FAILED)


def _actors() -> Measured:
    from penpay.bench import actors as subject  # noqa: PLC0415

    rows = subject.run(progress=_progress())
    found = subject.verdicts(rows)
    return Measured("actors", subject.lines(rows), {"verdicts": found}, all(verdict["ok"] for verdict in found))


def _ledger() -> Measured:
    from penpay.bench import ledger as subject  # noqa: PLC0415

    rows = subject.run(progress=_progress())
    found = subject.verdicts(rows)
    return Measured("ledger", subject.lines(rows), {"verdicts": found}, all(verdict["ok"] for verdict in found))


def _deposits(**options: Any) -> Measured:
    from penpay.bench import verdict  # noqa: PLC0415
    from penpay.bench.deposits import Options, run  # noqa: PLC0415

    report = run(Options(**options), progress=_progress())
    met = all(met for _, met in verdict.verdicts(report))
    return Measured("deposits", verdict.lines(report), verdict.as_json(report), met)


def _withdrawals(**options: Any) -> Measured:
    from penpay.bench import withdrawal_verdict as verdict  # noqa: PLC0415
    from penpay.bench.withdrawals import Options, run  # noqa: PLC0415

    report = run(Options(**options), progress=_progress())
    met = all(met for _, met in verdict.verdicts(report))
    return Measured("withdrawals", verdict.lines(report), verdict.as_json(report), met)


def _security(**options: Any) -> Measured:
    from penpay.bench import security as subject  # noqa: PLC0415

    report = subject.run(subject.Options(**options), progress=_progress())
    found = dict(subject.verdicts(report))
    figures = {
        "p_value": report.p_value,
        "difference": report.difference,
        "lane_per_s": report.lane_per_s,
        "health_max_s": report.health_max_s,
        "verdicts": found,
    }
    return Measured("security", subject.lines(report), figures, all(found.values()))


def _progress() -> Callable[[str], None]:
    """What is being done, on stderr: stdout is for results."""
    return lambda step: print(f"  {step}", file=sys.stderr)  # noqa: T201 - progress of a command
