"""`penpay review`: the questions that wait for a person, and what an answer would book and send before it is given.

The preview runs the saga's own rules on the stored row. The decision itself is the running node's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from config.sections import Settings
from penpay.adapters.database import Database
from penpay.adapters.review_store import MySqlReviews, OpenItem
from penpay.adapters.saga_store import MySqlSagaStore
from penpay.adapters.system import RandomUlids, SystemClock
from penpay.app.outside import opened_sealer
from penpay.app.rules import rules_of
from penpay.domain import deposit_row as deposits
from penpay.domain import deposit_rules, withdrawal_rules
from penpay.domain import withdrawal_row as withdrawals
from penpay.domain.decision import Act, Decision, Ignored, Occasion, Rejected, Rules
from penpay.domain.fx import Direction
from penpay.domain.ledger import Entry
from penpay.domain.presentation import time_text
from penpay.domain.review import PROOFS, Action, Approval, ReviewItem, staff_event, unproven
from penpay.domain.strays import settled, stray_of
from penpay.domain.unit import NewOperation, UnitOfWork
from penpay.http.names import KIND as NAME_MISMATCH
from penpay.ports import SagaRows

ITEMS_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a decision would do. With `refusal` it would do nothing, for that reason."""

    item: ReviewItem
    action: str
    approval: str
    refusal: str = ""
    stages: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    operations: tuple[NewOperation, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "item": self.item.id,
            "transaction": self.item.transaction_id or None,
            "action": self.action,
            "approval": self.approval,
            "refusal": self.refusal or None,
            "stages": list(self.stages),
            "postings": [
                {
                    "account": entry.account.code.value,
                    "currency": entry.account.currency.value,
                    "amount_minor": entry.amount_minor,
                }
                for entry in self.entries
            ],
            "operations": [
                {"kind": one.kind.value, "amount": one.amount.wire(), "recipient": one.recipient}
                for one in self.operations
            ],
        }


async def open_items(settings: Settings) -> Sequence[OpenItem]:
    """The questions that wait. Raises `Unavailable`."""
    database = Database(settings.database.url.get_secret_value(), prefix=settings.database.prefix)
    try:
        return await MySqlReviews(database).open_items(limit=ITEMS_MAX)
    finally:
        database.close()


async def preview_of(settings: Settings, item_id: str, action: str, approval: Approval) -> Preview | None:
    """What the decision would do now; None when there is no such item. Raises `Unavailable`."""
    database = Database(settings.database.url.get_secret_value(), prefix=settings.database.prefix)
    try:
        item = await MySqlReviews(database).item(item_id)
        if item is None:
            return None
        rows = await MySqlSagaStore(database, await opened_sealer(settings, database)).load(item.transaction_id)
        return preview(item, rows, action, approval, rules=rules_of(settings), at=SystemClock().now())
    finally:
        database.close()


def preview(
    item: ReviewItem, rows: SagaRows | None, action: str, approval: Approval, *, rules: Rules, at: datetime
) -> Preview:
    """Ask the rules what they would decide. Nothing is changed by asking."""
    text = approval.text()
    refusal = _refusal(item, rows, action)
    if refusal:
        return Preview(item=item, action=action, approval=text, refusal=refusal)
    if rows is None:
        return Preview(
            item=item, action=action, approval=text, stages=("closed",), entries=_settling(item, action, approval, at)
        )
    decided = _decided(rows, action, approval, rules, at)
    if not isinstance(decided, Decision):
        return Preview(item=item, action=action, approval=text, refusal=_no_exit(rows, action))
    return Preview(
        item=item,
        action=action,
        approval=text,
        stages=(rows.row.state, *(step.to_state for step in decided.steps)),
        entries=tuple(entry for posting in decided.postings for entry in posting.entries),
        operations=decided.new_operations,
    )


def _settling(item: ReviewItem, action: str, approval: Approval, at: datetime) -> tuple[Entry, ...]:
    stray = stray_of(item) if action == Action.SETTLE else None
    if stray is None:
        return ()
    bare = UnitOfWork(unit_id=item.id, shard=item.shard, at=at)
    unit = settled(bare, stray, reference=approval.evidence, actor="preview")
    return tuple(entry for posting in unit.postings for entry in posting.entries)


