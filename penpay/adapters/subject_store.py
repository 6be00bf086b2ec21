"""Questions with what a decision about each would rest on: the transaction's row, and its operations."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from penpay.adapters.database import Database
from penpay.adapters.review_store import MySqlReviews, filed_credit
from penpay.adapters.row_shapes import operation_row, transaction_row
from penpay.domain.review import ReviewItem
from penpay.domain.review_view import Subject
from penpay.ports import OperationRow


class MySqlSubjects:
    """Review items of the whole installation. Raises `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reviews = MySqlReviews(database)
        self._queries = database.queries("sagas")

    async def open_items(self, *, limit: int, after_id: str = "") -> Sequence[Subject]:
        """The most urgent first; the page after an item, also when that was closed meanwhile."""
        return await self._subjects(await self._reviews.open_items(limit=limit, after_id=after_id))

    async def subject(self, item_id: str, *, naming: str = "") -> Subject | None:
        """One question, also a closed one; None when there is no such question. `naming`: a decision's evidence."""
        item = await self._reviews.item(item_id)
        if item is None:
            return None
        (subject,) = await self._subjects([item])
        found = await self._database.rows(self._queries("filed_credit", ref=naming)) if naming else ()
        return replace(subject, named=filed_credit(found[0])) if found else subject

    async def _subjects(self, items: Sequence[ReviewItem]) -> Sequence[Subject]:
        ids = sorted({item.transaction_id for item in items if item.transaction_id})
        if not ids:
            return [Subject(item=item) for item in items]
        async with self._database.reading() as connection:
            transactions = await connection.rows(self._queries("transactions", ids=ids))
            made = await connection.rows(self._queries("operations", transaction_ids=ids))
        rows = {row.id: row for row in map(transaction_row, transactions)}
        operations: defaultdict[str, list[OperationRow]] = defaultdict(list)
        for operation in map(operation_row, made):
            operations[operation.transaction_id].append(operation)
        return [
            Subject(item=item, row=rows.get(item.transaction_id), operations=operations.get(item.transaction_id, ()))
            for item in items
        ]
