"""What is kept of customers beside the books, taken away: with a customer who is forgotten, or with a registration.

Part of the transactions of others. A registration whose phone and address nobody verified reserves nothing: the next
one with its address replaces it, and time takes away what is left. Source: decisions.md part 7.
"""

from collections.abc import Sequence
from datetime import datetime

from penpay.adapters.database import Database
from penpay.adapters.mysql import Connection

_BELONGINGS = ("tokens", "sessions", "notices", "codes", "names", "link", "link_states", "key")


class Forgetting:
    """Takes rows away. Every method runs the same statements for nobody as for somebody. Raises `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._queries = database.queries("forgetting")

    async def belongings(self, connection: Connection, user_ids: Sequence[str]) -> None:
        """Everything but the customers' own rows."""
        for name in _BELONGINGS:
            await connection.query(self._queries(name, user_ids=user_ids))

    async def unverified_of_email(self, connection: Connection, email_indexes: Sequence[bytes], *, for_: str) -> None:
        """Earlier registrations of an address make way for the one that begins now."""
        query = self._queries("unverified_of_email", email_indexes=email_indexes, user_id=for_)
        await self._registrations(connection, await connection.rows(query))

    async def unverified_before(self, connection: Connection, before: datetime, *, limit: int) -> int:
        """How many of the registrations that are older than this were taken away."""
        query = self._queries("unverified_before", before=before, limit=limit)
        return await self._registrations(connection, await connection.rows(query))

    async def _registrations(self, connection: Connection, rows: Sequence[Sequence[str]]) -> int:
        user_ids = [user_id for (user_id,) in rows]
        # The row first: whoever signs in or verifies at this moment waits for it, and then finds nobody.
        await connection.query(self._queries("registrations", user_ids=user_ids))
        await self.belongings(connection, user_ids)
        return len(user_ids)
