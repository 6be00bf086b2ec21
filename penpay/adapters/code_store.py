"""Codes that were sent to customers, one per customer and purpose: their hashes, tries, pauses and ends.

Part of the transactions of others: what a right code opens is written together with its use. Every method runs the same
statements for nobody as for somebody.
"""

from collections.abc import Sequence
from hmac import compare_digest

from penpay.adapters.database import Database
from penpay.adapters.mysql import Connection
from penpay.adapters.mysql_wire import Row
from penpay.domain.accounts import CodeTry, NewCode, Purpose
from penpay.domain.identity import CODE_ATTEMPTS_MAX, CODE_CANDIDATES_MAX


class SentCodes:
    """The table of sent codes. Raises `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._queries = database.queries("codes")

    async def put(
        self, connection: Connection, user_id: str, purpose: Purpose, new: NewCode, *, target_index: bytes
    ) -> bool:
        """Whether this code counts from now on. False: there is no such customer, or a fresh code is on its way."""
        await connection.query(
            self._queries(
                "put",
                user_id=user_id,
                purpose=purpose,
                target_index=target_index,
                code_hash=new.code_hash,
                resend_at=new.resend_at,
                expires_at=new.expires_at,
                at=new.sent_at,
            )
        )
        stands = self._queries("stands", user_id=user_id, purpose=purpose, code_hash=new.code_hash)
        return bool(await connection.rows(stands))

    async def opens(self, connection: Connection, user_id: str, tried: CodeTry) -> bool:
        """Whether it is this customer's code. A wrong one is counted before anything is said."""
        query = self._queries(
            "of_customer", user_id=user_id, purpose=tried.purpose, at=tried.at, attempts_max=CODE_ATTEMPTS_MAX
        )
        return bool(await self._owner(connection, await connection.rows(query), tried))

    async def owner(self, connection: Connection, target_indexes: Sequence[bytes], tried: CodeTry) -> str:
        """Whose code it is among those that went to this place; empty when it is nobody's."""
        query = self._queries(
            "of_target",
            target_indexes=target_indexes,
            purpose=tried.purpose,
            at=tried.at,
            attempts_max=CODE_ATTEMPTS_MAX,
            limit=CODE_CANDIDATES_MAX,
        )
        return await self._owner(connection, await connection.rows(query), tried)

    async def use_up(self, connection: Connection, user_id: str, tried: CodeTry) -> None:
        """Make the code worthless."""
        query = self._queries(
            "use_up", user_id=user_id, purpose=tried.purpose, attempts_max=CODE_ATTEMPTS_MAX, at=tried.at
        )
        await connection.query(query)

    async def _owner(self, connection: Connection, rows: Sequence[Row], tried: CodeTry) -> str:
        matching = [str(user_id) for user_id, stored in rows if compare_digest(stored, tried.code_hash)]
        if matching:
            return matching[0]
        missed = self._queries("count_attempt", user_ids=[user_id for user_id, _ in rows], purpose=tried.purpose)
        await connection.query(missed)
        return ""
