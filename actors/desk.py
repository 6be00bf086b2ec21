"""Where a user's actor takes requests in: one desk per direction, with the rules of that direction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penpay.domain import admission as adm
from penpay.domain.board import Board
from penpay.domain.fx import Direction, LockedRate
from penpay.domain.rules import Rules
from penpay.domain.unit import TransactionRow, UnitOfWork
from penpay.messages import AcceptDeposit, AcceptWithdrawal, Quote
from penpay.ports import Addresses, Clock, Ids, SagaMeter, Sealer, UserStore

Asked = AcceptDeposit | AcceptWithdrawal


@dataclass(frozen=True, slots=True)
class UserParts:
    """What every user of a shard shares. `agent_loginid` is whom withdrawals go through."""

    shard: int
    addresses: Addresses
    store: UserStore
    clock: Clock
    ids: Ids
    sealer: Sealer
    board: Board
    limits: adm.Limits
    rules: Rules
    agent_loginid: str = ""
    meter: SagaMeter | None = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """What a desk has let in, and when."""

    asked: Any
    quote: Quote
    standing: adm.Standing
    day: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Desk:
    """One direction: why not, and if so, the unit that begins it with the body that answers it."""

    direction: Direction
    refusal: Callable[..., adm.No | None]
    unit: Callable[[UserParts, Admitted], tuple[UnitOfWork, bytes]]


def terms_of(quote: Quote) -> adm.Terms:
    """What the quote promises."""
    return adm.Terms(quote.send, quote.receive, LockedRate(quote.direction, quote.mid_rate_e6, quote.spread_e6))


def base_row(admitted: Admitted, transaction_id: str, *, limit_usd_minor: int) -> TransactionRow:
    """The row before the first unit: what no later step changes. The rest is filled from the saga."""
    asked, quote, customer = admitted.asked, admitted.quote, admitted.asked.customer
    return TransactionRow(
        id=transaction_id,
        shard=customer.shard,
        user_id=customer.user_id,
        type=quote.direction.value,
        state="CREATED",
        status="PENDING",
        version=0,
        send=quote.send,
        receive=quote.receive,
        quote_id=quote.id,
        mid_rate_e6=quote.mid_rate_e6,
        spread_e6=quote.spread_e6,
        phone_mask=customer.phone_mask,
        deriv_loginid=customer.deriv_loginid,
        route=asked.route,
        key_hash=asked.key_hash,
        eat_day=admitted.day,
        limit_usd_minor=limit_usd_minor,
        counts=True,
        failure_code="",
        data="{}",
        next_wake_at=None,
        created_at=admitted.at,
        updated_at=admitted.at,
        completed_at=None,
    )
