"""Commands that look at the database: one transaction's story, the invariants, the audit chain."""

import asyncio
import os
import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from config.sections import DatabaseSettings, Settings

CHECK_FAILED = 1
Json = Annotated[bool, typer.Option("--json", help="For machines.")]


def explain(
    transaction: Annotated[str, typer.Argument(help="The transaction's id.")] = "", *, as_json: Json = False
) -> None:
    """Tell the story of a transaction: what is known, where the money is, what is awaited, and what happens then.

    Without one: the oldest that are open, with their ids.
    """
    import orjson  # noqa: PLC0415 - `penpay --help` must answer at once
    from rich.console import Console  # noqa: PLC0415

    from config.settings import load_settings  # noqa: PLC0415
    from penpay.domain.ids import is_ulid  # noqa: PLC0415
    from penpay.explain import deadlines_of, show, story_of  # noqa: PLC0415

    settings, transaction = load_settings(os.environ), transaction.strip().upper()
    if not transaction:
        _oldest(settings, as_json=as_json)
        return
    story = asyncio.run(story_of(settings, transaction)) if is_ulid(transaction) else None
    if story is None:
        sys.stderr.write(f"penpay: no transaction {transaction}\n")
        raise typer.Exit(CHECK_FAILED)
    if as_json:
        typer.echo(orjson.dumps(story.rendered(deadlines_of(settings))).decode())
    else:
        show(Console(), story, deadlines_of(settings))


def _oldest(settings: "Settings", *, as_json: bool) -> None:
    import orjson  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    from penpay.adapters.system import SystemClock  # noqa: PLC0415
    from penpay.explain import oldest_of, show_oldest  # noqa: PLC0415

    found, now = asyncio.run(oldest_of(settings)), SystemClock().now()
    if as_json:
        typer.echo(orjson.dumps([one.rendered(now) for one in found]).decode())
    else:
        show_oldest(Console(), found, now)


def check(*, as_json: Json = False) -> None:
    """Run every invariant as a query that must return no rows; 1 when one is broken, or the database did not answer."""
    import orjson  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.markup import escape  # noqa: PLC0415

    from config.settings import load_settings  # noqa: PLC0415
    from penpay.domain.errors import StoreError, Unavailable  # noqa: PLC0415
    from penpay.proofs import invariants_of  # noqa: PLC0415

    with Console(stderr=True).status("asking") as status:
        found = asyncio.run(invariants_of(load_settings(os.environ), say=status.update))
    lines = []
    for name, rows in found.items():
        if isinstance(rows, Unavailable):
            lines.append(f"[red]NOT ANSWERED[/] {name}: the database did not answer in time")
        elif isinstance(rows, StoreError):
            lines.append(f"[red]NOT ANSWERED[/] {name}: the database refused: {escape(str(rows))}")
        elif rows:
            lines.append(f"[red]BROKEN[/] {name}: {escape(', '.join(map(str, rows[:5])))}")
    if as_json:
        told = {
            name: None if isinstance(rows, StoreError) else [list(map(str, row)) for row in rows]
            for name, rows in found.items()
        }
        typer.echo(orjson.dumps(told).decode())
    else:
        for line in [*lines, f"{len(found) - len(lines)} of {len(found)} invariants hold"]:
            Console().print(line, highlight=False, soft_wrap=True)
    raise typer.Exit(CHECK_FAILED if lines else 0)


def is_key(text: str) -> str:
    """Hex of 32 bytes, or nothing."""
    if text and not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise typer.BadParameter("must be 64 hex digits")
    return text


def verify(
    *,
    public_key: Annotated[
        str,
        typer.Option(
            help="Hex of the anchors' public key; then only database and anchor folder are configured.",
            callback=is_key,
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Verify the hash chains against the anchors outside the database; names the first row that does not hold.

    A running node makes anchors first, so that nothing is left behind them.

    With a public key (`penpay audit key`) no secret is needed: PENPAY_DATABASE__URL may be a login that only reads, on
    whatever copy of the database, and PENPAY_AUDIT__ANCHOR_DIR a copy of the folder.
    """
    import orjson  # noqa: PLC0415

    from config.settings import load_settings  # noqa: PLC0415
    from penpay.proofs import verdicts_by, verdicts_of  # noqa: PLC0415

    if public_key:
        verdicts = asyncio.run(verdicts_by(public_key, *_of_an_auditor()))
    else:
        settings = load_settings(os.environ)
        _anchored(settings)
        verdicts = asyncio.run(verdicts_of(settings))
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


def _anchored(settings: "Settings") -> None:
    """Let the running node anchor what it wrote until now. A node that left has done so."""
    from penpay.operator import Node, NodeUnreachable  # noqa: PLC0415

    try:
        Node.of(settings.http, settings.security).call("POST", "/admin/v1/anchors")
    except NodeUnreachable as error:
        sys.stderr.write(f"penpay: no anchors were made now, those that stand are verified: {error}\n")


def _of_an_auditor() -> "tuple[DatabaseSettings, Path]":
    """Where a copy of the books and a copy of the anchors are."""
    from config.environment import SettingsError, variable  # noqa: PLC0415
    from config.sections import AuditSettings, DatabaseSettings  # noqa: PLC0415
    from config.settings import load_section  # noqa: PLC0415

    folder = load_section(os.environ, AuditSettings).anchor_dir
    if folder is None:
        raise SettingsError(f"{variable('audit', 'anchor_dir')} is missing")
    return load_section(os.environ, DatabaseSettings), folder


def key(*, as_json: Json = False) -> None:
    """Print the public key that anchors are verified with, for whoever verifies them elsewhere."""
    import orjson  # noqa: PLC0415

    from config.settings import load_settings  # noqa: PLC0415
    from penpay.adapters.anchor_files import public_key_hex  # noqa: PLC0415

    public = public_key_hex(load_settings(os.environ).security.audit_signing_key.get_secret_value())
    typer.echo(orjson.dumps({"public_key": public}).decode() if as_json else public)


def _audit() -> None:
    """The tamper-evident record."""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(explain)
    app.command()(check)
    audit = typer.Typer(help="The tamper-evident record.", no_args_is_help=True)
    audit.callback()(_audit)
    audit.command()(verify)
    audit.command()(key)
    app.add_typer(audit, name="audit")
