"""The API document, for whoever keeps a copy or feeds it to a tool."""

from typing import Annotated

import typer


def openapi(
    *, server: Annotated[str, typer.Option(help="Base URL that the document names.")] = "https://pay.example"
) -> None:
    """Print the OpenAPI 3.1 document of the public API. Needs no configuration."""
    import json  # noqa: PLC0415 - `penpay --help` must answer at once

    from penpay.http.openapi import document  # noqa: PLC0415
    from penpay.http.routes import PREFIX, ROUTES  # noqa: PLC0415

    typer.echo(json.dumps(document(ROUTES, prefix=PREFIX, server_url=server), indent=1, ensure_ascii=False))


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(openapi)
