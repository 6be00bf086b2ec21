"""Rows as the ledger leaves them, written by SQL."""

import itertools
import json
from datetime import UTC, datetime, timedelta

from tests.http.world import Customer

BEGAN = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
_numbers = itertools.count(1)


def transaction_id(number: int) -> str:
    return f"01KAF0Z3T9V5N5W6H3C8{number:06d}"


def add_transaction(database, customer: Customer, *, state="AWAITING_PAYER", status="AWAITING_MPESA_CALLBACK", **other):
    """One deposit of 1,300.00 KES; `data` is the saga's JSON."""
    number = next(_numbers)
    values = {
        "id": transaction_id(number),
        "shard": 0,
        "user_id": customer.id,
        "type": "DEPOSIT",
        "state": state,
        "status": status,
        "version": 2,
        "event_count": 2,
        "send_minor": 130_000,
        "send_currency": "KES",
        "receive_minor": 966,
        "receive_currency": "USD",
        "quote_id": None,
        "mid_rate_e6": 129_500_000,
        "spread_e6": 5_000_000,
        "phone_mask": "2547****126",
        "deriv_loginid": "CR1",
        "route": "POST /api/v1/deposits",
        "key_hash": f"{number:064d}",
        "eat_day": "2026-11-20",
        "limit_usd_minor": 200_000,
        "counts": 1,
        "failure_code": "",
        "data": "{}",
        "next_wake_at": None,
        "created_at": BEGAN + timedelta(minutes=number),
        "updated_at": BEGAN + timedelta(minutes=number),
        "completed_at": None,
    } | other
    if not isinstance(values["data"], str):
        values["data"] = json.dumps(values["data"])
    columns = ", ".join(f"`{name}`" for name in values)
    places = ", ".join(["%s"] * len(values))
    plain = [value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in values.values()]
    database.rows(f"INSERT INTO {{ledger}}.transactions ({columns}) VALUES ({places})", tuple(plain))
    return values["id"]


def add_step(database, transaction: str, seq: int, before: str, event: str, after: str, **data: str) -> None:
    at = (BEGAN + timedelta(seconds=seq)).replace(tzinfo=None)
    database.rows(
        "INSERT INTO {ledger}.transaction_events VALUES (%s, %s, %s, 1, %s, %s, %s, %s, %s)",
        (transaction, seq, seq, before, event, after, json.dumps(data), at),
    )


def add_event(database, customer: Customer, shard: int, seq: int, body: object) -> None:
    database.rows(
        "INSERT INTO {ledger}.outbox VALUES (%s, %s, 'transactions', %s, 'transaction.updated', %s, %s, NOW(6))",
        (shard, seq, f"e{seq}", customer.id, json.dumps(body)),
    )
