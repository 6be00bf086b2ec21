"""The customers' PINs in `penpay_users`: every try is counted, durably, before it is judged. Source: faults.md S11.

The count stands in the database and not in Redis, so that neither a flush nor a restart gives anybody new tries.
"""

from datetime import datetime

from penpay.adapters.database import Database
from penpay.adapters.mysql import Connection
from penpay.adapters.notice_store import notice_query
from penpay.domain.accounts import PinTry
from penpay.domain.identity import PIN_LOCK, PIN_TRIES_MAX
from penpay.domain.notices import NoticeKind


class MySqlPins:
    """`penpay.http.accounts.Pins` on the database. Raises `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries("pins")
        self._notices = database.queries("notices")

    async def begin_try(self, user_id: str, *, at: datetime) -> PinTry:
        async def work(connection: Connection) -> PinTry:
            rows = await connection.rows(self._queries("lock_pin", user_id=user_id))
            if not rows:
                return PinTry(pin_hash="")
            pin_hash, failures, locked_until, held_until = rows[0]
            held = held_until if held_until is not None and held_until > at else None
            if not pin_hash:
                return PinTry(pin_hash="", held_until=held)
            if locked_until is not None and locked_until > at:
                return PinTry(pin_hash=pin_hash, locked_until=locked_until, held_until=held)
            number = 1 if locked_until is not None else failures + 1
            lock = at + PIN_LOCK if number >= PIN_TRIES_MAX else None
            await connection.query(
                self._queries("count_try", user_id=user_id, failures=number, locked_until=lock, at=at)
            )
            return PinTry(pin_hash=pin_hash, number=number, held_until=held)

        return await self._database.transact(work)

    async def passed(self, user_id: str, tried: PinTry, *, at: datetime) -> None:
        await self._database.write(self._queries("forget_tries", user_id=user_id, pin_hash=tried.pin_hash, at=at))

    async def give_back(self, user_id: str, tried: PinTry, *, at: datetime) -> None:
        query = self._queries("give_back", user_id=user_id, pin_hash=tried.pin_hash, failures=tried.number, at=at)
        await self._database.write(query)

    async def set_pin(
        self, user_id: str, pin_hash: str, *, held_until: datetime, notice_id: str, at: datetime
    ) -> datetime | None:
        async def work(connection: Connection) -> datetime | None:
            rows = await connection.rows(self._queries("lock_pin", user_id=user_id))
            if not rows or rows[0][0] == pin_hash:
                # Run again after a lost answer of the commit: it was done.
                return None
            locked_until: datetime | None = rows[0][2]
            if locked_until is not None and locked_until > at:
                return locked_until
            kind = NoticeKind.PIN_CHANGED if rows[0][0] else NoticeKind.PIN_SET
            await connection.query(
                self._queries("set_pin", user_id=user_id, pin_hash=pin_hash, held_until=held_until, at=at)
            )
            await connection.query(notice_query(self._notices, notice_id, user_id, kind, at=at))
            return None

        return await self._database.transact(work)
