"""A deposit as admission makes it: what is fixed for ever, from the request and its quote."""

from datetime import datetime

from penpay.domain.admission import Terms
from penpay.domain.decision import Operation
from penpay.domain.deposit import Deposit, State
from penpay.domain.deposit_row import STATUS
from penpay.domain.fx import Direction, LockedRate
from penpay.domain.unit import OperationState, TransactionRow
from penpay.messages import AcceptDeposit, Quote


def terms_of(quote: Quote) -> Terms:
    """What the quote promises."""
    return Terms(quote.send, quote.receive, LockedRate(quote.direction, quote.mid_rate_e6, quote.spread_e6))


def new_deposit(
    asked: AcceptDeposit, quote: Quote, now: datetime, *, ids: tuple[str, str], verify_first: bool
) -> Deposit:
    """The deposit before its first step. `ids`: the transaction's and the push's."""
    customer = asked.customer
    transaction_id, operation_id = ids
    return Deposit(
        id=transaction_id,
        shard=customer.shard,
        user_id=customer.user_id,
        state=State.CREATED,
        version=0,
        send=quote.send,
        receive=quote.receive,
        rate=LockedRate(Direction.DEPOSIT, quote.mid_rate_e6, quote.spread_e6),
        quote_id=quote.id,
        phone_mask=customer.phone_mask,
        deriv_loginid=customer.deriv_loginid,
        verify_first=verify_first,
        created_at=now,
        updated_at=now,
        state_since=now,
        stk=Operation(id=operation_id, state=OperationState.INTENT),
    )


def base_row(asked: AcceptDeposit, quote: Quote, deposit: Deposit, *, day: str, limit_usd_minor: int) -> TransactionRow:
    """The row before the first unit: what no later step changes. The rest is filled from the deposit."""
    return TransactionRow(
        id=deposit.id,
        shard=deposit.shard,
        user_id=deposit.user_id,
        type=Direction.DEPOSIT.value,
        state=State.CREATED.value,
        status=STATUS[State.CREATED],
        version=0,
        send=deposit.send,
        receive=deposit.receive,
        quote_id=quote.id,
        mid_rate_e6=quote.mid_rate_e6,
        spread_e6=quote.spread_e6,
        phone_mask=deposit.phone_mask,
        deriv_loginid=deposit.deriv_loginid,
        route=asked.route,
        key_hash=asked.key_hash,
        eat_day=day,
        limit_usd_minor=limit_usd_minor,
        counts=True,
        failure_code="",
        data="{}",
        next_wake_at=None,
        created_at=deposit.created_at,
        updated_at=deposit.created_at,
        completed_at=None,
    )
