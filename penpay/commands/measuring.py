"""`penpay bench`: measurements, each beside its comparison or its goal."""

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

CHECK_FAILED = 1
Json = Annotated[bool, typer.Option("--json", help="For machines.")]

bench = typer.Typer(
    help="Measure: actors, the ledger, deposits, withdrawals, security. Without a name, all of them.",
    invoke_without_command=True,
    no_args_is_help=False,
)


@bench.callback()
def everything(context: typer.Context) -> None:
    """Measure: actors, the ledger, both directions, security. Without a name, all; 1 when a goal is missed."""
    if context.invoked_subcommand is None:
        parts = (_actors, _ledger, _deposits, _withdrawals, _security)
        met = [part(as_json=False) for part in parts]
        raise typer.Exit(0 if all(met) else CHECK_FAILED)


@bench.command()
def actors(*, as_json: Json = False) -> None:
    """Our actors beside Pykka's threads: starting, memory, messages."""
    raise typer.Exit(0 if _actors(as_json=as_json) else CHECK_FAILED)


@bench.command()
def ledger(*, as_json: Json = False) -> None:
    """Group commit beside one transaction per request with row locks."""
    raise typer.Exit(0 if _ledger(as_json=as_json) else CHECK_FAILED)


@bench.command()
def deposits(
    *,
    rounds: Annotated[int, typer.Option(help="Rounds with a fixed number in flight; their median counts.")] = 3,
    measure_s: Annotated[float, typer.Option(help="Seconds per round.")] = 10.0,
    in_flight: Annotated[int, typer.Option(help="Deposits in flight.")] = 128,
    paced_s: Annotated[float, typer.Option(help="Seconds under production pacing; 0 leaves it out.")] = 30.0,
    waiting: Annotated[int, typer.Option(help="Customers who do not answer; 0 leaves them out.")] = 10_000,
    shards: Annotated[int, typer.Option(help="Shards of the installation.")] = 1,
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
    raise typer.Exit(0 if _deposits(as_json=as_json, **options) else CHECK_FAILED)


@bench.command()
def withdrawals(
    *,
    rounds: Annotated[int, typer.Option(help="Rounds with a fixed number in flight; their median counts.")] = 3,
    measure_s: Annotated[float, typer.Option(help="Seconds per round.")] = 10.0,
    in_flight: Annotated[int, typer.Option(help="Withdrawals in flight.")] = 32,
    waiting: Annotated[int, typer.Option(help="Withdrawals past the debit at a start; 0 leaves them out.")] = 10_000,
    shards: Annotated[int, typer.Option(help="Shards of the installation.")] = 4,
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
    raise typer.Exit(0 if _withdrawals(as_json=as_json, **options) else CHECK_FAILED)


@bench.command()
def security(
    *, logins: Annotated[int, typer.Option(min=20, help="Of each kind.")] = 500, as_json: Json = False
) -> None:
    """Whether the time of a login tells if an address exists, and what the slow hash costs everybody else."""
    raise typer.Exit(0 if _security(as_json=as_json, logins=logins) else CHECK_FAILED)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(bench, name="bench")


def _actors(*, as_json: bool) -> bool:
    from penpay.bench import actors as subject  # noqa: PLC0415 - `penpay --help` must answer at once

    rows = subject.run(progress=_progress())
    found = subject.verdicts(rows)
    _show("actors", subject.lines(rows), {"verdicts": found}, as_json=as_json)
    return all(verdict["ok"] for verdict in found)


def _ledger(*, as_json: bool) -> bool:
    from penpay.bench import ledger as subject  # noqa: PLC0415

    rows = subject.run(progress=_progress())
    found = subject.verdicts(rows)
    _show("ledger", subject.lines(rows), {"verdicts": found}, as_json=as_json)
    return all(verdict["ok"] for verdict in found)


def _deposits(*, as_json: bool, **options: Any) -> bool:
    from penpay.bench import verdict  # noqa: PLC0415
    from penpay.bench.deposits import Options, run  # noqa: PLC0415

    report = run(Options(**options), progress=_progress())
    _show("deposits", verdict.lines(report), verdict.as_json(report), as_json=as_json)
    return all(met for _, met in verdict.verdicts(report))


def _withdrawals(*, as_json: bool, **options: Any) -> bool:
    from penpay.bench import withdrawal_verdict as verdict  # noqa: PLC0415
    from penpay.bench.withdrawals import Options, run  # noqa: PLC0415

    report = run(Options(**options), progress=_progress())
    _show("withdrawals", verdict.lines(report), verdict.as_json(report), as_json=as_json)
    return all(met for _, met in verdict.verdicts(report))


def _security(*, as_json: bool, **options: Any) -> bool:
    from penpay.bench import security as subject  # noqa: PLC0415

    report = subject.run(subject.Options(**options), progress=_progress())
    found = dict(subject.verdicts(report))
    figures = {"p_value": report.p_value, "difference": report.difference, "lane_per_s": report.lane_per_s}
    figures = {**figures, "health_max_s": report.health_max_s}
    _show("security", subject.lines(report), {**figures, "verdicts": found}, as_json=as_json)
    return all(found.values())


def _progress() -> Callable[[str], None]:
    """What is being done, on stderr: stdout is for results."""
    return lambda step: print(f"  {step}", file=sys.stderr)  # noqa: T201 - progress of a command


def _show(name: str, lines: list[str], figures: Any, *, as_json: bool) -> None:
    import orjson  # noqa: PLC0415

    if as_json:
        typer.echo(orjson.dumps({name: figures}).decode())
    else:
        typer.echo("\n".join((f"{name}:", *(f"  {line}" for line in lines))))
