"""How rows become the dataclasses of the core: one function per shape, in the order of the queries' columns."""

import json

import structlog

from penpay.adapters.mysql_wire import Row
from penpay.domain.fx import Direction
from penpay.domain.money import Currency, Money
from penpay.domain.unit import TransactionRow
from penpay.messages import InboxRow, Quote
from penpay.ports import OperationRow, Sealer

log = structlog.get_logger()


def transaction_row(row: Row) -> TransactionRow:
    """All columns of `transactions` but those that are the ledger's own."""
    id_, shard, user_id, type_, state, status, version, *money_and_rest = row
    send_minor, send_currency, receive_minor, receive_currency, quote_id, mid_rate_e6, spread_e6, *rest = money_and_rest
    phone_mask, deriv_loginid, route, key_hash, eat_day, limit_usd_minor, counts, failure_code, data, *times = rest
    next_wake_at, created_at, updated_at, completed_at = times
    return TransactionRow(
        id=id_,
        shard=shard,
        user_id=user_id,
        type=type_,
        state=state,
        status=status,
        version=version,
        send=Money(send_minor, Currency(send_currency)),
        receive=Money(receive_minor, Currency(receive_currency)),
        quote_id=quote_id or "",
        mid_rate_e6=mid_rate_e6,
        spread_e6=spread_e6,
        phone_mask=phone_mask,
        deriv_loginid=deriv_loginid,
        route=route,
        key_hash=key_hash,
        eat_day=eat_day,
        limit_usd_minor=limit_usd_minor,
        counts=bool(counts),
        failure_code=failure_code,
        data=data,
        next_wake_at=next_wake_at,
        created_at=created_at,
        updated_at=updated_at,
        completed_at=completed_at,
    )


def operation_row(row: Row) -> OperationRow:
    """The columns of `operations`, `intents` and `unresolved`."""
    id_, transaction_id, shard, user_id, kind, state, amount_minor, currency, recipient, reference, *rest = row
    request, provider_ref, code, attempts_closed, created_at, sealed_request, attempts, under_way, data_key = rest
    return OperationRow(
        id=id_,
        transaction_id=transaction_id,
        shard=shard,
        user_id=user_id,
        kind=kind,
        state=state,
        amount=Money(amount_minor, Currency(currency)),
        recipient=recipient,
        reference=reference,
        request=json.loads(request),
        provider_ref=provider_ref,
        code=code,
        attempts=attempts,
        attempts_closed=attempts_closed,
        created_at=created_at,
        under_way=bool(under_way),
        sealed_request=sealed_request,
        data_key=data_key or b"",
    )


def inbox_row(row: Row, sealer: Sealer) -> InboxRow:
    """A row of the inbox, opened.

    A body that cannot be opened (moved, altered, its key gone) counts as empty: it proves nothing, and must not keep
    the evidence behind it from being read.
    """
    id_, shard, kind, operation_id, sealed_body, trusted_source, received_at, deliveries, suspicion = row
    try:
        body = sealer.open(sealed_body, aad=inbox_aad(id_))
    except ValueError:
        log.exception("evidence_cannot_be_opened", inbox_id=id_)
        body = b""
    return InboxRow(
        id=id_,
        shard=shard,
        kind=kind,
        operation_id=operation_id,
        body=body,
        trusted_source=bool(trusted_source),
        received_at=received_at,
        deliveries=deliveries,
        suspicion=suspicion,
    )


def inbox_aad(inbox_id: str) -> str:
    """What binds a sealed body to its row."""
    return f"callback_inbox|sealed_body|{inbox_id}"


def quote_row(row: Row) -> tuple[Quote, bool]:
    """A quote and whether it was used."""
    id_, user_id, direction, send_minor, send_currency, receive_minor, receive_currency, *rest = row
    mid_rate_e6, spread_e6, created_at, expires_at, used = rest
    quote = Quote(
        id=id_,
        user_id=user_id,
        direction=Direction(direction),
        send=Money(send_minor, Currency(send_currency)),
        receive=Money(receive_minor, Currency(receive_currency)),
        mid_rate_e6=mid_rate_e6,
        spread_e6=spread_e6,
        created_at=created_at,
        expires_at=expires_at,
    )
    return quote, bool(used)
