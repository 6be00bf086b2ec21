"""What staff decide about a transaction in review: never alone, never without evidence. Source: decisions.md part 6."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from penpay.domain import deposit_events, withdrawal_events
from penpay.domain.errors import BadInput
from penpay.domain.fx import Direction
from penpay.domain.identity import NO_PHONE, holds_phone
from penpay.domain.review_kinds import HOLDING
from penpay.domain.saga_events import Event, StaffClosed, StaffProved, StaffSettled
from penpay.domain.unit import AuditRecord, OperationState, ReviewClosed, UnitOfWork

STAFF_NAME_MAX = 60
_NO_LETTER = "0-9_.@' -"
STAFF_NAME_PATTERN = rf"^([0-9_.@'-][{_NO_LETTER}]*)?[A-Za-z][{_NO_LETTER}]*[A-Za-z][A-Za-z{_NO_LETTER}]*$"
"""A person's name or staff address: two letters at least, of one alphabet, since those of two look alike."""
_NAME = re.compile(STAFF_NAME_PATTERN)
_EVIDENCE = re.compile(r"[^\x00-\x1f\x7f]{3,120}")
_PROVIDER_ID = re.compile(r"[A-Za-z0-9_-]{3,64}", re.ASCII)


class Action(StrEnum):
    """The exits of a review. CREDIT and REFUND belong to deposits, PAY and RETURN to withdrawals.

    EXECUTED and ABSENT say how an operation ended whose outcome nobody could prove; SETTLE, that all the money was
    given back by hand, or by Deriv itself if it never arrived here, and SURPLUS, what was set aside of it. OWN and LOST
    belong to movements that nothing of ours explains: a top-up or withdrawal of the house, or dollars that are gone.
    CORRECT belongs to a movement of another amount than is booked: the books follow its provider. APPROVE belongs to a
    name that is another on Deriv. The evidence of EXECUTED, SETTLE and SURPLUS is the provider's
    own id.
    """

    CREDIT = "credit"
    REFUND = "refund"
    RETURN = "return"
    PAY = "pay"
    EXECUTED = "executed"
    ABSENT = "absent"
    SETTLE = "settle"
    SURPLUS = "surplus"
    OWN = "own"
    LOST = "lost"
    CORRECT = "correct"
    APPROVE = "approve"
    CLOSE = "close"


NAME_MISMATCH = "name_mismatch"
"""The kind of a question about a Deriv account in another name: approved or closed, never booked."""
PAYEE_NAME = "payee_name"
"""The kind of a question about a receiver whom M-Pesa knows under another name: looked at and closed."""
_NAMED = frozenset({Action.EXECUTED, Action.SETTLE, Action.SURPLUS})
_GIVEN_BACK = frozenset({Action.SETTLE, Action.SURPLUS})
PROOFS = frozenset({Action.EXECUTED, Action.ABSENT})
"""The only decisions about a transaction that has an operation without a proven end."""
NOT_YET = "a call to the provider is still under way: try again in a minute"
"""It ends within two minutes; what a rail left that died in it, the rail's next epoch ends."""


@dataclass(frozen=True, slots=True)
class Approval:
    """Who decided, and what they rest it on: a ticket, a receipt, a statement row."""

    by: str
    second: str
    evidence: str

    def text(self) -> str:
        """As it stands in the timeline and the audit chain."""
        return f"{self.by} and {self.second}, {self.evidence}"


def is_staff_name(text: str) -> bool:
    """Whether somebody of the staff can be called so."""
    return len(text) <= STAFF_NAME_MAX and _NAME.fullmatch(text) is not None


def person_key(name: str) -> str:
    """A name without accents, case, order and signs: what two ways of writing one person have in common."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", name) if not unicodedata.combining(one))
    return " ".join(sorted(re.findall(r"[^\W_]+", plain.casefold())))


def folded_reference(evidence: str) -> str:
    """A reference in one form: `Ticket 7` and `ticket  7` are one approval."""
    return " ".join(unicodedata.normalize("NFKC", evidence).casefold().split())


def approval_of(*, by: str, second: str, evidence: str, action: str) -> Approval:
    """Two names that are not the same, and a reference that carries this decision. Raises `BadInput`."""
    names = {"by": " ".join(by.split()), "second": " ".join(second.split())}
    for asked, name in names.items():
        if not is_staff_name(name):
            raise BadInput(asked, "must be a person's name or staff address, in the letters A to Z")
        if holds_phone(name):
            raise BadInput(asked, NO_PHONE)
    if person_key(names["by"]) == person_key(names["second"]):
        raise BadInput("second", "must be somebody else")
    reference = " ".join(evidence.split())
    if not _EVIDENCE.fullmatch(reference):
        raise BadInput("evidence", "must name what the decision rests on, in 3 to 120 characters")
    if action not in _NAMED and holds_phone(reference):
        raise BadInput("evidence", NO_PHONE)
    if action in _NAMED and not _PROVIDER_ID.fullmatch(reference):
        raise BadInput("evidence", "must be the provider's own id of it")
    return Approval(names["by"], names["second"], reference)


def used_already(approval: Approval) -> str:
    """What people are told whose provider's id belongs to something else."""
    return f"{approval.evidence} was used already: each movement has an id of its own."


