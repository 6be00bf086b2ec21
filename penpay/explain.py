"""`penpay explain`: the whole story of one transaction, from its rows, in words for whoever is asked about it."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from config.sections import Settings
from penpay.adapters.database import Database
from penpay.adapters.overview import MySqlOverview
from penpay.adapters.story_store import MySqlStories
from penpay.adapters.system import SystemClock
from penpay.app.outside import opened_sealer
from penpay.app.rules import edge_settings_of
from penpay.domain.accounts import TimelineStep
from penpay.domain.overview import LATE_MAX, Late
from penpay.domain.presentation import time_text
from penpay.domain.review_view import Subject, actions_of, same_money_words
from penpay.domain.story import Leg, Story
from penpay.domain.timeline import Deadlines, without_repeats
from penpay.review import NO_EXIT, age_text


async def story_of(settings: Settings, transaction_id: str) -> Story | None:
    """Read it; None when there is no such transaction. Raises `Unavailable`."""
    database = Database(settings.database.url.get_secret_value(), prefix=settings.database.prefix)
    try:
        return await MySqlStories(database, await opened_sealer(settings, database)).story(transaction_id)
    finally:
        database.close()


async def oldest_of(settings: Settings) -> Sequence[Late]:
    """The oldest transactions that wait for something to happen by itself. Raises `Unavailable`."""
    database = Database(settings.database.url.get_secret_value(), prefix=settings.database.prefix)
    try:
        return (await MySqlOverview(database).unfinished(at=SystemClock().now(), late_max=LATE_MAX)).late
    finally:
        database.close()


def show_oldest(console: Console, found: Sequence[Late], now: datetime) -> None:
    """Which transactions an alert may have meant."""
    columns = Column("transaction", no_wrap=True), Column("stage", overflow="fold"), Column("age", no_wrap=True)
    table = Table(*columns, title="The oldest that are open")
    for one in found:
        money = f"{one.send.text()} {one.send.currency}"
        table.add_row(one.id, f"{one.type} {one.stage}\n{money}", age_text(now - one.created_at))
    console.print(table)
    console.print("What waits for people: penpay review list", highlight=False)


def deadlines_of(settings: Settings) -> Deadlines:
    """When waiting stages stop waiting in this installation."""
    return edge_settings_of(settings).deadlines


def show(console: Console, story: Story, deadlines: Deadlines) -> None:
    """The story for a person."""
    row = story.row
    money = f"{row.send.text()} {row.send.currency} → {row.receive.text()} {row.receive.currency}"
    console.print(f"[bold]{row.type} {row.id}[/] is {escape(row.state)}: {money}")
    who = f"customer {row.user_id}, phone {row.phone_mask}, Deriv {row.deriv_loginid}"
    console.print(f"{who}, shard {row.shard}, version {row.version}")
    console.print(f"\n{story.outlook(deadlines)}\n", highlight=False, markup=False)
    console.print(_steps(without_repeats(story.steps)))
    console.print(_operations(story))
    console.print(_legs(story.legs))
    for subject in story.subjects():
        _question(console, subject)
    if story.unconsumed:
        console.print(f"[yellow]{story.unconsumed} pieces of evidence are stored and not consumed yet[/]")


def _question(console: Console, subject: Subject) -> None:
    question = subject.item
    console.print(f"review {question.kind}: {escape(question.reason)}", highlight=False)
    if question.closed_at is not None:
        console.print(f"  closed: {question.resolution}", highlight=False, markup=False)
        return
    console.print(f"  [red]open[/], {question.owner_role} until {time_text(question.due_at)}", highlight=False)
    if question.same_money:
        console.print(f"  [red]{same_money_words(question)}[/]", highlight=False, soft_wrap=True)
    if actions := " or ".join(actions_of(subject)):
        console.print(f"  penpay review resolve {question.id} --action {actions}", highlight=False)
    else:
        console.print(f"  {NO_EXIT}", highlight=False)


def _steps(steps: Sequence[TimelineStep]) -> Table:
    when, evidence = Column("when", no_wrap=True), Column("evidence", overflow="fold")
    happened, stage = Column("what happened", overflow="fold"), Column("stage", overflow="fold")
    table = Table(when, happened, stage, evidence, title="Steps")
    for step in steps:
        told = ", ".join(f"{name} {value}" for name, value in step.data.items())
        table.add_row(time_text(step.at), step.event, step.to_state, escape(told))
    return table


def _operations(story: Story) -> Table:
    operation_id, proof = Column("operation", no_wrap=True), Column("proof or code", overflow="fold")
    kind = Column("kind", overflow="fold")
    table = Table(operation_id, kind, "state", "attempts", proof, title="Provider operations")
    for operation in story.operations:
        closed = operation.attempts_closed
        attempts = f"{operation.attempts} ({closed} closed)" if closed else operation.attempts
        table.add_row(
            operation.id,
            operation.kind,
            operation.state,
            str(attempts),
            escape(operation.provider_ref or operation.code),
        )
    return table


def _legs(legs: Sequence[Leg]) -> Table:
    table = Table("posting", "account", "amount", "currency", title="Postings (debit positive)")
    for leg in legs:
        table.add_row(leg.posting, leg.account, f"{leg.amount_minor / 100:,.2f}", leg.currency)
    return table
