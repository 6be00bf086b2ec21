"""Commands for what waits for a person: list the questions, decide about one."""

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from config.sections import Settings
    from penpay.domain.review import Approval

ACTIONS = (
    "credit, pay: send it on. refund, return: send it back. executed, absent: how an unknown operation ended. settle: "
    "all was given back by hand; surplus: what was set aside of it was. own: the house's own top-up or withdrawal; "
    "lost: dollars that are gone. correct: the books follow what the provider lists; if both agree by now, this only "
    "closes the question. approve: another name on Deriv. close: nothing is left to be done."
)
EVIDENCE = (
    "What it rests on; for `executed`, `settle` and `surplus` the provider's id. It carries one decision; one that is "
    "refused leaves it free."
)
CHECK_FAILED = 1
USAGE = 2
Json = Annotated[bool, typer.Option("--json", help="For machines.")]


def listed(*, as_json: Json = False) -> None:
    """Show the open review items, the most urgent first."""
    import orjson  # noqa: PLC0415 - `penpay --help` must answer at once
    from rich.console import Console  # noqa: PLC0415

    from config.settings import load_settings  # noqa: PLC0415
    from penpay.adapters.system import SystemClock  # noqa: PLC0415
    from penpay.review import ITEMS_MAX, open_items, show_items  # noqa: PLC0415

    found, now = asyncio.run(open_items(load_settings(os.environ))), SystemClock().now()
    items = found[:ITEMS_MAX]
    if len(found) > len(items):
        sys.stderr.write(f"penpay: there are more; these are the {ITEMS_MAX:,} most urgent\n")
    if as_json:
        typer.echo(orjson.dumps([one.rendered(now) for one in items]).decode())
    else:
        show_items(Console(), items, now)


def resolve(
    item: Annotated[str, typer.Argument(help="The item's id, as `penpay review list` shows it.")],
    *,
    action: Annotated[str, typer.Option(help=ACTIONS)],
    by: Annotated[str, typer.Option(help="Who decides.")],
    second: Annotated[str, typer.Option(help="Who agrees: somebody else.")],
    evidence: Annotated[str, typer.Option(help=EVIDENCE)],
    version: Annotated[
        int | None, typer.Option(min=0, help="Of the transaction, as it was shown: refused when it has changed since.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this the effect is only shown.")] = False,
    as_json: Json = False,
) -> None:
    """Decide about a review item, with two names and a reference. Shows first what would be booked and sent."""
    import orjson  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    from config.settings import load_settings  # noqa: PLC0415
    from penpay.domain.errors import BadInput  # noqa: PLC0415
    from penpay.domain.ids import is_ulid  # noqa: PLC0415
    from penpay.domain.review import Action, approval_of  # noqa: PLC0415
    from penpay.review import preview_of, show_preview  # noqa: PLC0415

    item_id = item.strip().upper()
    if action not in {one.value for one in Action}:
        sys.stderr.write(f"penpay: --action is one of {', '.join(one.value for one in Action)}\n")
        raise typer.Exit(USAGE)
    try:
        approval = approval_of(by=by, second=second, evidence=evidence, action=action)
    except BadInput as error:
        sys.stderr.write(f"penpay: --{error.field} {error.detail}\n")
        raise typer.Exit(USAGE) from None
    settings = load_settings(os.environ)
    seen = asyncio.run(preview_of(settings, item_id, action, approval)) if is_ulid(item_id) else None
    if seen is None:
        sys.stderr.write(f"penpay: no review item {item_id}\n")
        raise typer.Exit(CHECK_FAILED)
    if not as_json:
        show_preview(Console(), seen)
    note = None
    if done := yes and not seen.refusal:
        note = _decide(settings, item_id, action, approval, version=seen.version if version is None else version)
    if as_json:
        typer.echo(orjson.dumps({**seen.rendered(), "done": done, "note": note}).decode())
    elif done:
        typer.echo(f"done. {note}" if note else "done")
    elif not seen.refusal:
        only_this = "" if seen.version is None else f" --version {seen.version}"
        typer.echo(f"nothing was done yet: add --yes{only_this}")
    raise typer.Exit(CHECK_FAILED if seen.refusal else 0)


def _decide(
    settings: "Settings", item_id: str, action: str, approval: "Approval", *, version: int | None
) -> str | None:
    """What the node tells besides that it is done."""
    from penpay.operator import Node, NodeUnreachable  # noqa: PLC0415

    body = {"action": action, "by": approval.by, "second": approval.second, "evidence": approval.evidence}
    known = {} if version is None else {"version": version}
    try:
        path = f"/admin/v1/reviews/{item_id}/resolve"
        note: str | None = Node.of(settings.http, settings.security).call("POST", path, {**body, **known}).get("note")
    except NodeUnreachable as error:
        sys.stderr.write(f"penpay: {error}\n")
        raise typer.Exit(CHECK_FAILED) from None
    return note


def _review() -> None:
    """What waits for a person."""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    review = typer.Typer(help="What waits for a person.", no_args_is_help=True)
    review.callback()(_review)
    review.command("list")(listed)
    review.command()(resolve)
    app.add_typer(review, name="review")
