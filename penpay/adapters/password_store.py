"""Forgotten and changed passwords. For an unknown address the same statements run as for a known one.

Every change of a password ends sessions, holds withdrawals and leaves a notice, in one transaction.
"""

from datetime import datetime
from hmac import compare_digest

from penpay.adapters.database import Database
from penpay.adapters.mysql import Connection
from penpay.adapters.notice_store import notice_query
from penpay.domain.identity import CODE_ATTEMPTS_MAX
from penpay.domain.notices import NoticeKind
from penpay.ports import Sealer

_NOTHING = b"\0" * 32
_NOBODY = ("", None, "")


class MySqlPasswordChanges:
    """`penpay.http.accounts.PasswordChanges` on the database. Raises `Unavailable`."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._queries = database.queries("recovery")
        self._notices = database.queries("notices")

    async def ask_reset(
        self, email: str, *, code_hash: bytes, expires_at: datetime, resend_at: datetime, at: datetime
    ) -> str:
        email_index = self._email_index(email)
        put = self._queries(
            "put_code",
            email_index=email_index,
            code_hash=code_hash,
            expires_at=expires_at,
            resend_at=resend_at,
            at=at,
        )
        await self._database.write(put)
        rows = await self._database.rows(self._queries("contact", email_index=email_index, code_hash=code_hash))
        if not rows:
            return ""
        user_id, phone_sealed, data_key = rows[0]
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
        locked = self._queries("lock_code", email_index=self._email_index(email), at=at, attempts_max=CODE_ATTEMPTS_MAX)

        async def work(connection: Connection) -> bool:
            rows = await connection.rows(locked)
            user_id, stored, present = rows[0] if rows else _NOBODY
            if present == password_hash:
                # Run again after a lost answer of the commit: it was done.
                return True
            if not compare_digest(stored or _NOTHING, code_hash):
                await connection.query(
                    self._queries("count_try", user_id=user_id, attempts_max=CODE_ATTEMPTS_MAX, at=at)
                )
                return False
            await connection.query(self._queries("use_code", user_id=user_id, attempts_max=CODE_ATTEMPTS_MAX, at=at))
            await self._replace(connection, user_id, password_hash, held_until, at)
            await connection.query(
                self._queries("end_sessions", user_id=user_id, keep="", reason="password_reset", at=at)
            )
            await connection.query(notice_query(self._notices, notice_id, user_id, NoticeKind.PASSWORD_RESET, at=at))
            return True

        return await self._database.transact(work)

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

    async def _replace(
        self, connection: Connection, user_id: str, password_hash: str, held_until: datetime, at: datetime
    ) -> None:
        await connection.query(
            self._queries(
                "replace_password", user_id=user_id, password_hash=password_hash, held_until=held_until, at=at
            )
        )

    def _email_index(self, email: str) -> bytes:
        return self._sealer.blind_index(f"email|{email}")
