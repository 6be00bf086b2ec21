"""Reads of the questions that were put to people. They are opened and closed by units of work only."""

import json
from collections.abc import Sequence
from dataclasses import replace

from penpay.adapters.database import Database
from penpay.adapters.mysql_wire import Row
from penpay.domain.review import ReviewItem
from penpay.domain.strays import MAY_BE_THE_SAME, Filed, same_money

_LIKE_MAX = 5_000


class MySqlReviews:
    """Review items of the whole installation. Raises `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries("reviews")

    async def item(self, item_id: str) -> ReviewItem | None:
        """One question, also a closed one."""
        rows = await self._database.rows(self._queries("item", id=item_id))
        return (await self._beside_their_like([review_item(rows[0])]))[0] if rows else None

    async def about(self, transaction_id: str) -> Sequence[ReviewItem]:
        """The questions about a transaction, also closed ones."""
        rows = await self._database.rows(self._queries("about", transaction_id=transaction_id))
        return await self._beside_their_like([review_item(row) for row in rows])

    async def open_items(self, *, limit: int, after_id: str = "") -> Sequence[ReviewItem]:
        """The most urgent first; the page after an item, also when that was closed meanwhile."""
        rows = await self._database.rows(self._queries("open_items", limit=limit, after_id=after_id))
        return await self._beside_their_like([review_item(row) for row in rows])

    async def _beside_their_like(self, items: list[ReviewItem]) -> list[ReviewItem]:
        """Open ones with the others that may be about the same money."""
        if not any(item.closed_at is None and item.kind in MAY_BE_THE_SAME for item in items):
            return items
        rows = await self._database.rows(self._queries("open_of_kinds", kinds=MAY_BE_THE_SAME, limit=_LIKE_MAX))
        like = [review_item(row) for row in rows]
        return [replace(item, same_money=same_money(item, like)) if item.closed_at is None else item for item in items]


def filed_credit(row: Row) -> Filed:
    """The question about dollars of nobody, and the debit that people found them to be of."""
    return Filed(item=review_item(row[:-1]), claimed_by=row[-1])


def review_item(row: Row) -> ReviewItem:
    """A question as it stands in its row."""
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
