"""Checking receipts that customers show."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from penpay.commands.proving import is_key

CHECK_FAILED = 1


def verify(
    file: Annotated[Path, typer.Argument(help="The receipt as the API answered it.", exists=True, dir_okay=False)],
    *,
    public_key: Annotated[
        str,
        typer.Option(
            help="Hex of the issuer's public key; by default this installation's own, from its configuration.",
            callback=is_key,
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Say whether a receipt is genuine and what it says; 1 when it is not. Needs no network and no database."""
    import orjson  # noqa: PLC0415 - `penpay --help` must answer at once

    from penpay.client.receipts import ReceiptRefused, verified  # noqa: PLC0415

    try:
        said = verified(orjson.loads(file.read_bytes()), public_key=public_key or _own_key())
    except (ReceiptRefused, orjson.JSONDecodeError) as error:
        reason = str(error) if isinstance(error, ReceiptRefused) else "this is no JSON"
        if as_json:
            typer.echo(orjson.dumps({"genuine": False, "reason": reason}).decode())
        else:
            sys.stderr.write(f"penpay: not genuine: {reason}\n")
        raise typer.Exit(CHECK_FAILED) from None
    if as_json:
        typer.echo(orjson.dumps({"genuine": True, **said}).decode())
        return
    paid = said["transaction"]
    sent, received = (f"{paid[side]['amount']} {paid[side]['currency']}" for side in ("send", "receive"))
    typer.echo(f"genuine: {paid['type']} {paid['id']} is {paid['status']}, {sent} to {received}")
    for name, value in paid["evidence"].items():
        typer.echo(f"  {name} {value or '-'}")


def _own_key() -> str:
    from config.settings import load_settings  # noqa: PLC0415
    from penpay.adapters.anchor_files import public_key_hex  # noqa: PLC0415

    return public_key_hex(load_settings(os.environ).security.audit_signing_key.get_secret_value())


def _receipt() -> None:
    """Signed receipts."""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(help="Signed receipts.", no_args_is_help=True)
    group.callback()(_receipt)
    group.command()(verify)
    app.add_typer(group, name="receipt")
