"""What is known of customers, version by version, and the questions to staff about names. Under row locks, any node."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from penpay.adapters.database import Database
from penpay.adapters.mysql import Connection
from penpay.adapters.mysql_wire import Row
from penpay.adapters.notice_store import notice_query
from penpay.adapters.sql_text import Queries
from penpay.domain.kyc import Reason
from penpay.domain.notices import NoticeKind
from penpay.ports import Duplicate, Sealer

QUESTIONS_MAX = 50


@dataclass(frozen=True, slots=True)
class NameQuestion:
    """A link in another name that staff must decide about."""

    review_id: str
    user_id: str
    shard: int
    linked_at: datetime
    score: int


async def take_snapshot(
    connection: Connection,
    queries: Queries,
    user_id: str,
    reason: Reason,
    *,
    at: datetime,
    actor: str = "",
    reference: str = "",
) -> None:
    """Raise the tier as far as what is known allows, and write down what is known. Part of the caller's change."""
    await connection.query(queries("reach_tier", user_id=user_id, at=at))
    await connection.query(
        queries(
            "snapshot",
            user_id=user_id,
            reason=reason,
            actor=actor or f"user:{user_id}",
            reference=reference,
            at=at,
        )
    )


class MySqlKyc:
    """`penpay.http.names.NameRecords` on the database, and what its job needs. Raises `Unavailable`."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._queries = database.queries("kyc")
        self._notices = database.queries("notices")
        self._payees = database.queries("payees")

    async def set_tier(self, user_id: str, tier: int, *, actor: str, reference: str, at: datetime) -> None:
        async def work(connection: Connection) -> None:
            await connection.query(self._queries("set_tier", user_id=user_id, tier=tier, at=at))
            await take_snapshot(
                connection, self._queries, user_id, Reason.STAFF, at=at, actor=actor, reference=reference
            )

        await self._database.transact(work)

    async def approve(self, review_id: str, *, actor: str, reference: str, notice_id: str, at: datetime) -> str:
        """Empty when done; else the code of the problem that stands in the way. Repeating it changes nothing."""

        async def work(connection: Connection) -> str:
            rows = await connection.rows(self._queries("lock_link", review_id=review_id))
            user_id, status, _ = rows[0] if rows else ("", "none", "")
            if status == "active":
                return ""
            if status != "name_mismatch":
                return "review_not_resolvable"
            try:
                await connection.query(self._queries("approve_link", user_id=user_id, at=at))
            except Duplicate:
                return "deriv_account_taken"
            await take_snapshot(
                connection, self._queries, user_id, Reason.NAME_APPROVED, at=at, actor=actor, reference=reference
            )
            told = notice_query(self._notices, notice_id, user_id, NoticeKind.DERIV_LINKED, at=at)
            await connection.query(told)
            return ""

        return await self._database.transact(work)

    async def refuse(self, review_id: str, *, notice_id: str, at: datetime) -> None:
        """Forget the link, unless the customer has changed it since."""

        async def work(connection: Connection) -> None:
            rows = await connection.rows(self._queries("lock_link", review_id=review_id))
            if not rows or rows[0][1] != "name_mismatch":
                return
            user_id = rows[0][0]
            await connection.query(self._queries("refuse_link", user_id=user_id, at=at))
            told = notice_query(self._notices, notice_id, user_id, NoticeKind.DERIV_REFUSED, at=at)
            await connection.query(told)

        await self._database.transact(work)

    async def both_names(self, review_id: str) -> tuple[str, str] | None:
        """The registered name and Deriv's, opened for people who compare them."""
        rows = await self._database.rows(self._queries("both_names", review_id=review_id))
        return self._opened(rows[0], f"deriv_links|fullname_sealed|{rows[0][0]}") if rows else None

    async def payee_names(self, review_id: str) -> tuple[str, str] | None:
        """The registered name and M-Pesa's; the question has the id of the name that it is about."""
        rows = await self._database.rows(self._payees("both_names", id=review_id))
        return self._opened(rows[0], f"name_matches|name_sealed|{review_id}") if rows else None

    def _opened(self, row: Row, their_place: str) -> tuple[str, str]:
        user_id, ours, theirs, data_key = row
        ours_opened, theirs_opened = (
            self._sealer.open(sealed, aad=aad, user_id=user_id, data_key=data_key).decode()
            for sealed, aad in ((ours, f"users|name_sealed|{user_id}"), (theirs, their_place))
        )
        return ours_opened, theirs_opened

    async def questions(self, *, new_id: Callable[[], str]) -> Sequence[NameQuestion]:
        """Questions that do not stand before staff yet, each with the id that it keeps."""
        found = []
        for user_id, shard, known, linked_at, score in await self._database.rows(
            self._queries("unasked", limit=QUESTIONS_MAX)
        ):
            review_id = known or await self._named(user_id, new_id())
            if review_id:
                found.append(NameQuestion(review_id, user_id, shard, linked_at, score))
        return found

    async def _named(self, user_id: str, new_id: str) -> str:
        """The id of a question that had none; another node may have been faster. Empty when the link has gone."""
        await self._database.write(self._queries("name_question", user_id=user_id, review_id=new_id))
        rows = await self._database.rows(self._queries("question", user_id=user_id))
        return str(rows[0][0]) if rows else ""

    async def outlived(self) -> Sequence[tuple[str, int]]:
        """Open questions about links that are gone, with their shard."""
        rows = await self._database.rows(self._queries("answered_by_time", limit=QUESTIONS_MAX))
        return [(str(id_), int(shard)) for id_, shard in rows]
