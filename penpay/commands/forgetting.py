"""The command that forgets a customer. The running node does it: it alone can close the door to new money first."""

import os
import sys
from typing import Annotated

import typer

CHECK_FAILED = 1
USAGE = 2


def erase(
    user: Annotated[str, typer.Argument(help="The customer's id.")],
    *,
    by: Annotated[str, typer.Option(help="Who decides.")],
    second: Annotated[str, typer.Option(help="Who agrees: somebody else.")],
    evidence: Annotated[str, typer.Option(help="What the decision rests on: a request, a ticket.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it; it cannot be undone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Forget a customer for good: key, name, phone, address, devices, Deriv link. Books and chains stay whole.

    Refused while any money of theirs is open. What the law keeps (amounts, ids, masks) stays.
    """
    import orjson  # noqa: PLC0415 - `penpay --help` must answer at once

    from penpay.domain.errors import BadInput  # noqa: PLC0415
    from penpay.domain.ids import is_ulid  # noqa: PLC0415
    from penpay.domain.review import approval_of  # noqa: PLC0415
    from penpay.operator import Node, NodeUnreachable  # noqa: PLC0415

    user_id = user.strip().upper()
    if not is_ulid(user_id):
        sys.stderr.write(f"penpay: {user_id} is no customer's id\n")
        raise typer.Exit(USAGE)
    try:
        approval = approval_of(by=by, second=second, evidence=evidence, action="user.erase")
    except BadInput as error:
        sys.stderr.write(f"penpay: --{error.field} {error.detail}\n")
        raise typer.Exit(USAGE) from None
    if not yes:
        would = f"{user_id} would be forgotten for good: add --yes"
        typer.echo(orjson.dumps({"user": user_id, "erased": False}).decode() if as_json else would)
        return
    body = {"by": approval.by, "second": approval.second, "evidence": approval.evidence}
    try:
        answer = Node.configured(os.environ).call("POST", f"/admin/v1/users/{user_id}/erase", body)
    except NodeUnreachable as error:
        sys.stderr.write(f"penpay: {error}\n")
        raise typer.Exit(CHECK_FAILED) from None
    typer.echo(orjson.dumps(dict(answer)).decode() if as_json else f"{user_id} was forgotten")


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(erase)
