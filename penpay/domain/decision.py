"""What a decision consists of, and the circumstances in which it is made."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from penpay.domain.ledger import Posting
from penpay.domain.unit import (
    NewOperation,
    OperationChange,
    OperationState,
    ProviderReference,
    ReviewClosed,
    ReviewOpened,
    TransactionEvent,
)

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

    def waits_only_for(self, attempt: int) -> bool:
        """Whether this attempt's end is all that is missing: those before did nothing, and none is unknown."""
        return self.state is OperationState.INTENT and attempt == self.attempts_closed + 1


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
    @property
    def completed_at(self) -> datetime | None: ...


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
