"""The command that compares the books with the providers."""

import asyncio
import os
import pwd
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from config.sections import Settings
    from penpay.app.outside import Connected
    from penpay.reconcile import Report, Sides

CHECK_FAILED = 1


def reconcile(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare only: book nothing, open nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Compare Safaricom's list, Deriv's statement and all balances with the books; 1 when anything differs.

    Money that nobody explains is booked to suspense with a review item by the running node. When everything agrees, a
    recovery gate that was closed is opened.
    """
    import orjson  # noqa: PLC0415 - `penpay --help` must answer at once
    from rich.console import Console  # noqa: PLC0415

    from config.settings import load_settings  # noqa: PLC0415
    from penpay.operator import NodeUnreachable  # noqa: PLC0415
    from penpay.reconcile import show  # noqa: PLC0415

    progress = Console(stderr=True)
    try:
        with progress.status("comparing") as status:
            report = asyncio.run(_compared(load_settings(os.environ), act=not dry_run, say=status.update))
    except NodeUnreachable as error:
        sys.stderr.write(f"penpay: {error}\n")
        raise typer.Exit(CHECK_FAILED) from None
    if as_json:
        typer.echo(orjson.dumps(report.as_json()).decode())
    else:
        show(Console(), report)
    raise typer.Exit(CHECK_FAILED if report.differs else 0)


async def _compared(settings: "Settings", *, act: bool, say: Callable[[str], None]) -> "Report":
    from penpay.app.outside import outside_of  # noqa: PLC0415
    from penpay.reconcile import reconcile  # noqa: PLC0415

    outside = outside_of(settings)
    try:
        return await reconcile(sides_of(settings, outside, act=act, say=say))
    finally:
        await outside.close()


def sides_of(
    settings: "Settings", outside: "Connected", *, act: bool = True, say: Callable[[str], None] = lambda _: None
) -> "Sides":
    """The books, the providers and the running node of this configuration."""
    from penpay.app.outside import lists_of  # noqa: PLC0415
    from penpay.operator import Node  # noqa: PLC0415
    from penpay.reconcile import Sides  # noqa: PLC0415

    return Sides(
        lists=lists_of(outside),
        node=Node.of(settings.http, settings.security),
        floats_s=settings.timing.float_poll_s + 15.0,
        by=_operator(),
        act=act,
        say=say,
    )


def _operator() -> str:
    """The user of this machine who runs the command: a name for the log, and no proof."""
    from penpay.domain.review import is_staff_name  # noqa: PLC0415

    number = f"uid {os.getuid()}"
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return number
    return name if is_staff_name(name) else number


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(reconcile)
