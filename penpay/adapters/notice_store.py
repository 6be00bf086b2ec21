"""Messages about a customer's own account, kept until they were sent. Written by whoever makes the change."""

from collections.abc import Sequence
from datetime import datetime

from penpay.adapters.database import Database
from penpay.adapters.mysql import Connection
from penpay.adapters.sql_text import Queries
from penpay.domain.notices import Notice, NoticeKind
from penpay.ports import Sealer

RETRY_S = 10
"""Wait before the second try; it doubles with each further one."""


def notice_query(queries: Queries, notice_id: str, user_id: str, kind: NoticeKind, *, at: datetime) -> str:
    """The statement that belongs into the transaction of the change."""
    return queries("add", id=notice_id, user_id=user_id, kind=kind, at=at)


class MySqlNotices:
    """`penpay.app.identity_jobs.Notices` on the database. Raises `Unavailable`."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._queries = database.queries("notices")

    async def claim(self, *, limit: int, at: datetime) -> Sequence[Notice]:
        """Begin a try of what is due. A node that dies meanwhile leaves it to the next try."""

        async def work(connection: Connection) -> list[str]:
            ids = [str(id_) for (id_,) in await connection.rows(self._queries("due", limit=limit, at=at))]
            if ids:
                await connection.query(self._queries("claim", ids=ids, retry_s=RETRY_S, at=at))
            return ids

        ids = await self._database.transact(work)
        if not ids:
            return ()
        return [
            Notice(
                id=id_,
                user_id=user_id,
                kind=NoticeKind(kind),
                created_at=created_at,
                tries=tries,
                phone=self._sealer.open(
                    sealed, aad=f"users|phone_sealed|{user_id}", user_id=user_id, data_key=data_key
                ).decode(),
            )
            for id_, user_id, kind, created_at, tries, sealed, data_key in await self._database.rows(
                self._queries("claimed", ids=ids)
            )
        ]

    async def end(self, notice_id: str, outcome: str, *, at: datetime) -> None:
        """`sent`, `refused` or `given_up`."""
        await self._database.write(self._queries("end", id=notice_id, outcome=outcome, at=at))
