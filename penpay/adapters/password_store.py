"""Forgotten and changed passwords. For an unknown address the same statements run as for a known one.

Every change of a password ends sessions, holds withdrawals and leaves a notice, in one transaction.
"""

from collections.abc import Sequence
from datetime import datetime

from penpay.adapters.code_store import SentCodes
from penpay.adapters.database import Database
from penpay.adapters.mysql import Connection
from penpay.adapters.notice_store import notice_query
from penpay.domain.accounts import CodeTry, NewCode, Purpose
from penpay.domain.notices import NoticeKind
from penpay.ports import IndexSealer, SessionBell


class MySqlPasswordChanges:
    """`penpay.http.accounts.PasswordChanges` on the database. Raises `Unavailable`."""

    def __init__(self, database: Database, sealer: IndexSealer, bell: SessionBell) -> None:
        self._database = database
        self._sealer = sealer
        self._bell = bell
        self._queries = database.queries("recovery")
        self._codes = SentCodes(database)
        self._notices = database.queries("notices")

    async def ask_reset(self, email: str, new: NewCode) -> str:
        email_index, *former = self._email_indexes(email)
        contact = self._queries("phone_of_email", email_indexes=(email_index, *former))

        async def work(connection: Connection) -> tuple[bool, str, bytes, bytes]:
            rows = await connection.rows(contact)
            user_id, phone_sealed, data_key = rows[0] if rows else ("", b"", b"")
            sends = await self._codes.put(connection, user_id, Purpose.PASSWORD, new, target_index=email_index)
            return sends, user_id, phone_sealed, data_key

        sends, user_id, phone_sealed, data_key = await self._database.transact(work)
        if not sends:
            return ""
        aad = f"users|phone_sealed|{user_id}"
        return self._sealer.open(phone_sealed, aad=aad, user_id=user_id, data_key=data_key).decode()

    async def reset(
        self,
        email: str,
        *,
        code_hash: bytes,
        password_hash: str,
        held_until: datetime,
        notice_id: str,
        at: datetime,
    ) -> bool:
        locked = self._queries("lock_password", email_indexes=self._email_indexes(email))
        tried = CodeTry(purpose=Purpose.PASSWORD, code_hash=code_hash, at=at)

        async def work(connection: Connection) -> str:
            rows = await connection.rows(locked)
            user_id, present = rows[0] if rows else ("", "")
            if present == password_hash:
                # Run again after a lost answer of the commit: it was done.
                return str(user_id)
            if not await self._codes.opens(connection, user_id, tried):
                return ""
            await self._codes.use_up(connection, user_id, tried)
            await self._replace(connection, user_id, password_hash, held_until, at)
            await connection.query(
                self._queries("end_sessions", user_id=user_id, keep="", reason="password_reset", at=at)
            )
            await connection.query(notice_query(self._notices, notice_id, user_id, NoticeKind.PASSWORD_RESET, at=at))
            return str(user_id)

        user_id = await self._database.transact(work)
        if user_id:
            self._bell.ring(user_id)
        return bool(user_id)

    async def change(
        self,
        user_id: str,
        *,
        password_hash: str,
        keep_session: str,
        held_until: datetime,
        notice_id: str,
        at: datetime,
    ) -> None:
        async def work(connection: Connection) -> None:
            await self._replace(connection, user_id, password_hash, held_until, at)
            await connection.query(
                self._queries("end_sessions", user_id=user_id, keep=keep_session, reason="password_changed", at=at)
            )
            await connection.query(notice_query(self._notices, notice_id, user_id, NoticeKind.PASSWORD_CHANGED, at=at))

        await self._database.transact(work)
        self._bell.ring(user_id)

    async def _replace(
        self, connection: Connection, user_id: str, password_hash: str, held_until: datetime, at: datetime
    ) -> None:
        await connection.query(
            self._queries(
                "replace_password", user_id=user_id, password_hash=password_hash, held_until=held_until, at=at
            )
        )

    def _email_indexes(self, email: str) -> Sequence[bytes]:
        return self._sealer.blind_indexes(f"email|{email}")
