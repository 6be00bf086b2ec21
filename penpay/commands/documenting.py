"""The API document, for whoever keeps a copy or feeds it to a tool."""

from typing import Annotated

import typer


def openapi(
    *,
    server: Annotated[str, typer.Option(help="Base URL that the document names.")] = "https://pay.example",
    internal: Annotated[bool, typer.Option(help="The document of the internal listener instead.")] = False,
) -> None:
    """Print the OpenAPI 3.1 document of the public API, or of the internal listener. Needs no configuration."""
    import json  # noqa: PLC0415 - `penpay --help` must answer at once

    from penpay.http.openapi import document  # noqa: PLC0415
    from penpay.http.openapi_internal import internal_document  # noqa: PLC0415
    from penpay.http.routes import PREFIX, ROUTES  # noqa: PLC0415

    told = internal_document() if internal else document(ROUTES, prefix=PREFIX, server_url=server)
    typer.echo(json.dumps(told, indent=1, ensure_ascii=False))


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(openapi)
