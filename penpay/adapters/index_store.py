"""The change of the key of blind indexes: every customer is indexed anew, from what is sealed in their own row.

Look-ups try both keys meanwhile. One pass per start of a node: the node that learned the key last makes the last pass.
"""

from dataclasses import dataclass

import structlog

from penpay.adapters.crypto import KeySealer
from penpay.adapters.database import Database
from penpay.adapters.mysql_wire import Row
from penpay.ports import Duplicate

BATCH = 200
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What one run did. `left` rows could not be indexed: their key is gone, or two accounts have one address."""

    done: int
    left: int
    complete: bool


class MySqlIndexes:
    """The indexes of customers. Raises `Unavailable`."""

    def __init__(self, database: Database, sealer: KeySealer) -> None:
        self._database = database
        self._sealer = sealer
        self._queries = database.queries("indexes")
        self._after = ""
        self._left = 0
        self._complete = not sealer.turns_indexes

    async def reindex(self, *, batches_max: int) -> Reindexed:
        """Go on with the pass, a bounded number of rows. Several nodes may do it at once; every row changes once."""
        done = 0
        for _ in range(batches_max):
            if self._complete:
                break
            rows = await self._database.rows(self._queries("indexed", after=self._after, limit=BATCH))
            for row in rows:
                done += await self._turn(row)
            # What was done stays done: a run that breaks off goes on behind the last whole batch.
            self._after = rows[-1][0] if rows else self._after
            self._complete = len(rows) < BATCH
        return Reindexed(done, self._left, self._complete)

    async def _turn(self, row: Row) -> int:
        user_id, former_email, former_phone, *sealed, data_key = row
        try:
            email, phone = (
                self._sealer.open(value, aad=f"users|{column}|{user_id}", user_id=user_id, data_key=data_key).decode()
                for column, value in zip(("email_sealed", "phone_sealed"), sealed, strict=True)
            )
        except ValueError as error:
            return self._left_behind(user_id, str(error))
        email_index, phone_index = (
            self._sealer.blind_index(f"email|{email}"),
            self._sealer.blind_index(f"phone|{phone}"),
        )
        if (email_index, phone_index) == (former_email, former_phone):
            return 0
        query = self._queries(
            "reindex",
            id=user_id,
            email_index=email_index,
            phone_index=phone_index,
            former_email=former_email,
            former_phone=former_phone,
        )
        try:
            return await self._database.write(query)
        except Duplicate:
            return self._left_behind(user_id, "another account is found by the same")

    def _left_behind(self, user_id: str, reason: str) -> int:
        self._left += 1
        log.error("index_not_turned", user_id=user_id, reason=reason)
        return 0
