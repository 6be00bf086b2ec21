"""Units of work for measurements: plain transfers, and the real steps of a deposit."""

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from penpay.domain.fx import Direction, LockedRate, exchange
from penpay.domain.ids import account_reference, ulid
from penpay.domain.money import kes, usd
from penpay.domain.postings import Books
from penpay.domain.unit import (
    AuditRecord,
    NewOperation,
    OperationChange,
    OperationKind,
    OperationState,
    OutboxEvent,
    ProviderReference,
    StoredAnswer,
    TransactionChange,
    TransactionEvent,
    TransactionRow,
    UnitOfWork,
)

SHARD = 0
SENT = kes(130_000)
RECEIVED = usd(966)
RATE = LockedRate(Direction.DEPOSIT, mid_e6=129_500_000, spread_e6=5_000_000)
BODY_BYTES = 700
"""What the API shows of a deposit: the size of an outbox event and of a stored answer."""
_numbers = itertools.count(1)


def fresh_id() -> str:
    """A ULID of this run."""
    number = next(_numbers)
    return ulid(1_700_000_000_000 + number // 64, number.to_bytes(10))


def transfers(users: Sequence[str], count: int) -> list[UnitOfWork]:
    """Postings of two legs, spread over the users; one leg is the shard's paybill, the hottest account there is."""
    return [
        UnitOfWork(
            unit_id=f"ref:{fresh_id()}",
            shard=SHARD,
            at=datetime.now(UTC),
            postings=(Books(SHARD, users[number % len(users)]).deposit_paid(kes(100)),),
        )
        for number in range(count)
    ]


def deposits(users: Sequence[str], count: int) -> Iterator[list[UnitOfWork]]:
    """The four units of a good deposit, in order: admitted, accepted, paid, done."""
    for number in range(count):
        admitted = _admitted(users[number % len(users)])
        accepted = _accepted(admitted)
        paid = _paid(admitted, accepted)
        yield [admitted, accepted, paid, _done(paid)]


def _admitted(user_id: str) -> UnitOfWork:
    now, id_, stk = datetime.now(UTC), fresh_id(), fresh_id()
    row = TransactionRow(
        id=id_,
        shard=SHARD,
        user_id=user_id,
        type="DEPOSIT",
        state="STK_SENDING",
        status="PROCESSING",
        version=1,
        send=SENT,
        receive=RECEIVED,
        quote_id="",
        mid_rate_e6=RATE.mid_e6,
        spread_e6=RATE.spread_e6,
        phone_mask="2547****126",
        deriv_loginid="CR900001",
        route="POST /api/v1/deposits",
        key_hash=id_.rjust(64, "0"),
        eat_day="2026-11-20",
        limit_usd_minor=200_000,
        counts=True,
        failure_code="",
        data=f'{{"state_since":"{now.isoformat()}","stk":["{stk}","INTENT",0,0,0]}}',
        next_wake_at=now + timedelta(seconds=20),
        created_at=now,
        updated_at=now,
        completed_at=None,
    )
    steps = (("CREATED", "Created", "CREATED"), ("CREATED", "StkStarted", "STK_SENDING"))
    answer = StoredAnswer(
        user_id=user_id,
        route=row.route,
        key_hash=row.key_hash,
        fingerprint="f" * 64,
        status=202,
        location=f"/api/v1/transactions/{id_}",
        content_type="application/json",
        sealed_body=os.urandom(BODY_BYTES),
        transaction_id=id_,
    )
    push = _operation(stk, OperationKind.STK)
    return replace(_unit(row, steps), new_operations=(push,), answer=answer)


def _accepted(admitted: UnitOfWork) -> UnitOfWork:
    row = _moved(admitted, "AWAITING_PAYER", "AWAITING_MPESA_CALLBACK")
    sent = OperationChange(id=admitted.new_operations[0].id, to=OperationState.SENT, provider_ref="ws_CO_1")
    return replace(_unit(row, [("STK_SENDING", "StkAccepted", row.state)]), operations=(sent,))


def _paid(admitted: UnitOfWork, accepted: UnitOfWork) -> UnitOfWork:
    row = _moved(accepted, "DERIV_SENDING", "AWAITING_DERIV_CONFIRMATION")
    stk, transfer = admitted.new_operations[0].id, fresh_id()
    receipt = f"SJK{stk[-9:]}"
    books = Books(SHARD, row.user_id)
    steps = (("AWAITING_PAYER", "MpesaPaid", "PAID"), ("PAID", "MpesaPaid", "DERIV_SENDING"))
    return replace(
        _unit(row, steps),
        postings=(books.deposit_paid(SENT), books.deposit_hold(SENT)),
        operations=(OperationChange(id=stk, to=OperationState.CONFIRMED, provider_ref=receipt),),
        new_operations=(_operation(transfer, OperationKind.DERIV_TRANSFER),),
        references=(ProviderReference(kind="mpesa_receipt", ref=receipt, operation_id=stk),),
        consumes=(fresh_id(),),
    )


def _done(paid: UnitOfWork) -> UnitOfWork:
    row = replace(_moved(paid, "COMPLETED", "COMPLETED"), next_wake_at=None, completed_at=datetime.now(UTC))
    transfer = paid.new_operations[0].id
    split = exchange(kes_minor=SENT.minor, usd_minor=RECEIVED.minor, rate=RATE)
    return replace(
        _unit(row, [("DERIV_SENDING", "DerivConfirmed", "COMPLETED")]),
        postings=(Books(SHARD, row.user_id).deposit_done(split),),
        operations=(OperationChange(id=transfer, to=OperationState.CONFIRMED, provider_ref=transfer[-9:]),),
        references=(ProviderReference(kind="deriv_transaction", ref=transfer[-9:], operation_id=transfer),),
        consumes=(fresh_id(),),
    )


def _operation(id_: str, kind: OperationKind) -> NewOperation:
    is_push = kind is OperationKind.STK
    return NewOperation(
        id=id_,
        kind=kind,
        amount=SENT if is_push else RECEIVED,
        recipient="2547****126" if is_push else "CR900001",
        reference=account_reference(id_),
        sealed_request=os.urandom(60) if is_push else b"",
    )


def _moved(before: UnitOfWork, state: str, status: str) -> TransactionRow:
    assert before.transaction is not None
    row = before.transaction.row
    return replace(row, state=state, status=status, version=row.version + 1, updated_at=datetime.now(UTC))


def _unit(row: TransactionRow, steps: Sequence[tuple[str, str, str]]) -> UnitOfWork:
    events = tuple(TransactionEvent(from_state=before, event=event, to_state=to) for before, event, to in steps)
    body = f'{{"id":"{row.id}","state":"{row.state}"'.ljust(BODY_BYTES - 1) + "}"
    return UnitOfWork(
        unit_id=f"{row.id}:{row.version}",
        shard=SHARD,
        at=row.updated_at,
        user_id=row.user_id,
        transaction=TransactionChange(row=row, expected_version=row.version - 1, events=events),
        outbox=(
            OutboxEvent(
                stream="transactions",
                event_id=f"{row.id}:{row.version}",
                type="transaction.updated",
                user_id=row.user_id,
                body=body,
            ),
        ),
        audit=(AuditRecord(actor="saga", action="deposit.step", subject=row.id, detail={"to": row.state}),),
    )
