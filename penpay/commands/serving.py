"""Commands that run something: a node, the demo, a whole installation to play with."""

import os
import sys

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


def demo() -> None:
    """Play real deposits, good ones and bad ones, on a private installation, and prove every cent at the end."""
    from penpay.demo.run import run  # noqa: PLC0415

    raise typer.Exit(run())


def up() -> None:
    """Keep a private installation running, with a ready-made customer; Ctrl-C stops everything it started."""
    from penpay.demo.up import run  # noqa: PLC0415

    raise typer.Exit(run())


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(serve)
    app.command()(demo)
    app.command()(up)
