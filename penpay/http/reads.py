"""What the edge reads without asking an actor. The rows are the truth, so any node may answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from penpay.domain.accounts import TimelineStep
from penpay.domain.money import Currency, Money
from penpay.domain.unit import StoredAnswer, TransactionRow
from penpay.ports import OutboxRow


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFilter:
    """Which of a user's transactions. Empty text and None do not filter; `before_id` ends the page before."""

    type: str = ""
    status: str = ""
    from_at: datetime | None = None
    to_at: datetime | None = None
    before_id: str = ""
    limit: int = 20


class Reads(Protocol):
    """Committed facts of one user. All raise `Unavailable` while the database is away.

    A transaction whose row nobody can read is answered as `penpay.domain.readable.shown` has it.
    """

    async def transaction(self, user_id: str, transaction_id: str) -> TransactionRow | None:
        """None also for somebody else's."""
        ...

    async def transactions(self, user_id: str, which: HistoryFilter) -> Sequence[TransactionRow]:
        """Newest first."""
        ...

    async def statement_page(
        self, user_id: str, *, from_at: datetime, to_at: datetime, after_id: str, limit: int
    ) -> Sequence[TransactionRow]:
        """A page of what began in this time, the oldest first."""
        ...

    async def statement_size(self, user_id: str, *, from_at: datetime, to_at: datetime) -> int:
        """How many transactions began in this time."""
        ...

    async def held(self, user_id: str, *, before_at: datetime) -> Mapping[Currency, int]:
        """The user's money that was with us at a moment, in minor units, as booked."""
        ...

    async def steps(self, transaction_id: str) -> Sequence[TimelineStep]:
        """In the order in which they were recorded."""
        ...

    async def answer(self, user_id: str, route: str, key_hash: str) -> StoredAnswer | None:
        """The stored first answer to an idempotent request."""
        ...

    async def in_flight(self, user_id: str) -> Sequence[Money]:
        """Sums of what open transactions send, per currency."""
        ...

    async def counted_usd_minor(self, user_id: str, *, type_: str, eat_day: str) -> int:
        """Dollars that count against the daily limit, in cents."""
        ...

    async def events(self, user_id: str, shard: int, *, after_seq: int, limit: int) -> Sequence[OutboxRow]:
        """The user's events behind a place in the shard's order."""
        ...

    async def newest_seq(self, shard: int) -> int:
        """The shard's newest event; 0 without any."""
        ...
