"""What makes a saga a deposit or a withdrawal: its rules, its row, its evidence, and what its effects say to whom."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from penpay.domain.decision import Act, Decision, Effect, Ignored, Occasion, Operation, Rejected
from penpay.domain.rail_end import Outcome, RailEnd
from penpay.domain.rules import Rules
from penpay.domain.unit import TransactionRow
from penpay.messages import InboxRow, ProbeAnswered


@dataclass(frozen=True, slots=True)
class Unusable:
    """This row cannot belong to this saga or cannot be read: a person looks at it, nothing is applied."""

    reason: str


def is_settled(end: RailEnd, *operations: Operation | None) -> bool:
    """Whether the saga has gone on from this attempt: its late end says nothing about the one that is under way.

    A node that stood still may tell it long after its successor proved that the attempt did nothing. Only that it was
    executed after all is always news.
    """
    return end.outcome is not Outcome.CONFIRMED and any(
        held is not None and held.id == end.operation_id and end.attempt <= held.attempts_closed for held in operations
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One type of saga as plain functions; `saga` is its own frozen dataclass, its events are its own.

    `operations` are the fields that hold operations; the first one is what admission intends. `begin` is the effect
    that follows admission.
    """

    type: str
    operations: tuple[str, ...]
    begin: str
    decide: Callable[[Any, Any, Occasion, Rules], Decision[Any] | Act | Ignored | Rejected]
    to_row: Callable[[Any, TransactionRow], TransactionRow]
    status: Mapping[Any, str]
    event_of: Callable[[Any, InboxRow], Any | Unusable | None]
    event_of_probe: Callable[[Any, ProbeAnswered], Any | None]
    message: Callable[[Any, Effect], tuple[str, object]]

    def known(self, saga: Any) -> frozenset[str]:
        """Ids of the operations that the saga is about now."""
        held: list[Operation | None] = [getattr(saga, name) for name in self.operations]
        return frozenset(operation.id for operation in held if operation is not None)

    def first(self, saga: Any) -> str:
        """Id of the operation that admission intended."""
        operation: Operation | None = getattr(saga, self.operations[0])
        return operation.id if operation is not None else ""
