"""Recording a decision: the unit of work of a saga, and the one way to hand a unit to the ledger."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from actors.base import ActorKilled, AskTimeout, MailboxFull
from actors.flow import Flow
from penpay.domain.decision import Decision
from penpay.domain.errors import OutcomeUnknown, Unavailable
from penpay.domain.json_text import json_bytes
from penpay.domain.presentation import evidence_of, render_transaction
from penpay.domain.unit import (
    AuditRecord,
    OperationChange,
    OperationState,
    OutboxEvent,
    TransactionChange,
    TransactionRow,
    UnitOfWork,
)
from penpay.messages import Committed, CommitUnit, OutboxBell, UnitRejected, ledger_of, outbox_of
from penpay.ports import Addresses


def unit_of(
    flow: Flow, decision: Decision[Any], base: TransactionRow, *, actor: str, consumes: Sequence[str] = ()
) -> UnitOfWork:
    """The unit `<transaction>:<version>` that makes a decision durable, with its event for the streams and its audit.

    `base` is the row before (for a new saga: what admission fixed). Polls leave no event and no audit record; what an
    operation does always leaves a record, by which auditors and invariants find its transaction.
    """
    saga = decision.saga
    row = flow.to_row(saga, base)
    told = decision.postings or any(step.from_state != step.to_state or step.data for step in decision.steps)
    recorded = told or decision.new_operations or any(map(_moves, decision.operations))
    events = [f"{step.from_state}>{step.event}>{step.to_state}" for step in decision.steps]
    return UnitOfWork(
        unit_id=f"{saga.id}:{saga.version}",
        shard=saga.shard,
        at=saga.updated_at,
        user_id=saga.user_id,
        transaction=TransactionChange(row=row, expected_version=decision.expected_version, events=decision.steps),
        postings=decision.postings,
        new_operations=decision.new_operations,
        operations=decision.operations,
        references=decision.references,
        consumes=tuple(consumes),
        outbox=(transaction_event(row),) if told else (),
        audit=(_audit(flow, actor, saga.id, events),) if recorded else (),
        reviews=decision.reviews,
        reviews_closed=decision.reviews_closed,
    )


def _moves(change: OperationChange) -> bool:
    """Whether it says more than that what waits for its turn still is intended, which is told at each wake."""
    return change != OperationChange(id=change.id, to=OperationState.INTENT)


def _audit(flow: Flow, actor: str, subject: str, steps: Sequence[str]) -> AuditRecord:
    action = f"{flow.type.lower()}.step"
    return AuditRecord(actor=actor, action=action, subject=subject, detail={"steps": " ".join(steps)})


def transaction_event(row: TransactionRow) -> OutboxEvent:
    """What followers of a transaction are told: the object that the API shows, de-duplicated by its version."""
    body = json_bytes(render_transaction(row, evidence_of(row))).decode()
    return OutboxEvent(
        stream="transactions",
        event_id=f"{row.id}:{row.version}",
        type="transaction.updated",
        user_id=row.user_id,
        body=body,
    )


async def record(addresses: Addresses, unit: UnitOfWork, *, timeout_s: float = 8.0) -> Committed | UnitRejected:
    """Make a unit durable. Raises `Unavailable` when the ledger did not answer in time, or was ended over it.

    Then the unit may or may not be durable: drop what is remembered and read the row again. Idempotent by the id.
    """
    try:
        answer = await addresses.ask(ledger_of(unit.shard), CommitUnit(unit), timeout_s=timeout_s)
    except (ActorKilled, AskTimeout, OutcomeUnknown) as error:
        raise Unavailable("ledger") from error
    if isinstance(answer, Committed):
        if unit.outbox:
            # Recorded is recorded: an outbox with a full mailbox looks for itself soon, and what it rang for must not
            # be taken for a unit that never began.
            with suppress(MailboxFull):
                addresses.tell(outbox_of(unit.shard), OutboxBell(answer.outbox_seq))
        return answer
    assert isinstance(answer, UnitRejected)
    return answer
