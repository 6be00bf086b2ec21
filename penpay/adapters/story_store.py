"""Reads everything about one transaction, for staff."""

from penpay.adapters.database import Database
from penpay.adapters.http_reads import MySqlReads
from penpay.adapters.review_store import MySqlReviews
from penpay.adapters.saga_store import MySqlSagaStore
from penpay.domain.story import KnownReference, Leg, Story
from penpay.ports import Sealer


class MySqlStories:
    """Transactions of the whole installation. Raises `Unavailable`."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sagas = MySqlSagaStore(database, sealer)
        self._reads = MySqlReads(database)
        self._reviews = MySqlReviews(database)
        self._queries = database.queries("overview")

    async def story(self, transaction_id: str) -> Story | None:
        """None when there is no such transaction."""
        rows = await self._sagas.load(transaction_id)
        if rows is None:
            return None
        legs = await self._database.rows(self._queries("postings_of", transaction_id=transaction_id))
        return Story(
            row=rows.row,
            operations=rows.operations,
            steps=await self._reads.steps(transaction_id),
            legs=[Leg(posting, account, currency, int(minor), at) for posting, account, currency, minor, at in legs],
            questions=await self._reviews.about(transaction_id),
            unconsumed=len(rows.inbox),
        )

    async def known(self, ref: str) -> list[KnownReference]:
        """What an id that a provider gave belongs to, as it was typed or in capitals."""
        rows = await self._database.rows(self._queries("known_reference", refs=[ref, ref.upper()]))
        return [KnownReference(kind, found, transaction or "", at) for kind, found, transaction, at in rows]
