"""A decision being made: what a rule fills in."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic

from penpay.domain.decision import IN_REVIEW, Act, Decision, Effect, Ignored, Occasion, Operation, S
from penpay.domain.ids import account_reference
from penpay.domain.ledger import Posting
from penpay.domain.money import Money
from penpay.domain.postings import Books
from penpay.domain.records import copied
from penpay.domain.review_kinds import BESIDE, CONTRADICTING, HOLDING
from penpay.domain.rules import Rules
from penpay.domain.unit import (
    OVER,
    NewOperation,
    OperationChange,
    OperationKind,
    OperationState,
    ProviderReference,
    ReviewClosed,
    ReviewOpened,
    TransactionEvent,
)


class Draft(Generic[S]):
    """A decision being made. Every method records; none reads a clock or the outside.

    `slots`: the fields that hold operations, in their order. `give_back`: books back what was held for intents that a
    review takes back. `same_id`: the slot whose operation is sent again while an earlier attempt is unknown, since its
    provider takes the same id once only.
    """

    def __init__(
        self,
        saga: S,
        event: object,
        occasion: Occasion,
        rules: Rules,
        *,
        slots: tuple[str, ...],
        give_back: "Callable[[Draft[S]], None]",
        same_id: str = "",
    ) -> None:
        self._before = saga
        self._name = type(event).__name__
        self._fresh = list(occasion.fresh_ids)
        self._slots = slots
        self._give_back = give_back
        self._same_id = same_id
        # For this draft alone: it may be written to until the decision is made, and nobody else holds it. One copy per
        # decision; with frozen steps in between each of them would copy all fields again.
        self.now = copied(saga)
        self.occasion = occasion
        self.rules = rules
        self.at = occasion.at
        self.books = Books(saga.shard, saga.user_id)
        self.steps: list[TransactionEvent] = []
        self._postings: list[Posting] = []
        self._new: list[NewOperation] = []
        self._changes: list[OperationChange] = []
        self._references: list[ProviderReference] = []
        self._reviews: list[ReviewOpened] = []
        self._closed: list[ReviewClosed] = []
        self._effects: list[Effect] = []

    def later(self, delay_s: float) -> datetime:
        """The time `delay_s` from now."""
        return self.at + timedelta(seconds=delay_s)

    def age_s(self, since: datetime) -> float:
        """Seconds from `since` to now."""
        return (self.at - since).total_seconds()

    def set(self, **changes: Any) -> None:
        """Change fields without a step of its own."""
        for name, value in changes.items():
            object.__setattr__(self.now, name, value)

    def step(self, to: StrEnum, evidence: Mapping[str, str] | None = None, *, name: str = "", **changes: Any) -> None:
        """Record one step to `to` (which may be the same state), with its evidence."""
        kept = {key: value for key, value in (evidence or {}).items() if value}
        self.steps.append(
            TransactionEvent(from_state=self.now.state.value, event=name or self._name, to_state=to.value, data=kept)
        )
        since = self.now.state_since if to is self.now.state else self.at
        self.set(state=to, state_since=since, **changes)

    def post(self, posting: Posting) -> None:
        """Book entries."""
        self._postings.append(posting)

    def open(
        self,
        slot: str,
        kind: OperationKind,
        amount: Money,
        *,
        recipient: str,
        request: Callable[[str], dict[str, str]] = lambda _operation_id: {},
    ) -> None:
        """Record the intent of a provider call in `slot`; what it says besides may depend on its own id."""
        operation_id = self._fresh.pop(0)
        self._new.append(
            NewOperation(
                id=operation_id,
                kind=kind,
                amount=amount,
                recipient=recipient,
                reference=account_reference(operation_id),
                request=request(operation_id),
            )
        )
        self.set(**{slot: Operation(id=operation_id, state=OperationState.INTENT)})

    def operation(
        self,
        slot: str,
        to: OperationState,
        *,
        code: str = "",
        provider_ref: str = "",
        attempts_closed: int | None = None,
        unknown_attempt: int = 0,
    ) -> None:
        """Record a new state of the operation in `slot`."""
        held: Operation | None = getattr(self.now, slot)
        assert held is not None, f"no {slot} operation to change"
        self._changes.append(
            OperationChange(id=held.id, to=to, provider_ref=provider_ref, code=code, attempts_closed=attempts_closed)
        )
        closed = held.attempts_closed if attempts_closed is None else attempts_closed
        self.set(
            **{
                slot: replace(
                    held,
                    state=to,
                    unknowns=held.unknowns + bool(unknown_attempt),
                    attempt=unknown_attempt or held.attempt,
                    attempts_closed=closed,
                )
            }
        )

    def intend_again(self, slot: str, *, code: str = "", attempts_closed: int | None = None) -> bool:
        """Record that the operation in `slot` is to be sent, still or again; False: a frozen customer gets no intent.

        What waits for its turn is recorded at each wake, too: only so does the ledger tell of a freeze.
        """
        if self.occasion.frozen:
            return False
        self.operation(slot, OperationState.INTENT, code=code, attempts_closed=attempts_closed)
        return True

    def reference(self, kind: str, ref: str, operation: Operation | None) -> None:
        """Use up a provider's own id for this operation."""
        assert operation is not None
        self._references.append(ProviderReference(kind=kind, ref=ref, operation_id=operation.id))

    def review(self, kind: str, owner_role: str, reason: str, evidence: Mapping[str, str] | None = None) -> None:
        """Put a question in front of a person, without changing the state."""
        assert kind in BESIDE, f"a saga that goes on asks no {kind}"
        self._ask(kind, owner_role, reason, evidence)

    def _ask(self, kind: str, owner_role: str, reason: str, evidence: Mapping[str, str] | None) -> None:
        operation = self._newest()
        self._reviews.append(
            ReviewOpened(
                id=self._fresh.pop(0),
                transaction_id=self.now.id,
                operation_id=operation.id if operation else "",
                kind=kind,
                reason=reason,
                owner_role=owner_role,
                due_at=self.later(self.rules.review_due_s),
                evidence=dict(evidence or {}),
            )
        )

    def to_review(
        self, kind: str, owner_role: str, reason: str, evidence: Mapping[str, str] | None = None, **changes: Any
    ) -> None:
        """Hand the deposit to a person. What was only intended is withdrawn: nothing may happen behind their back."""
        assert kind in HOLDING, f"no saga waits for {kind}"
        self._ask(kind, owner_role, reason, evidence)
        self.take_back()
        changes.setdefault("failure_code", kind if kind in CONTRADICTING else self.now.failure_code or kind)
        self.step(
            type(self.now.state)(IN_REVIEW),
            {"review": kind, **(evidence or {})},
            next_wake_at=None,
            completed_at=None,
            **changes,
        )

    def contradicted(self) -> bool:
        """Whether people are asked about a movement that should not have been, and have not answered."""
        return self.now.failure_code in CONTRADICTING

    def take_back(self) -> None:
        """Withdraw what was only intended: the money held for it is where it came from."""
        if not self.occasion.attempted:
            self._withdraw()
        self._give_back(self)

    def frozen_to_review(self, what: str, evidence: Mapping[str, str] | None = None) -> None:
        """A frozen customer gets nothing without a decision of two people: ask for it."""
        self.to_review("account_frozen", "COMPLIANCE", f"{what} of a frozen customer needs a decision", evidence)

    def _withdraw(self) -> None:
        """Take back intents that no rail has attempted. One of another attempt leaves the earlier one unknown."""
        for slot in self._slots:
            held: Operation | None = getattr(self.now, slot)
            if held is not None and held.state is OperationState.INTENT:
                doubted = slot == self._same_id and held.unknowns
                self.operation(slot, OperationState.UNKNOWN if doubted else OperationState.WITHDRAWN)

    def unfinished(self) -> str:
        """The slot of the newest operation whose end nobody has proven; empty when there is none."""
        held: dict[str, Operation | None] = {slot: getattr(self.now, slot) for slot in self._slots}
        open_ = [slot for slot, operation in held.items() if operation is not None and operation.state not in OVER]
        return open_[-1] if open_ else ""

    def _newest(self) -> Operation | None:
        """The operation that a question is about: the last that was opened."""
        found: list[Operation | None] = [getattr(self.now, slot) for slot in self._slots]
        return next((held for held in reversed(found) if held is not None), None)

    def close_review(self, kind: str, resolution: str) -> None:
        """Close open questions of this kind (`*`: all that the end answers, `!kind`: all others of those)."""
        self._closed.append(ReviewClosed(transaction_id=self.now.id, kind=kind, resolution=resolution))

    def effect(self, name: str, operation: Operation | None = None) -> None:
        """Do `name` once this is durable."""
        self._effects.append(Effect(name, operation.id if operation else ""))

    def outcome(self) -> "Decision[S] | Act | Ignored":
        """What the rule came to. Only a step changes anything."""
        if self.steps:
            return self.decision()
        return Act(tuple(self._effects)) if self._effects else Ignored("nothing new")

    def decision(self) -> Decision[S]:
        """The finished decision; the version rises by one per decision, whatever its steps."""
        self.set(version=self._before.version + 1, updated_at=self.at)
        told = any(effect.name == "settled" for effect in self._effects)
        if self._before.completed_at is not None and self.now.completed_at is None and not told:
            # It was over, and is open again: whoever admits the next one hears of it.
            self._effects.insert(0, Effect("settled"))
        return Decision(
            saga=self.now,
            expected_version=self._before.version,
            steps=tuple(self.steps),
            postings=tuple(self._postings),
            new_operations=tuple(self._new),
            operations=tuple(self._changes),
            references=tuple(self._references),
            reviews=tuple(self._reviews),
            reviews_closed=tuple(self._closed),
            effects=tuple(self._effects),
        )
