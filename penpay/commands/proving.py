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
    from penpay.explain import show, story_of  # noqa: PLC0415

    try:
        story = asyncio.run(story_of(load_settings(os.environ), transaction.strip().upper()))
    except Unavailable as error:
        sys.stderr.write(f"penpay: {error} is away\n")
        raise typer.Exit(CHECK_FAILED) from None
    if story is None:
        sys.stderr.write(f"penpay: no transaction {transaction}\n")
        raise typer.Exit(CHECK_FAILED)
    if as_json:
        typer.echo(orjson.dumps(story.as_json()).decode())
    else:
        show(Console(), story)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(explain)
