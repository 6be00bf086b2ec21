"""What staff see of a question before they decide: the item, and what each answer would book and send.

The preview runs the saga's own rules on the stored row and changes nothing. Shown by `penpay review` and the console.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from penpay.domain import deposit_rules, withdrawal_rules
from penpay.domain.decision import Act, Decision, Ignored, Occasion, Rejected
from penpay.domain.fx import Direction
from penpay.domain.identity import mask_phones_in
from penpay.domain.ledger import AccountCode, Entry, Posting
from penpay.domain.presentation import time_text
from penpay.domain.readable import UNREADABLE, Unreadable, saga_of
from penpay.domain.review import Action, Approval, Attempted, ReviewItem, staff_event, undecidable
from penpay.domain.review_alone import answered, exit_problem
from penpay.domain.rules import Rules
from penpay.domain.strays import CREDIT, SHARD, Filed, Stray, claimed, stray_of
from penpay.domain.unit import NewOperation, TransactionRow, UnitOfWork

NOBODY = Approval("", "", "preview")
"""Stands in while an exit is only looked at."""
BREAKS = "the rules break over its row, and so would its saga"
"""Told of that one: whoever looks at all questions is to see the others."""
_BUGS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
_NO_IDS = ("", "", "")
_RULES = Rules()
"""Times say when something happens next, and never whether people may decide."""


def same_money_of(item: ReviewItem) -> list[dict[str, Any]]:
    """For machines: which open questions may be about the same money."""
    return [{"item": one.id, "kind": one.kind, "transaction": one.transaction_id or None} for one in item.same_money]


def same_money_words(item: ReviewItem) -> str:
    """The same for a person, with what to do about it; empty where there is no such question."""
    if not item.same_money:
        return ""
    named = " and ".join(f"{one.kind} {one.id} {one.transaction_id}".strip() for one in item.same_money)
    if any(one.kind == CREDIT for one in (item, *item.same_money)):
        return (
            f"may be the same money as {named}. Then nothing is to be paid back: decide executed about the withdrawal"
            " with the id of the credit, which takes it out of suspense"
        )
    return (
        f"may be the same money as {named}. Then nothing is to be paid back: settle the listed payment with its own"
        " receipt, and close the other question"
    )


def known_of(item: ReviewItem) -> dict[str, str]:
    """The evidence of a question. What a payer wrote may be a phone number: it is masked."""
    return {name: mask_phones_in(str(value)) for name, value in item.evidence.items()}


def known_words(item: ReviewItem) -> str:
    """The same for a person."""
    return ", ".join(f"{name} {value}" for name, value in known_of(item).items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a decision rests on: the question, and the transaction with its operations if it is about one."""

    item: ReviewItem
    row: TransactionRow | None = None
    operations: Sequence[Attempted] = ()
    named: Filed | None = None
    """The dollars of nobody that a decision names as evidence, if there are such."""

    def rendered(self, now: datetime) -> dict[str, Any]:
        """The question for machines."""
        item, row = self.item, self.row
        return {
            "id": item.id,
            "kind": item.kind,
            "reason": item.reason,
            "owner_role": item.owner_role,
            "actions": list(actions_of(self)),
            "opened_at": time_text(item.opened_at),
            "due_at": time_text(item.due_at),
            "age_s": int((now - item.opened_at).total_seconds()),
            "overdue": item.closed_at is None and item.due_at < now,
            "transaction": item.transaction_id or None,
            "type": row.type if row else None,
            "stage": row.state if row else None,
            "send": row.send.wire() if row else None,
            "same_money": same_money_of(item),
            "evidence": known_of(item),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a decision would do. With `refusal` it would do nothing, for that reason.

    `version`: of the transaction that was looked at, None where none waits. A decision that names it is for this one.
    """

    item: ReviewItem
    action: str
    approval: str
    refusal: str = ""
    stages: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    operations: tuple[NewOperation, ...] = ()
    version: int | None = None

    def rendered(self) -> dict[str, Any]:
        """For machines."""
        return {
            "item": self.item.id,
            "transaction": self.item.transaction_id or None,
            "action": self.action,
            "approval": self.approval or None,
            "refusal": self.refusal or None,
            "version": self.version,
            "same_money": same_money_of(self.item),
            "stages": list(self.stages),
            "postings": [_entry(entry) for entry in self.entries],
            "operations": [
                {"kind": one.kind.value, "amount": one.amount.wire(), "recipient": one.recipient}
                for one in self.operations
            ],
        }


def _entry(entry: Entry) -> Mapping[str, Any]:
    account = entry.account
    return {"account": account.code.value, "currency": account.currency.value, "amount_minor": entry.amount_minor}


def actions_of(subject: Subject) -> tuple[Action, ...]:
    """What may be decided about it as it stands now: what a preview does not refuse."""
    item, row = subject.item, subject.row
    occasion = Occasion(row.updated_at if row is not None else item.opened_at, _NO_IDS)
    # Only those that its type has at all: a page of a hundred questions is looked at on the loop.
    asked = [one for one in Action if row is None or not item.holds or staff_event(row.type, one, NOBODY) is not None]
    seen = (preview(subject, action, NOBODY, rules=_RULES, occasion=occasion) for action in asked)
    return tuple(Action(one.action) for one in seen if not one.refusal)


def previews(subject: Subject, *, rules: Rules, occasion: Occasion) -> tuple[Preview, ...]:
    """Every exit, without anybody's name: what it would do, or why there is none."""
    return tuple(preview(subject, action, NOBODY, rules=rules, occasion=occasion) for action in Action)


def preview(subject: Subject, action: str, approval: Approval, *, rules: Rules, occasion: Occasion) -> Preview:
    """Ask the rules what they would decide. Nothing is changed by asking."""
    item, row = subject.item, subject.row
    text = approval.text() if approval is not NOBODY else ""
    refusal = _refusal(subject, action, approval)
    if refusal:
        return Preview(item=item, action=action, approval=text, refusal=refusal)
    if row is None or not item.holds:
        entries = _entries(answered(item, action, approval, new_id=occasion.fresh_ids[0], at=occasion.at).postings)
        return Preview(item=item, action=action, approval=text, stages=("closed",), entries=entries)
    try:
        saga: Any = saga_of(row)
    except Unreadable:
        return Preview(item=item, action=action, approval=text, refusal=UNREADABLE)
    named = subject.named if _awaits_credit(saga, action) else None
    if named is not None and (problem := named.problem(saga.debit.id)):
        return Preview(item=item, action=action, approval=text, refusal=problem)
    credit = stray_of(named.item) if named is not None else None
    try:
        decided = _decided(saga, row, action, approval, rules, occasion, credit)
    except _BUGS:
        return Preview(item=item, action=action, approval=text, refusal=BREAKS)
    if not isinstance(decided, Decision):
        return Preview(item=item, action=action, approval=text, refusal=_no_exit(saga, row, action))
    return Preview(
        item=item,
        action=action,
        approval=text,
        stages=(row.state, *(step.to_state for step in decided.steps)),
        entries=(*_claiming(named, item, occasion.at), *_entries(decided.postings)),
        operations=decided.new_operations,
        version=row.version,
    )


def _entries(postings: Iterable[Posting]) -> tuple[Entry, ...]:
    return tuple(entry for posting in postings for entry in posting.entries)


def _awaits_credit(saga: Any, action: str) -> bool:
    """Whether the id that people name is that of dollars which came for a debit."""
    return action == Action.EXECUTED and saga.money_at == AccountCode.DERIV_IN


def _claiming(named: Filed | None, item: ReviewItem, at: datetime) -> tuple[Entry, ...]:
    """What takes the dollars out of suspense, if nobody did that yet."""
    credit = stray_of(named.item) if named is not None and not named.claimed_by else None
    if credit is None:
        return ()
    bare = UnitOfWork(unit_id=item.id, shard=SHARD, at=at)
    return _entries(claimed(bare, credit, operation_id=item.operation_id, actor="preview").postings)


def _refusal(subject: Subject, action: str, approval: Approval) -> str:
    item = subject.item
    if item.closed_at is not None:
        return f"the item was closed at {time_text(item.closed_at)}: {item.resolution}"
    if subject.row is None or not item.holds:
        return exit_problem(item, action, approval.evidence)
    return undecidable(action, subject.operations)


def _decided(
    saga: Any,
    row: TransactionRow,
    action: str,
    approval: Approval,
    rules: Rules,
    occasion: Occasion,
    credit: Stray | None,
) -> Decision[Any] | Act | Ignored | Rejected:
    event: Any = staff_event(row.type, action, approval)
    if event is None:
        return Ignored("no such exit")
    if credit is not None:
        event = replace(event, arrived=credit.amount)
    if row.type == Direction.DEPOSIT:
        return deposit_rules.decide(saga, event, occasion, rules)
    return withdrawal_rules.decide(saga, event, occasion, rules)


def _no_exit(saga: Any, row: TransactionRow, action: str) -> str:
    place = f"its money stands at {saga.money_at}" if saga.money_at else "it holds no money"
    return f"a {row.type.lower()} in {row.state} has no exit by {action} now: {place}"
