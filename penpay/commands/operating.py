"""Commands that speak to the running node of this machine."""

import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

CHECK_FAILED = 1
USAGE = 2
Json = Annotated[bool, typer.Option("--json", help="For machines.")]


def _call(method: str, path: str) -> Mapping[str, Any]:
    from penpay.operator import Node, NodeUnreachable  # noqa: PLC0415 - `penpay --help` must answer at once

    try:
        return Node.configured(os.environ).call(method, path)
    except NodeUnreachable as error:
        sys.stderr.write(f"penpay: {error}\n")
        raise typer.Exit(CHECK_FAILED) from None


def tree(*, as_json: Json = False) -> None:
    """Show the supervision tree of the running node."""
    import orjson  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    from penpay.operator import show_tree  # noqa: PLC0415

    root = _call("GET", "/ops/tree")
    if as_json:
        typer.echo(orjson.dumps(root).decode())
    else:
        show_tree(Console(), root)


def restart(
    path: Annotated[str, typer.Argument(help="As `penpay tree` shows it, e.g. shards/3/ledger.")],
    *,
    as_json: Json = False,
) -> None:
    """Restart a supervisor or an actor; returns when what it restarted is ready again.

    `penpay` and `ops` would cut their own answer: there it returns at once, and the tree shows when they are back.
    """
    place = path.strip("/")
    if not place:
        sys.stderr.write("penpay: PATH is one that `penpay tree` shows, e.g. shards/3/ledger\n")
        raise typer.Exit(USAGE)
    answer = _call("POST", f"/ops/tree/{quote(place)}/restart")
    done = f"{path} was restarted"
    begun = f"{path} is being restarted: `penpay tree` answers when it is back"
    _tell(answer, begun if answer.get("accepted") else done, as_json=as_json)


def drain(*, as_json: Json = False) -> None:
    """Tell the running node to leave: no new business, finish or park what runs, release ownership, exit."""
    _tell(_call("POST", "/ops/drain"), "the node is leaving", as_json=as_json)


def _tell(answer: Mapping[str, Any], words: str, *, as_json: bool) -> None:
    """The node's own answer for machines, words for people."""
    import orjson  # noqa: PLC0415

    typer.echo(orjson.dumps(answer).decode() if as_json else words)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(tree)
    app.command()(restart)
    app.command()(drain)
