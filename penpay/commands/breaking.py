"""`penpay chaos`: break everything while people pay, and prove that nothing was lost or doubled."""

import sys
from pathlib import Path
from typing import Annotated

import typer

CHECK_FAILED = 1
USAGE = 2


def chaos(
    *,
    transactions: Annotated[int, typer.Option(min=1, max=100_000, help="Deposits and withdrawals, in turn.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Draws who asks for what, and what breaks when.")] = 1,
    minutes: Annotated[float, typer.Option(min=0.1, max=240.0, help="After this nobody asks any more.")] = 15.0,
    nodes: Annotated[int, typer.Option(min=1, max=2, help="The second one stands by and takes over.")] = 1,
    kill_every: Annotated[
        float, typer.Option(min=1.0, max=3600.0, help="Seconds between two `kill -9` of a node.")
    ] = 5.0,
    look: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Bring up the servers of a run that went wrong, and wait: for people."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Run many transactions on a private installation while nodes, servers and lines break; then prove every cent.

    Ends with 1 when anything is wrong: the data is kept then, and the last line says how to look at it.
    """
    import orjson  # noqa: PLC0415 - `penpay --help` must answer at once
    from rich.console import Console  # noqa: PLC0415

    from penpay.chaos import look as looking  # noqa: PLC0415
    from penpay.chaos.plan import Plan  # noqa: PLC0415
    from penpay.chaos.report import as_json as figures  # noqa: PLC0415
    from penpay.chaos.report import show  # noqa: PLC0415
    from penpay.chaos.run import run  # noqa: PLC0415

    if look is not None and as_json:
        sys.stderr.write("penpay: --look waits for a person and has no --json\n")
        raise typer.Exit(USAGE)
    if look is not None:
        raise typer.Exit(looking.look(look, Console(soft_wrap=True)))
    plan = Plan(transactions=transactions, seed=seed, minutes=minutes, nodes=nodes, kill_every_s=kill_every)
    outcome = run(plan, say=lambda line: print(f"  {line}", file=sys.stderr))  # noqa: T201 - progress of a command
    if as_json:
        typer.echo(orjson.dumps(figures(outcome)).decode())
    else:
        show(Console(soft_wrap=True), outcome)
    raise typer.Exit(CHECK_FAILED if outcome.problems else 0)


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(chaos)
