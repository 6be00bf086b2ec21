"""`penpay review`: the questions that wait for a person, and what an answer would book and send before it is given.

The preview is `penpay.domain.review_view`'s, the console shows the same. The decision itself is the running node's.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from config.sections import Settings
from penpay.adapters.database import Database
from penpay.adapters.subject_store import MySqlSubjects
from penpay.adapters.system import RandomUlids, SystemClock
from penpay.app.rules import rules_of
from penpay.domain.decision import Occasion
from penpay.domain.presentation import time_text
from penpay.domain.review import Approval, ReviewItem
from penpay.domain.review_view import Preview, Subject, actions_of, known_words, preview, same_money_words

ITEMS_MAX = 1000
NO_EXIT = "nothing can be decided about it as it stands now"


async def open_items(settings: Settings) -> Sequence[Subject]:
    """The questions that wait, the most urgent first; one more than `ITEMS_MAX` when there are more.

    Raises `Unavailable`.
    """
    database = Database(settings.database.url.get_secret_value(), prefix=settings.database.prefix)
    try:
        return await MySqlSubjects(database).open_items(limit=ITEMS_MAX + 1)
    finally:
        database.close()


async def preview_of(settings: Settings, item_id: str, action: str, approval: Approval) -> Preview | None:
    """What the decision would do now; None when there is no such item. Raises `Unavailable`."""
    database = Database(settings.database.url.get_secret_value(), prefix=settings.database.prefix)
    try:
        subject = await MySqlSubjects(database).subject(item_id, naming=approval.evidence)
        if subject is None:
            return None
        ids = RandomUlids()
        occasion = Occasion(SystemClock().now(), (ids.ulid(), ids.ulid(), ids.ulid()))
        return preview(subject, action, approval, rules=rules_of(settings), occasion=occasion)
    finally:
        database.close()


def show_items(console: Console, items: Sequence[Subject], now: datetime) -> None:
    """The list for a person; what is overdue is red."""
    title = f"{len(items)} open review items"
    # On 80 columns, where what people copy has to stand whole: the two ids below each other, and the times.
    columns = Column("item", no_wrap=True), Column("due", no_wrap=True), Column("question")
    table = Table(*columns, title=title, show_lines=True)
    for one in items:
        item, row = one.item, one.row
        about = f"{row.type} {row.state} {row.send.text()} {row.send.currency}\n" if row is not None else ""
        due = time_text(item.due_at)
        due = f"[red]{due}[/]" if item.due_at < now else due
        # Of a transaction `explain` tells all; what stands for itself has nothing else to be found by.
        known = f"{known_words(item)}\n" if item.evidence and not item.transaction_id else ""
        asked = escape(f"{about}{item.kind}: {item.reason}\n{known}{', '.join(actions_of(one)) or NO_EXIT}")
        table.add_row(
            f"{item.id}\n{item.transaction_id}".strip(),
            f"{due}\n{item.owner_role}, {age_text(now - item.opened_at)} old",
            f"{asked}\n[red]may be the same money as another: see below[/]" if item.same_money else asked,
        )
    console.print(table)
    for one in items:
        if one.item.same_money:
            _same_money(console, one.item)


def show_preview(console: Console, seen: Preview) -> None:
    """What would happen, for a person."""
    item = seen.item
    console.print(f"[bold]{item.kind}[/] {escape(item.reason)} ({item.owner_role}, item {item.id})", highlight=False)
    if item.evidence:
        console.print(f"  known    {known_words(item)}", highlight=False, markup=False, soft_wrap=True)
    if item.same_money:
        _same_money(console, item)
    if seen.refusal:
        console.print(f"[red]{seen.action} is refused[/]: {escape(seen.refusal)}", highlight=False)
        return
    console.print(f"{seen.action} by {seen.approval}", highlight=False, markup=False)
    console.print(f"  stages   {' → '.join(seen.stages)}", highlight=False)
    for entry in seen.entries:
        account = entry.account
        console.print(f"  post     {account.code}:{account.currency} {entry.amount_minor / 100:+,.2f}", highlight=False)
    for one in seen.operations:
        money = f"{one.amount.text()} {one.amount.currency}"
        console.print(f"  send     {one.kind} of {money} to {one.recipient}", highlight=False, markup=False)
    if not seen.entries and not seen.operations:
        console.print("  nothing is posted and nothing is sent", highlight=False)


def _same_money(console: Console, item: ReviewItem) -> None:
    """Ids stand whole, on a terminal of any width."""
    console.print(f"[red]{item.kind} {item.id} {same_money_words(item)}[/]", highlight=False, soft_wrap=True)


def age_text(passed: timedelta) -> str:
    """For a person, to the minute."""
    minutes = int(passed.total_seconds()) // 60
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
