"""One transaction's whole story as staff are told it: `penpay explain` and the console show the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from penpay.domain.accounts import TimelineStep
from penpay.domain.presentation import evidence_of, render_transaction, time_text
from penpay.domain.readable import UNREADABLE, shown
from penpay.domain.review import Attempted, ReviewItem
from penpay.domain.review_view import Subject, actions_of, same_money_of
from penpay.domain.timeline import Deadlines, outlook, without_repeats
from penpay.domain.unit import TransactionRow

_REPAIR = f"{UNREADABLE.capitalize()}: repair it, then start its saga. What was booked stands in the postings."


@dataclass(frozen=True, slots=True)
class Leg:
    """One entry of a posting; `amount_minor` debit positive."""

    posting: str
    account: str
    currency: str
    amount_minor: int
    at: datetime


@dataclass(frozen=True, slots=True)
class KnownReference:
    """An id that a provider gave, and whose it is; without a transaction it is money of nobody."""

    kind: str
    ref: str
    transaction_id: str
    recorded_at: datetime

    def rendered(self) -> dict[str, Any]:
        """For machines."""
        return {
            "kind": self.kind,
            "ref": self.ref,
            "transaction": self.transaction_id or None,
            "recorded_at": time_text(self.recorded_at),
        }


class Effect(Attempted, Protocol):
    """What is told of a provider operation, as stored."""

    @property
    def kind(self) -> str: ...
    @property
    def provider_ref(self) -> str: ...
    @property
    def code(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything that the database knows of one transaction. `unconsumed`: stored evidence that no saga has read."""

    row: TransactionRow
    operations: Sequence[Effect]
    steps: Sequence[TimelineStep]
    legs: Sequence[Leg]
    questions: Sequence[ReviewItem]
    unconsumed: int

    def outlook(self, deadlines: Deadlines) -> str:
        """Where it stands in one sentence; of a row that nobody can read, just that."""
        return outlook(self.row, deadlines) if shown(self.row) is self.row else _REPAIR

    def subjects(self) -> list[Subject]:
        """Its questions with what a decision about each would rest on."""
        return [Subject(item=one, row=self.row, operations=self.operations) for one in self.questions]

    def rendered(self, deadlines: Deadlines) -> dict[str, Any]:
        """For machines: the API's objects, and what only staff may see."""
        row = shown(self.row)
        return {
            "transaction": render_transaction(row, evidence_of(row)),
            "outlook": self.outlook(deadlines),
            "timeline": [_step(step) for step in without_repeats(self.steps)],
            "operations": [_operation(one) for one in self.operations],
            "postings": [_leg(leg) for leg in self.legs],
            "reviews": [_question(one) for one in self.subjects()],
            "unconsumed_evidence": self.unconsumed,
        }


def _step(step: TimelineStep) -> Mapping[str, Any]:
    return {
        "at": time_text(step.at),
        "event": step.event,
        "from": step.from_state,
        "stage": step.to_state,
        "evidence": dict(step.data),
    }


def _operation(one: Effect) -> Mapping[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind,
        "state": one.state,
        "attempts": one.attempts,
        "attempts_closed": one.attempts_closed,
        "provider_ref": one.provider_ref or None,
        "code": one.code or None,
    }


def _leg(leg: Leg) -> Mapping[str, Any]:
    return {
        "posting": leg.posting,
        "account": leg.account,
        "currency": leg.currency,
        "amount_minor": leg.amount_minor,
    }


def _question(subject: Subject) -> Mapping[str, Any]:
    one = subject.item
    return {
        "id": one.id,
        "kind": one.kind,
        "reason": one.reason,
        "owner_role": one.owner_role,
        "actions": list(actions_of(subject)),
        "due_at": time_text(one.due_at),
        "closed_at": time_text(one.closed_at) if one.closed_at else None,
        "resolution": one.resolution or None,
        "same_money": same_money_of(one),
    }