def _refusal(item: ReviewItem, rows: SagaRows | None, action: str) -> str:
    if item.closed_at is not None:
        return f"the item was closed at {time_text(item.closed_at)}: {item.resolution}"
    if rows is None:
        settles = action == Action.SETTLE and stray_of(item) is not None
        approves = action == Action.APPROVE and item.kind == NAME_MISMATCH
        possible = action == Action.CLOSE or settles or approves
        return "" if possible else "the item belongs to no transaction: only close it, or settle money that arrived"
    open_ended = unproven(rows.operations)
    if open_ended and action not in PROOFS:
        return f"operations without a proven end: {', '.join(open_ended)}"
    return ""


def _decided(
    rows: SagaRows, action: str, approval: Approval, rules: Rules, at: datetime
) -> Decision[Any] | Act | Ignored | Rejected:
    event: Any = staff_event(rows.row.type, action, approval)
    if event is None:
        return Ignored("no such exit")
    ids = RandomUlids()
    occasion = Occasion(at, (ids.ulid(), ids.ulid(), ids.ulid()))
    if rows.row.type == Direction.DEPOSIT:
        return deposit_rules.decide(deposits.from_row(rows.row), event, occasion, rules)
    return withdrawal_rules.decide(withdrawals.from_row(rows.row), event, occasion, rules)


def _no_exit(rows: SagaRows, action: str) -> str:
    row = rows.row
    saga = deposits.from_row(row) if row.type == Direction.DEPOSIT else withdrawals.from_row(row)
    place = f"its money stands at {saga.money_at}" if saga.money_at else "it holds no money"
    return f"a {row.type.lower()} in {row.state} has no exit by {action} now: {place}"


def show_items(console: Console, items: Sequence[OpenItem], now: datetime) -> None:
    """The list for a person; what is overdue is red."""
    table = Table("item", "age", "due", "owner", "about", "question", title=f"{len(items)} open review items")
    for one in items:
        item, about = one.item, "-"
        if one.send is not None:
            about = f"{one.type} {item.transaction_id}\n{one.state} {one.send.text()} {one.send.currency}"
        due = time_text(item.due_at)
        table.add_row(
            item.id,
            _age(now - item.opened_at),
            f"[red]{due}[/]" if item.due_at < now else due,
            item.owner_role,
            about,
            f"{item.kind}: {item.reason}",
        )
    console.print(table)


def items_as_json(items: Sequence[OpenItem], now: datetime) -> list[dict[str, Any]]:
    """The list for machines."""
    return [
        {
            "id": one.item.id,
            "kind": one.item.kind,
            "reason": one.item.reason,
            "owner_role": one.item.owner_role,
            "opened_at": time_text(one.item.opened_at),
            "due_at": time_text(one.item.due_at),
            "age_s": int((now - one.item.opened_at).total_seconds()),
            "overdue": one.item.due_at < now,
            "transaction": one.item.transaction_id or None,
            "type": one.type or None,
            "stage": one.state or None,
            "send": one.send.wire() if one.send is not None else None,
            "evidence": dict(one.item.evidence),
        }
        for one in items
    ]


def show_preview(console: Console, seen: Preview) -> None:
    """What would happen, for a person."""
    item = seen.item
    console.print(f"[bold]{item.kind}[/] {item.reason} ({item.owner_role}, item {item.id})", highlight=False)
    if seen.refusal:
        console.print(f"[red]{seen.action} is refused[/]: {seen.refusal}", highlight=False)
        return
    console.print(f"{seen.action} by {seen.approval}", highlight=False)
    console.print(f"  stages   {' → '.join(seen.stages)}", highlight=False)
    for entry in seen.entries:
        account = entry.account
        console.print(f"  post     {account.code}:{account.currency} {entry.amount_minor / 100:+,.2f}", highlight=False)
    for one in seen.operations:
        money = f"{one.amount.text()} {one.amount.currency}"
        console.print(f"  send     {one.kind} of {money} to {one.recipient}", highlight=False)
    if not seen.entries and not seen.operations:
        console.print("  nothing is posted and nothing is sent", highlight=False)


def _age(passed: Any) -> str:
    minutes = int(passed.total_seconds()) // 60
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
