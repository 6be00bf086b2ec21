"""A deposit as the row that is the truth, and back. The JSON is canonical, so equal deposits have equal rows."""

from collections.abc import Mapping
from typing import Any

from penpay.domain.deliveries import Delivery, packed_deliveries, unpacked_deliveries
from penpay.domain.deposit import OPERATIONS, Deposit, State
from penpay.domain.fx import Direction, LockedRate
from penpay.domain.json_text import read_json
from penpay.domain.money import Money, kes
from penpay.domain.records import copied
from penpay.domain.saga_row import Packing, packed, unpacked
from penpay.domain.unit import TransactionRow

STATUS: Mapping[State, str] = {
    State.CREATED: "PENDING",
    State.STK_SENDING: "PROCESSING",
    State.AWAITING_PAYER: "AWAITING_MPESA_CALLBACK",
    State.STK_UNKNOWN: "AWAITING_MPESA_CALLBACK",
    State.PAID: "PROCESSING",
    State.DERIV_SENDING: "AWAITING_DERIV_CONFIRMATION",
    State.DERIV_HELD: "PROCESSING",
    State.DERIV_UNKNOWN: "AWAITING_DERIV_CONFIRMATION",
    State.REFUND_SENDING: "PROCESSING",
    State.COMPLETED: "COMPLETED",
    State.REVERSED: "REVERSED",
    State.FAILED: "FAILED",
    State.IN_REVIEW: "IN_REVIEW",
}
"""What customers see of each stage."""
assert STATUS.keys() == set(State)

_PACKING = Packing(
    texts=(
        "checkout_request_id",
        "paid_by",
        "receipt",
        "held_receipt",
        "held_checkout_id",
        "money_at",
        "refund_from",
        "deriv_transaction_id",
        "refund_conversation_id",
        "refund_originator_conversation_id",
        "misdirected_transaction_id",
        "refund_receipt",
    ),
    times=("pushed_at", "paid_at", "held_paid_at", "asked_staff_at", "doubted_at", "state_since"),
    counts=("failed_queries", "polls", "transfers", "refunds", "undone"),
    flags=("verify_first", "held_stranger"),
    lists=("earlier_transaction_ids",),
    operations=OPERATIONS,
)
_AMOUNTS = ("paid", "set_aside", "held_amount", "received")
"""Shillings."""


def to_row(deposit: Deposit, base: TransactionRow) -> TransactionRow:
    """The row after a decision. `base` carries what admission fixed for ever (key, quote, day, limit)."""
    return copied(
        base,
        state=deposit.state.value,
        status=STATUS[deposit.state],
        version=deposit.version,
        counts=deposit.state is not State.FAILED,
        failure_code=deposit.failure_code,
        data=packed(deposit, _PACKING, **_amounts(deposit), **packed_deliveries(deposit.delivered)),
        next_wake_at=deposit.next_wake_at,
        updated_at=deposit.updated_at,
        completed_at=deposit.completed_at,
    )


def _amounts(deposit: Deposit) -> dict[str, int]:
    known = ((name, getattr(deposit, name)) for name in _AMOUNTS)
    return {f"{name}_minor": money.minor for name, money in known if money is not None}


def _money(data: Mapping[str, Any], name: str) -> Money | None:
    return kes(data[f"{name}_minor"]) if f"{name}_minor" in data else None


def _deliveries(data: Mapping[str, Any]) -> tuple[Delivery, ...]:
    """Before there was a list of them, a row knew the dollars of its newest transfer."""
    newest = [[data["deriv_transaction_id"], data["delivered_minor"]]] if "delivered_minor" in data else []
    return unpacked_deliveries(data.get("delivered", newest), kes)


def from_row(row: TransactionRow) -> Deposit:
    """The deposit behind its row."""
    data: dict[str, Any] = read_json(row.data)
    return Deposit(
        id=row.id,
        shard=row.shard,
        user_id=row.user_id,
        state=State(row.state),
        version=row.version,
        send=row.send,
        receive=row.receive,
        rate=LockedRate(Direction.DEPOSIT, row.mid_rate_e6, row.spread_e6),
        quote_id=row.quote_id,
        phone_mask=row.phone_mask,
        deriv_loginid=row.deriv_loginid,
        created_at=row.created_at,
        updated_at=row.updated_at,
        next_wake_at=row.next_wake_at,
        failure_code=row.failure_code,
        completed_at=row.completed_at,
        paid=_money(data, "paid"),
        set_aside=_money(data, "set_aside"),
        held_amount=_money(data, "held_amount"),
        received=_money(data, "received"),
        delivered=_deliveries(data),
        **unpacked(data, _PACKING),
    )
