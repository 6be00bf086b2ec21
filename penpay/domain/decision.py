"""What a decision consists of, and the draft that a rule fills in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from penpay.domain.ids import account_reference
from penpay.domain.ledger import Posting
from penpay.domain.money import Money
from penpay.domain.postings import Books
from penpay.domain.review_kinds import BESIDE, HOLDING
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Times of the sagas, in seconds (settings `PENPAY_TIMING__…`). Defaults are the decided ones."""

    resend_s: float = 10.0
    """How long a state that sends waits before it asks its rail again; the rail ignores what it already has."""
    stk_intent_max_s: float = 120.0
    stk_grace_s: float = 180.0
    stk_poll_ladder_s: tuple[float, ...] = (20.0, 30.0, 60.0, 90.0, 120.0, 180.0)
    stk_sparse_s: float = 300.0
    stk_sparse_max_s: float = 3600.0
    stk_unknown_min_s: float = 900.0
    stk_watch_max_s: float = 86400.0
    paid_in_time_s: float = 600.0
    held_retry_s: float = 30.0
    held_max_s: float = 86400.0
    resolve_s: float = 30.0
    unknown_max_s: float = 13800.0
    """An outcome that nobody could tell is put before a person after this, below the four hours of invariant i13."""
    unknowns_max: int = 2
    refund_probe_s: float = 60.0
    refund_max_s: float = 86400.0
    review_due_s: float = 14400.0
    debit_max_s: float = 120.0
    """A debit that was not sent by then is not sent at all: the customer's code has a short life."""
    witness_s: float = 600.0
    """Without the agent's side of a debit after this, the statement is read for it."""
    witness_look_s: float = 10.0
    status_after_s: float = 600.0
    """How long a payout's result may take before its status is asked for."""
    second_evidence_s: float = 600.0
    """A failed result and the status that confirms it lie at least this far apart."""
    same_payout_id_s: float = 86400.0

    def __post_init__(self) -> None:
        assert self.stk_poll_ladder_s == tuple(sorted(self.stk_poll_ladder_s)), "a ladder climbs"
        assert self.stk_grace_s < self.stk_unknown_min_s < self.stk_watch_max_s, "waiting ends before giving up begins"


IN_REVIEW = "IN_REVIEW"
"""The state of every saga that waits for a person."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """The circumstances of a decision: when, ids to use, and what the ledger said of a first try.

    `frozen`: the user may get no new intent. `attempted`: an intent cannot be withdrawn, its rail has made an attempt.
    """

    at: datetime
    fresh_ids: tuple[str, ...]
    frozen: bool = False
    attempted: bool = False


@dataclass(frozen=True, slots=True)
class Effect:
    """Something to do once the decision is durable; safe to repeat. `operation_id` names what it is about."""

    name: str
    operation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a saga knows of one of its provider operations."""

    id: str
    state: OperationState
    unknowns: int = 0
    """How often an attempt of it ended without a proven outcome."""
    attempt: int = 0
    """The newest attempt whose end is known to be unknown."""
    attempts_closed: int = 0
    """The newest attempt that is known to have executed nothing."""


class SagaState(Protocol):
    """What deposits and withdrawals have in common; both are frozen dataclasses."""

    @property
    def id(self) -> str: ...
    @property
    def shard(self) -> int: ...
    @property
    def user_id(self) -> str: ...
    @property
    def state(self) -> StrEnum: ...
    @property
    def version(self) -> int: ...
    @property
    def state_since(self) -> datetime | None: ...
    @property
    def failure_code(self) -> str: ...


S = TypeVar("S", bound=SagaState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Generic[S]):
    """All that one event changes; recorded in one unit of work, then the effects are run."""

    saga: S
    expected_version: int
    steps: tuple[TransactionEvent, ...]
    postings: tuple[Posting, ...]
    new_operations: tuple[NewOperation, ...]
    operations: tuple[OperationChange, ...]
    references: tuple[ProviderReference, ...]
    reviews: tuple[ReviewOpened, ...]
    reviews_closed: tuple[ReviewClosed, ...]
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Act:
    """Nothing changes, so there is nothing to record: do this, whose intent is durable already."""

    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Ignored:
    """The event changes nothing."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The request cannot be granted in this state."""

    code: str


class Draft(Generic[S]):
    """A decision being made. Every method records; none reads a clock or the outside.

    `slots`: the fields that hold operations, in their order. `give_back`: books back what was held for intents that a
    review takes back.
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
    ) -> None:
        self._before = saga
        self._name = type(event).__name__
        self._fresh = list(occasion.fresh_ids)
        self._slots = slots
        self._give_back = give_back
        self.now = _copied(saga)
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
        changes.setdefault("failure_code", self.now.failure_code or kind)
        self.step(
            type(self.now.state)(IN_REVIEW),
            {"review": kind, **(evidence or {})},
            next_wake_at=None,
            completed_at=None,
            **changes,
        )

    def take_back(self) -> None:
        """Withdraw what was only intended: the money held for it is where it came from."""
        if not self.occasion.attempted:
            self._withdraw()
        self._give_back(self)

    def frozen_to_review(self, what: str, evidence: Mapping[str, str] | None = None) -> None:
        """A frozen customer gets nothing without a decision of two people: ask for it."""
        self.to_review("account_frozen", "COMPLIANCE", f"{what} of a frozen customer needs a decision", evidence)

    def _withdraw(self) -> None:
        """Take back intents that no rail has attempted."""
        for slot in self._slots:
            held: Operation | None = getattr(self.now, slot)
            if held is not None and held.state is OperationState.INTENT:
                self.operation(slot, OperationState.WITHDRAWN)

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
        """Close open questions of this kind (`*`: all, `!kind`: all others): they are answered."""
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


def _copied(saga: S) -> S:
    """A saga for this draft alone: it may be written to until the decision is made, and nobody else holds it.

    One copy per decision; with frozen steps in between each of them would copy all fields again.
    """
    copy: S = replace(saga)  # type: ignore[type-var] # a frozen dataclass, which a Protocol cannot say
    return copy