_EVENTS: Mapping[tuple[str, str], Callable[..., Event]] = {
    (Direction.DEPOSIT, Action.CREDIT): deposit_events.StaffCredited,
    (Direction.DEPOSIT, Action.REFUND): deposit_events.StaffRefunded,
    (Direction.DEPOSIT, Action.CLOSE): StaffClosed,
    (Direction.WITHDRAWAL, Action.PAY): withdrawal_events.StaffPaid,
    (Direction.WITHDRAWAL, Action.RETURN): withdrawal_events.StaffReturned,
    (Direction.WITHDRAWAL, Action.CLOSE): StaffClosed,
}


def staff_event(type_: str, action: str, approval: Approval) -> Event | None:
    """The saga's event for a decision, or None when a transaction of this type has no such exit."""
    if action in PROOFS:
        executed, evidence = action == Action.EXECUTED, approval.evidence
        return StaffProved(executed=executed, reference=evidence if executed else "", approval=approval.text())
    if action in _GIVEN_BACK:
        surplus_only = action == Action.SURPLUS
        return StaffSettled(reference=approval.evidence, approval=approval.text(), surplus_only=surplus_only)
    made = _EVENTS.get((type_, action))
    return made(approval=approval.text()) if made is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewItem:
    """A question for a person. `transaction_id` is empty when nobody knows whose money it is about."""

    id: str
    shard: int
    transaction_id: str
    operation_id: str
    kind: str
    reason: str
    owner_role: str
    opened_at: datetime
    due_at: datetime
    closed_at: datetime | None = None
    resolution: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)
    same_money: tuple["ReviewItem", ...] = ()
    """Open questions about what may be the same money: whoever answers one of them has to know of the others."""

    @property
    def holds(self) -> bool:
        """Whether a saga waits for the answer, which is then its own; every other question is closed by its ledger."""
        return bool(self.transaction_id) and self.kind in HOLDING


class Closable(Protocol):
    """What a question is closed by, as stored."""

    @property
    def id(self) -> str: ...
    @property
    def shard(self) -> int: ...
    @property
    def transaction_id(self) -> str: ...
    @property
    def kind(self) -> str: ...


def closing(item: Closable, approval: Approval, *, at: datetime) -> UnitOfWork:
    """The unit that closes one question and nothing else. Its transaction, if any, may move on meanwhile."""
    detail = {
        "kind": item.kind,
        "transaction": item.transaction_id,
        "second": approval.second,
        "evidence": approval.evidence,
    }
    return UnitOfWork(
        unit_id=f"review:{item.id}:closed",
        shard=item.shard,
        at=at,
        audit=(AuditRecord(actor=f"staff:{approval.by}", action="review.closed", subject=item.id, detail=detail),),
        reviews_closed=(
            ReviewClosed(
                transaction_id=item.transaction_id, kind=item.kind, resolution=approval.text(), item_id=item.id
            ),
        ),
        staff_resolution=True,
    )


class Attempted(Protocol):
    """What matters here of a provider operation, as stored."""

    @property
    def id(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def attempts(self) -> int: ...
    @property
    def attempts_closed(self) -> int: ...
    @property
    def under_way(self) -> bool: ...


_PROVEN = frozenset({OperationState.CONFIRMED, OperationState.REFUSED, OperationState.WITHDRAWN})


def undecidable(action: str, operations: Sequence[Attempted]) -> str:
    """Why nobody can decide this yet about a transaction with these operations; empty when somebody can.

    Nothing is proven absent that a rail may be doing just now: the same money would go out twice.
    """
    if action not in PROOFS and (open_ended := unproven(operations)):
        return f"operations without a proven end: {', '.join(open_ended)}"
    return NOT_YET if action != Action.EXECUTED and any(one.under_way for one in operations) else ""


def unproven(operations: Iterable[Attempted]) -> tuple[str, ...]:
    """Operations that may have moved money, or still may: while there is one, people can only say how it ended."""
    return tuple(
        one.id
        for one in operations
        if one.state == OperationState.UNKNOWN or (one.attempts > one.attempts_closed and one.state not in _PROVEN)
    )
