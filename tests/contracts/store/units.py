"""Units beyond those of the ledger's house: how deposits and withdrawals go on and end."""

from dataclasses import replace
from datetime import UTC, datetime

from penpay.domain.fx import Direction, LockedRate, exchange
from penpay.domain.ledger import AccountCode
from penpay.domain.money import Money, kes, usd
from penpay.domain.postings import Books, opening
from penpay.domain.unit import (
    OperationChange,
    OperationKind,
    OperationState,
    ProviderReference,
    TransactionEvent,
    TransactionRow,
    UnitOfWork,
    UserStatusChange,
)
from tests.ledger.house import SHARD, admitted, stepped, stk, transaction_row

RATE = LockedRate(Direction.DEPOSIT, 129_500_000, 5_000_000)
OUT = LockedRate(Direction.WITHDRAWAL, 129_500_000, 5_000_000)


def booked(code: AccountCode, amount: Money, *, unit_id: str = "") -> UnitOfWork:
    """A provider's balance from before."""
    now = datetime.now(UTC)
    posting = opening(SHARD, code, amount)
    return UnitOfWork(unit_id=unit_id or f"opening:{code}", shard=SHARD, at=now, postings=(posting,))


def status_changed(user_id: str, status: str, *, number: int = 1) -> UnitOfWork:
    change = UserStatusChange(user_id=user_id, status=status, reason="court order")
    return UnitOfWork(unit_id=f"user:{user_id}:{number}", shard=SHARD, at=datetime.now(UTC), user_status=change)


def confirmed(unit: UnitOfWork, number: int = -1, *, ref: str = "") -> OperationChange:
    """The operation of an earlier unit happened."""
    id_ = unit.new_operations[number].id
    return OperationChange(id=id_, to=OperationState.CONFIRMED, provider_ref=ref or f"R{id_}")


def books_of(unit: UnitOfWork) -> Books:
    assert unit.transaction is not None
    return Books(SHARD, unit.transaction.row.user_id)


def ended(before: UnitOfWork, *, state: str, **changes: object) -> UnitOfWork:
    """A step into a final state, which nobody wakes."""
    unit = stepped(before, state=state, **changes)
    assert unit.transaction is not None
    row = replace(unit.transaction.row, status=state, next_wake_at=None, completed_at=unit.at)
    return replace(unit, transaction=replace(unit.transaction, row=row))


def begun(row: TransactionRow | None = None, **changes: object) -> UnitOfWork:
    """The first unit of a deposit or withdrawal, with the one step that the state machine knows."""
    unit = admitted(row)
    assert unit.transaction is not None
    state = unit.transaction.row.state
    step = TransactionEvent(from_state="CREATED", event="Started", to_state=state)
    return replace(unit, transaction=replace(unit.transaction, events=(step,)), **changes)  # type: ignore[arg-type]


def credited(payment: UnitOfWork, **changes: object) -> UnitOfWork:
    """The dollars of a paid deposit left."""
    operation = confirmed(payment)
    posting = books_of(payment).deposit_done(exchange(kes_minor=130_000, usd_minor=966, rate=RATE))
    reference = ProviderReference(kind="deriv_transaction", ref=operation.provider_ref, operation_id=operation.id)
    fields = {"postings": (posting,), "operations": (operation,), "references": (reference,)}
    return ended(payment, state="COMPLETED", **fields | changes)


def cancelled(first: UnitOfWork, **changes: object) -> UnitOfWork:
    """A deposit whose push was never sent."""
    withdrawn = OperationChange(id=first.new_operations[0].id, to=OperationState.WITHDRAWN)
    return ended(first, state="FAILED", **{"operations": (withdrawn,)} | changes)


def withdrawal(**changes: object) -> UnitOfWork:
    """The first unit of a withdrawal of 20.00 USD."""
    fields = {"type": "WITHDRAWAL", "state": "DERIV_SENDING", "limit_usd_minor": 200_000}
    row = transaction_row(**fields | {"send": usd(2_000), "receive": kes(249_000)} | changes)
    debit = stk(kind=OperationKind.DERIV_WITHDRAW, amount=usd(2_000), recipient="CR900001")
    return begun(row, new_operations=(debit,))


def debited(first: UnitOfWork, **changes: object) -> UnitOfWork:
    """The dollars arrived, were seen on our side, and are held for a payout."""
    books = books_of(first)
    postings = (
        books.withdrawal_debited(usd(2_000)),
        books.withdrawal_witnessed(usd(2_000)),
        books.payout_hold(usd(2_000)),
    )
    payout = stk(kind=OperationKind.B2C, amount=kes(249_000))
    fields = {"postings": postings, "operations": (confirmed(first),), "new_operations": (payout,)}
    unit = stepped(first, state="B2C_SENDING", **fields | changes)
    assert unit.transaction is not None
    steps = (
        TransactionEvent(from_state="DERIV_SENDING", event="DebitConfirmed", to_state="DEBITED"),
        TransactionEvent(from_state="DEBITED", event="WitnessSeen", to_state="B2C_SENDING"),
    )
    return replace(unit, transaction=replace(unit.transaction, events=steps))


def paid_out(debit: UnitOfWork, **changes: object) -> UnitOfWork:
    """The shillings left."""
    split = exchange(kes_minor=249_000, usd_minor=2_000, rate=OUT)
    posting = books_of(debit).payout_done(split, kes(900))
    return ended(debit, state="COMPLETED", **{"postings": (posting,), "operations": (confirmed(debit),)} | changes)
