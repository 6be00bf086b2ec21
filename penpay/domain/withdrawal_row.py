"""A withdrawal as the row that is the truth, and back."""

from collections.abc import Mapping
from typing import Any

from penpay.domain.deliveries import Delivery, packed_deliveries, unpacked_deliveries
from penpay.domain.fx import Direction, LockedRate
from penpay.domain.json_text import read_json
from penpay.domain.money import usd
from penpay.domain.records import copied
from penpay.domain.saga_row import Packing, packed, unpacked
from penpay.domain.unit import TransactionRow
from penpay.domain.withdrawal import OPERATIONS, State, Withdrawal

STATUS: Mapping[State, str] = {
    State.CREATED: "PENDING",
    State.DERIV_SENDING: "AWAITING_DERIV_CONFIRMATION",
    State.DERIV_UNKNOWN: "AWAITING_DERIV_CONFIRMATION",
    State.DEBITED: "PROCESSING",
    State.B2C_SENDING: "AWAITING_MPESA_DISBURSEMENT",
    State.B2C_HELD: "PROCESSING",
    State.AWAITING_RESULT: "AWAITING_MPESA_DISBURSEMENT",
    State.B2C_UNKNOWN: "AWAITING_MPESA_DISBURSEMENT",
    State.RETURN_SENDING: "PROCESSING",
    State.COMPLETED: "COMPLETED",
    State.REVERSED: "REVERSED",
    State.FAILED: "FAILED",
    State.IN_REVIEW: "IN_REVIEW",
}
"""What customers see of each stage."""
assert STATUS.keys() == set(State)

_PACKING = Packing(
    texts=(
        "sealed_payee",
        "debit_transaction_id",
        "witness_transaction_id",
        "money_at",
        "conversation_id",
        "receipt",
        "failed_code",
        "return_transaction_id",
        "misdirected_transaction_id",
    ),
    times=("debited_at", "failed_at", "declined_at", "state_since"),
    counts=("payouts", "returns", "undone", "polls"),
    flags=(),
    lists=("earlier_transaction_ids",),
    operations=OPERATIONS,
)


def to_row(withdrawal: Withdrawal, base: TransactionRow) -> TransactionRow:
    """The row after a decision. `base` carries what admission fixed for ever (key, quote, day, limit)."""
    kept = {"set_aside_minor": withdrawal.set_aside.minor} if withdrawal.set_aside is not None else {}
    return copied(
        base,
        state=withdrawal.state.value,
        status=STATUS[withdrawal.state],
        version=withdrawal.version,
        counts=withdrawal.state is not State.FAILED,
        failure_code=withdrawal.failure_code,
        data=packed(withdrawal, _PACKING, **kept, **packed_deliveries(withdrawal.delivered)),
        next_wake_at=withdrawal.next_wake_at,
        updated_at=withdrawal.updated_at,
        completed_at=withdrawal.completed_at,
    )


def _deliveries(row: TransactionRow, data: Mapping[str, Any]) -> tuple[Delivery, ...]:
    """Before there was a list of them, a row knew only the id of the newest."""
    newest = [[data["return_transaction_id"], row.send.minor]] if "return_transaction_id" in data else []
    return unpacked_deliveries(data.get("delivered", newest), usd)


def from_row(row: TransactionRow) -> Withdrawal:
    """The withdrawal behind its row."""
    data: dict[str, Any] = read_json(row.data)
    return Withdrawal(
        id=row.id,
        shard=row.shard,
        user_id=row.user_id,
        state=State(row.state),
        version=row.version,
        send=row.send,
        receive=row.receive,
        rate=LockedRate(Direction.WITHDRAWAL, row.mid_rate_e6, row.spread_e6),
        quote_id=row.quote_id,
        phone_mask=row.phone_mask,
        deriv_loginid=row.deriv_loginid,
        created_at=row.created_at,
        updated_at=row.updated_at,
        next_wake_at=row.next_wake_at,
        failure_code=row.failure_code,
        completed_at=row.completed_at,
        delivered=_deliveries(row, data),
        set_aside=usd(data["set_aside_minor"]) if "set_aside_minor" in data else None,
        **unpacked(data, _PACKING),
    )


def payee_aad(transaction_id: str) -> str:
    """What the sealed payee of this withdrawal is bound to: its row."""
    return f"transactions|payee|{transaction_id}"
