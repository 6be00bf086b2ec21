"""The command `penpay`. Exit status: 0 fine, 1 a check failed, 2 the command or the configuration is wrong.

Heavy modules are imported inside the commands, so that `penpay --help` answers at once.
"""

import os
import sys
from typing import Annotated

import typer

import penpay
from config.environment import SettingsError, variable
from penpay.commands import (
    breaking,
    documenting,
    forgetting,
    measuring,
    operating,
    proving,
    receipts,
    reconciling,
    reviewing,
    serving,
    simulating,
)
from penpay.domain.errors import StoreError, Unavailable

app = typer.Typer(
    name="penpay",
    help=(
        "Actor-based payment runtime between M-Pesa and Deriv. Configured by environment variables; `penpay doctor` "
        "says what is missing. Exit status: 0 fine, 1 a check failed, 2 the command or the configuration is wrong."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

serving.register(app)
operating.register(app)
proving.register(app)
measuring.register(app)
breaking.register(app)
reviewing.register(app)
forgetting.register(app)
reconciling.register(app)
simulating.register(app)
receipts.register(app)
documenting.register(app)

CHECK_FAILED = 1
USAGE = 2
Json = Annotated[bool, typer.Option("--json", help="For machines.")]


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer hands the flag over by position
    if wanted:
        typer.echo(f"penpay {penpay.__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that stand before the command."""


@app.command()
def doctor(*, as_json: Json = False) -> None:
    """Say whether machine, configuration, servers and node can do business, and what to do where not."""
    import orjson  # noqa: PLC0415 - see the module's docstring

    from penpay.doctor import Level, findings  # noqa: PLC0415

    found = findings()
    if as_json:
        rows = [
            {"check": one.check, "ok": one.level is not Level.FAIL, "level": one.level.value, "detail": one.detail}
            for one in found
        ]
        typer.echo(orjson.dumps(rows).decode())
    else:
        for one in found:
            typer.echo(f"{one.level:<4} {one.check:<24} {one.detail}")
    raise typer.Exit(CHECK_FAILED if any(one.level is Level.FAIL for one in found) else 0)


@app.command()
def migrate(*, as_json: Json = False) -> None:
    """Bring the database to the newest schema. Uses PENPAY_DATABASE__ADMIN_URL when it is set."""
    import asyncio  # noqa: PLC0415 - see the module's docstring

    import orjson  # noqa: PLC0415

    from config.sections import DatabaseSettings, NodeSettings  # noqa: PLC0415
    from config.settings import load_section  # noqa: PLC0415
    from penpay.adapters import migrations  # noqa: PLC0415
    from penpay.adapters.system import RandomUlids  # noqa: PLC0415

    database = load_section(os.environ, DatabaseSettings)
    try:
        done = asyncio.run(
            migrations.migrate(
                database.migration_url.get_secret_value(),
                runtime_url=database.url.get_secret_value(),
                prefix=database.prefix,
                shards=load_section(os.environ, NodeSettings).shards,
                new_installation_id=RandomUlids().ulid(),
            )
        )
    except migrations.MigrationRefused as error:
        sys.stderr.write(f"penpay: {error}\n")
        raise typer.Exit(CHECK_FAILED) from None
    if as_json:
        typer.echo(orjson.dumps({"installation_id": done.installation_id, "applied": done.applied}).decode())
    else:
        typer.echo(f"installation {done.installation_id}: {len(done.applied)} migrations applied")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def sandbox(context: typer.Context) -> None:
    """Run the simulated rails; `penpay sandbox --help` lists its options."""
    from penpay.sandbox.__main__ import main as run  # noqa: PLC0415 - see the module's docstring

    run(context.args)


def main() -> None:
    """Entry point: a configuration that cannot be used is one line and status 2, a server that fails us one and 1."""
    try:
        app()
    except SettingsError as error:
        sys.stderr.write(f"penpay: {error}\n")
        sys.exit(USAGE)
    except Unavailable as error:
        sys.stderr.write(f"penpay: the {error.dependency} does not answer: see {variable(error.dependency, 'url')}\n")
        sys.exit(CHECK_FAILED)
    except RuntimeError as error:
        from penpay.stack.process import ProcessFailed  # noqa: PLC0415 - see the module's docstring

        if not isinstance(error, ProcessFailed):
            raise
        sys.stderr.write(f"penpay: {error}\n")
        sys.exit(CHECK_FAILED)
    except StoreError as error:
        sys.stderr.write(f"penpay: the database refused: {error}; `penpay doctor` says what it lacks\n")
        sys.exit(CHECK_FAILED)
