"""Reads of the questions that were put to people. They are opened and closed by units of work only."""

import json
from collections.abc import Sequence

from penpay.adapters.database import Database
from penpay.adapters.mysql import Row
from penpay.domain.money import Currency, Money
from penpay.domain.review import ReviewItem
from penpay.domain.review_view import OpenItem


class MySqlReviews:
    """Review items of the whole installation. Raises `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries("reviews")

    async def item(self, item_id: str) -> ReviewItem | None:
        """One question, also a closed one."""
        rows = await self._database.rows(self._queries("item", id=item_id))
        return _item(rows[0]) if rows else None

    async def about(self, transaction_id: str) -> Sequence[ReviewItem]:
        """The questions about a transaction, also closed ones."""
        rows = await self._database.rows(self._queries("about", transaction_id=transaction_id))
        return [_item(row) for row in rows]

    async def open_items(self, *, limit: int, after_id: str = "") -> Sequence[OpenItem]:
        """The most urgent first; the page after an item, also when that was closed meanwhile."""
        rows = await self._database.rows(self._queries("open_items", limit=limit, after_id=after_id))
        return [
            OpenItem(_item(tuple(columns)), type_, state, Money(minor, Currency(currency)) if currency else None)
            for *columns, type_, state, minor, currency in rows
        ]


def _item(row: Row) -> ReviewItem:
    id_, shard, transaction_id, operation_id, kind, reason, owner_role, opened_at, due_at, closed_at, *rest = row
    resolution, evidence = rest
    return ReviewItem(
        id=id_,
        shard=shard,
        transaction_id=transaction_id,
        operation_id=operation_id,
        kind=kind,
        reason=reason,
        owner_role=owner_role,
        opened_at=opened_at,
        due_at=due_at,
        closed_at=closed_at,
        resolution=resolution,
        evidence=json.loads(evidence or "{}"),
    )
