"""`penpay explain`: the whole story of one transaction, from its rows, in words for whoever is asked about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from config.sections import Settings
from penpay.adapters.database import Database
from penpay.adapters.http_reads import MySqlReads
from penpay.adapters.overview import Leg, MySqlOverview, Question
from penpay.adapters.saga_store import MySqlSagaStore
from penpay.app.outside import opened_sealer
from penpay.app.rules import edge_settings_of
from penpay.domain.accounts import TimelineStep
from penpay.domain.presentation import evidence_of, render_transaction, time_text
from penpay.domain.timeline import outlook
from penpay.ports import SagaRows


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that the database knows of one transaction."""

    rows: SagaRows
    steps: Sequence[TimelineStep]
    legs: Sequence[Leg]
    questions: Sequence[Question]
    sentence: str

    def as_json(self) -> dict[str, object]:
        """For machines: the API's objects, and what only staff may see."""
        row = self.rows.row
        return {
            "transaction": render_transaction(row, evidence_of(row)),
            "outlook": self.sentence,
            "timeline": [
                {
                    "at": time_text(step.at),
                    "event": step.event,
                    "from": step.from_state,
                    "stage": step.to_state,
                    "evidence": dict(step.data),
                }
                for step in self.steps
            ],
            "operations": [
                {
                    "id": operation.id,
                    "kind": operation.kind,
                    "state": operation.state,
                    "attempts": operation.attempts,
                    "attempts_closed": operation.attempts_closed,
                    "provider_ref": operation.provider_ref or None,
                    "code": operation.code or None,
                }
                for operation in self.rows.operations
            ],
            "postings": [
                {
                    "posting": leg.posting,
                    "account": leg.account,
                    "currency": leg.currency,
                    "amount_minor": leg.amount_minor,
                }
                for leg in self.legs
            ],
            "reviews": [
                {
                    "kind": question.kind,
                    "reason": question.reason,
                    "owner_role": question.owner_role,
                    "due_at": time_text(question.due_at),
                    "closed_at": time_text(question.closed_at) if question.closed_at else None,
                }
                for question in self.questions
            ],
            "unconsumed_evidence": len(self.rows.inbox),
        }


async def story_of(settings: Settings, transaction_id: str) -> Story | None:
    """Read it; None when there is no such transaction. Raises `Unavailable`."""
    database = Database(settings.database.url.get_secret_value(), prefix=settings.database.prefix)
    try:
        rows = await MySqlSagaStore(database, await opened_sealer(settings, database)).load(transaction_id)
        if rows is None:
            return None
        overview = MySqlOverview(database)
        return Story(
            rows=rows,
            steps=await MySqlReads(database).steps(transaction_id),
            legs=await overview.postings(transaction_id),
            questions=await overview.questions(transaction_id),
            sentence=outlook(rows.row, edge_settings_of(settings).deadlines),
        )
    finally:
        database.close()


def show(console: Console, story: Story) -> None:
    """The story for a person."""
    row = story.rows.row
    money = f"{row.send.text()} {row.send.currency} → {row.receive.text()} {row.receive.currency}"
    console.print(f"[bold]{row.type} {row.id}[/] is {row.state}: {money}")
    who = f"customer {row.user_id}, phone {row.phone_mask}, Deriv {row.deriv_loginid}"
    console.print(f"{who}, shard {row.shard}, version {row.version}")
    console.print(f"\n{story.sentence}\n", highlight=False)
    console.print(_steps(story.steps))
    console.print(_operations(story))
    console.print(_legs(story.legs))
    for question in story.questions:
        state = (
            "closed"
            if question.closed_at
            else f"[red]open[/], {question.owner_role} until {time_text(question.due_at)}"
        )
        console.print(f"review {question.kind}: {question.reason} ({state})")
    if story.rows.inbox:
        console.print(f"[yellow]{len(story.rows.inbox)} pieces of evidence are stored and not consumed yet[/]")


def _steps(steps: Sequence[TimelineStep]) -> Table:
    table = Table("when", "what happened", "stage", "evidence", title="Steps")
    for step in steps:
        evidence = ", ".join(f"{name} {value}" for name, value in step.data.items())
        table.add_row(time_text(step.at), step.event, step.to_state, evidence)
    return table


def _operations(story: Story) -> Table:
    table = Table("operation", "kind", "state", "attempts", "proof or code", title="Provider operations")
    for operation in story.rows.operations:
        attempts = f"{operation.attempts} ({operation.attempts_closed} known to have executed nothing)"
        table.add_row(operation.id, operation.kind, operation.state, attempts, operation.provider_ref or operation.code)
    return table


def _legs(legs: Sequence[Leg]) -> Table:
    table = Table("posting", "account", "amount", "currency", title="Postings (debit positive)")
    for leg in legs:
        table.add_row(leg.posting, leg.account, f"{leg.amount_minor / 100:,.2f}", leg.currency)
    return table
