"""Commands that run something: a node, the demo, a whole installation to play with."""

import os
import sys
import time
from typing import Annotated

import typer

CHECK_FAILED = 1


def serve() -> None:
    """Run one node until it is told to stop. Ends with 70 when supervision gives up, 75 when its loop stays blocked."""
    from config.settings import load_settings  # noqa: PLC0415 - `penpay --help` must answer at once
    from penpay.app.serve import serve as run  # noqa: PLC0415

    if not __debug__:
        sys.stderr.write("penpay: python -O strips the checks that guard money; run without it\n")
        raise typer.Exit(2)
    raise typer.Exit(run(load_settings(os.environ)))


def demo(*, as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """Play deposits and withdrawals, good and bad, on a private installation, and prove every cent at the end."""
    import orjson  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    from penpay.demo.run import run  # noqa: PLC0415

    began_s = time.monotonic()
    status = run(Console(stderr=as_json))
    if as_json:
        took_s = round(time.monotonic() - began_s, 1)
        typer.echo(orjson.dumps({"holds": status == 0, "took_s": took_s}).decode())
    raise typer.Exit(status)


def up() -> None:
    """Keep a private installation running, with a ready-made customer; Ctrl-C stops everything it started."""
    from penpay.demo.up import run  # noqa: PLC0415

    raise typer.Exit(run())


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(serve)
    app.command()(demo)
    app.command()(up)
