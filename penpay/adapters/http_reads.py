"""What the edge reads from the ledger's tables."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from penpay.adapters.database import Database
from penpay.adapters.row_shapes import transaction_row
from penpay.domain.accounts import TimelineStep
from penpay.domain.money import Currency, Money
from penpay.domain.readable import shown
from penpay.domain.unit import StoredAnswer, TransactionRow
from penpay.ports import OutboxRow


class Filter(Protocol):
    """Which of a user's transactions; `penpay.http.reads.HistoryFilter` is one."""

    @property
    def type(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def from_at(self) -> datetime | None: ...
    @property
    def to_at(self) -> datetime | None: ...
    @property
    def before_id(self) -> str: ...
    @property
    def limit(self) -> int: ...


class MySqlReads:
    """`penpay.http.reads.Reads` on the database. Raises `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries("http")

    async def transaction(self, user_id: str, transaction_id: str) -> TransactionRow | None:
        rows = await self._database.rows(self._queries("transaction", id=transaction_id, user_id=user_id))
        return shown(transaction_row(rows[0])) if rows else None

    async def transactions(self, user_id: str, which: Filter) -> Sequence[TransactionRow]:
        query = self._queries(
            "transactions",
            user_id=user_id,
            type=which.type,
            status=which.status,
            from_at=which.from_at,
            to_at=which.to_at,
            before_id=which.before_id,
            limit=which.limit,
        )
        return [shown(transaction_row(row)) for row in await self._database.rows(query)]

    async def statement_page(
        self, user_id: str, *, from_at: datetime, to_at: datetime, after_id: str, limit: int
    ) -> Sequence[TransactionRow]:
        query = self._queries(
            "statement_page", user_id=user_id, from_at=from_at, to_at=to_at, after_id=after_id, limit=limit
        )
        return [shown(transaction_row(row)) for row in await self._database.rows(query)]

    async def statement_size(self, user_id: str, *, from_at: datetime, to_at: datetime) -> int:
        query = self._queries("statement_size", user_id=user_id, from_at=from_at, to_at=to_at)
        return int((await self._database.rows(query))[0][0])

    async def held(self, user_id: str, *, before_at: datetime) -> Mapping[Currency, int]:
        rows = await self._database.rows(self._queries("held", user_id=user_id, before_at=before_at))
        return {Currency(currency): int(minor) for currency, minor in rows}

    async def steps(self, transaction_id: str) -> Sequence[TimelineStep]:
        rows = await self._database.rows(self._queries("steps", transaction_id=transaction_id))
        return [
            TimelineStep(at=at, from_state=from_state, event=event, to_state=to_state, data=json.loads(data))
            for at, from_state, event, to_state, data in rows
        ]

    async def answer(self, user_id: str, route: str, key_hash: str) -> StoredAnswer | None:
        rows = await self._database.rows(self._queries("answer", user_id=user_id, route=route, key_hash=key_hash))
        if not rows:
            return None
        fingerprint, status, location, content_type, sealed_body, transaction_id = rows[0]
        return StoredAnswer(
            user_id=user_id,
            route=route,
            key_hash=key_hash,
            fingerprint=fingerprint,
            status=status,
            location=location,
            content_type=content_type,
            sealed_body=sealed_body,
            transaction_id=transaction_id,
        )

    async def in_flight(self, user_id: str) -> Sequence[Money]:
        rows = await self._database.rows(self._queries("in_flight", user_id=user_id))
        return [Money(int(minor), Currency(currency)) for currency, minor in rows]

    async def counted_usd_minor(self, user_id: str, *, type_: str, eat_day: str) -> int:
        query = self._queries("counted", user_id=user_id, type=type_, eat_day=eat_day)
        return int((await self._database.rows(query))[0][0])

    async def events(self, user_id: str, shard: int, *, after_seq: int, limit: int) -> Sequence[OutboxRow]:
        query = self._queries("events", user_id=user_id, shard=shard, seq=after_seq, limit=limit)
        return [
            OutboxRow(shard=owner, seq=seq, stream=stream, event_id=event_id, type=type_, user_id=whose, body=body)
            for owner, seq, stream, event_id, type_, whose, body in await self._database.rows(query)
        ]

    async def newest_seq(self, shard: int) -> int:
        return int((await self._database.rows(self._queries("newest_seq", shard=shard)))[0][0])
