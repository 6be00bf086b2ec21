"""The change of a customer's phone: number, hold, sessions and the message about it, in one transaction.

The message goes to the number that was there before. Payees of open transactions were copied at admission and stay.
"""

from collections.abc import Sequence
from datetime import datetime

from penpay.adapters.code_store import SentCodes
from penpay.adapters.database import Database
from penpay.adapters.kyc_store import take_snapshot
from penpay.adapters.mysql import Connection
from penpay.adapters.notice_store import notice_query
from penpay.domain.accounts import CodeTry, NewCode, PhoneChange, Purpose, Verification
from penpay.domain.identity import mask_phone
from penpay.domain.kyc import Reason
from penpay.domain.notices import NoticeKind
from penpay.ports import Duplicate, IndexSealer, SessionBell


class MySqlPhoneChanges:
    """`penpay.http.accounts.PhoneChanges` on the database. Raises `Unavailable`."""

    def __init__(self, database: Database, sealer: IndexSealer, bell: SessionBell) -> None:
        self._database = database
        self._sealer = sealer
        self._bell = bell
        self._queries = database.queries("phones")
        self._users = database.queries("users")
        self._notices = database.queries("notices")
        self._kyc = database.queries("kyc")
        self._codes = SentCodes(database)

    async def ask(self, user_id: str, phone: str, new: NewCode) -> bool:
        async def work(connection: Connection) -> bool:
            return await self._codes.put(
                connection, user_id, Purpose.NEW_PHONE, new, target_index=self._phone_indexes(phone)[0]
            )

        return await self._database.transact(work)

    async def change(self, change: PhoneChange, *, at: datetime) -> Verification:
        """Repeating a right code while it is valid changes nothing more."""
        user_id, phone_indexes = change.user_id, self._phone_indexes(change.phone)
        tried = CodeTry(purpose=Purpose.NEW_PHONE, code_hash=change.code_hash, at=at)

        async def work(connection: Connection) -> Verification:
            rows = await connection.rows(self._queries("lock_phone", user_id=user_id))
            if not rows or not await self._codes.opens(connection, user_id, tried):
                return Verification.WRONG
            present_index, verified, data_key = rows[0]
            if verified and present_index in phone_indexes:
                return Verification.VERIFIED
            holder = self._users("holder_of_phone", phone_indexes=phone_indexes, user_id=user_id)
            if await connection.rows(holder):
                return Verification.TAKEN
            try:
                await self._replace(connection, change, data_key, told=bool(verified), at=at)
            except Duplicate:
                return Verification.TAKEN
            return Verification.VERIFIED

        result = await self._database.transact(work)
        if result is Verification.VERIFIED:
            self._bell.ring(user_id)
        return result

    async def _replace(
        self, connection: Connection, change: PhoneChange, data_key: bytes, *, told: bool, at: datetime
    ) -> None:
        user_id = change.user_id
        if told:
            notice = notice_query(self._notices, change.notice_id, user_id, NoticeKind.PHONE_CHANGED, at=at)
            await connection.query(notice)
            await connection.query(self._queries("pin_notices", user_id=user_id))
        sealed = self._sealer.seal(
            change.phone.encode(), aad=f"users|phone_sealed|{user_id}", user_id=user_id, data_key=data_key
        )
        await connection.query(
            self._queries(
                "set_phone",
                user_id=user_id,
                phone_index=self._phone_indexes(change.phone)[0],
                phone_sealed=sealed,
                phone_mask=mask_phone(change.phone),
                held_until=change.held_until,
                at=at,
            )
        )
        await connection.query(self._queries("end_sessions", user_id=user_id, keep=change.keep_session, at=at))
        # Whoever holds the former number now may not set a password with what was sent there.
        await self._codes.use_up(connection, user_id, CodeTry(purpose=Purpose.PASSWORD, code_hash=b"", at=at))
        reason = Reason.PHONE_CHANGED if told else Reason.PHONE_VERIFIED
        await take_snapshot(connection, self._kyc, user_id, reason, at=at)

    def _phone_indexes(self, phone: str) -> Sequence[bytes]:
        return self._sealer.blind_indexes(f"phone|{phone}")
