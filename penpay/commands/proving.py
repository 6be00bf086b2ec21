"""Commands that look at the database: one transaction's story, the invariants, the audit chain."""

import asyncio
import os
import sys
from typing import Annotated

import typer

CHECK_FAILED = 1
Json = Annotated[bool, typer.Option("--json", help="For machines.")]


def explain(
    transaction: Annotated[str, typer.Argument(help="The transaction's id.")], *, as_json: Json = False
) -> None:
    """Tell the story of a transaction: what is known, where the money is, what is awaited, and what happens then."""
    import orjson  # noqa: PLC0415 - `penpay --help` must answer at once
    from rich.console import Console  # noqa: PLC0415

    from config.settings import load_settings  # noqa: PLC0415
    from penpay.domain.errors import Unavailable  # noqa: PLC0415
    from penpay.explain import deadlines_of, show, story_of  # noqa: PLC0415

    settings = load_settings(os.environ)
    try:
        story = asyncio.run(story_of(settings, transaction.strip().upper()))
    except Unavailable as error:
        sys.stderr.write(f"penpay: {error} is away\n")
        raise typer.Exit(CHECK_FAILED) from None
    if story is None:
        sys.stderr.write(f"penpay: no transaction {transaction}\n")
        raise typer.Exit(CHECK_FAILED)
    if as_json:
        typer.echo(orjson.dumps(story.rendered(deadlines_of(settings))).decode())
    else:
        show(Console(), story, deadlines_of(settings))


def check(*, as_json: Json = False) -> None:
    """Run every invariant as a query that must return no rows; 1 when one is broken."""
    import orjson  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    from config.settings import load_settings  # noqa: PLC0415
    from penpay.domain.errors import Unavailable  # noqa: PLC0415
    from penpay.proofs import invariants_of  # noqa: PLC0415

    try:
        found = asyncio.run(invariants_of(load_settings(os.environ)))
    except Unavailable as error:
        sys.stderr.write(f"penpay: {error} is away\n")
        raise typer.Exit(CHECK_FAILED) from None
    broken = {name: rows for name, rows in found.items() if rows}
    if as_json:
        counts = {name: [list(map(str, row)) for row in rows] for name, rows in found.items()}
        typer.echo(orjson.dumps(counts).decode())
    else:
        console = Console()
        for name, rows in broken.items():
            console.print(f"[red]BROKEN[/] {name}: {', '.join(str(row) for row in rows[:5])}", highlight=False)
        console.print(f"{len(found) - len(broken)} of {len(found)} invariants hold", highlight=False)
    raise typer.Exit(CHECK_FAILED if broken else 0)


def verify(
    *,
    public_key: Annotated[str, typer.Option(help="Hex of the anchors' public key; by default this node's own.")] = "",
    as_json: Json = False,
) -> None:
    """Verify the hash chains against the anchors outside the database; names the first row that does not hold."""
    import orjson  # noqa: PLC0415

    from config.settings import load_settings  # noqa: PLC0415
    from penpay.domain.errors import Unavailable  # noqa: PLC0415
    from penpay.proofs import verdicts_of  # noqa: PLC0415

    try:
        verdicts = asyncio.run(verdicts_of(load_settings(os.environ), public_key))
    except Unavailable as error:
        sys.stderr.write(f"penpay: {error} is away\n")
        raise typer.Exit(CHECK_FAILED) from None
    if as_json:
        rows = [
            {
                "chain": one.chain,
                "rows": one.rows,
                "anchors": one.anchors,
                "bad_seq": one.bad_seq,
                "problem": one.problem,
            }
            for one in verdicts
        ]
        typer.echo(orjson.dumps(rows).decode())
    else:
        for one in verdicts:
            typer.echo(one.line())
        whole = sum(one.holds for one in verdicts)
        typer.echo(f"{whole} of {len(verdicts)} chains are whole, {sum(one.rows for one in verdicts)} rows")
    raise typer.Exit(0 if all(one.holds for one in verdicts) else CHECK_FAILED)


def _audit() -> None:
    """The tamper-evident record."""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(explain)
    app.command()(check)
    audit = typer.Typer(help="The tamper-evident record.", no_args_is_help=True)
    audit.callback()(_audit)
    audit.command()(verify)
    app.add_typer(audit, name="audit")
