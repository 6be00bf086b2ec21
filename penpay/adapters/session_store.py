"""Signed-in devices and their refresh tokens. A token is known by its SHA-256 only, and every one is remembered."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from penpay.adapters.database import Database
from penpay.adapters.mysql import Connection
from penpay.adapters.notice_store import notice_query
from penpay.domain.accounts import NewSession, Rotation, SignedIn
from penpay.domain.notices import NoticeKind
from penpay.ports import Sealer, SessionBell

REPEAT_GRACE = timedelta(seconds=10)
"""A device whose answer got lost may repeat its exchange this long; it gets the very same successor."""
log = structlog.get_logger()


class MySqlSessions:
    """`penpay.http.accounts.Sessions` on the database. Raises `Unavailable`."""

    def __init__(self, database: Database, sealer: Sealer, bell: SessionBell, *, idle_s: float = 604_800.0) -> None:
        self._database = database
        self._sealer = sealer
        self._bell = bell
        self._idle = timedelta(seconds=idle_s)
        self._queries = database.queries("users")
        self._notices = database.queries("notices")

    async def open_session(self, new: NewSession, *, devices_max: int, held_until: datetime) -> bool:
        queries = self._queries

        async def work(connection: Connection) -> bool:
            if not await connection.rows(queries("lock_user", user_id=new.user_id)):
                return False
            signed_in = await connection.rows(
                queries("devices", user_id=new.user_id, at=new.created_at, used_after=new.created_at - self._idle)
            )
            if len({device for (device,) in signed_in} - {new.device_id}) >= devices_max:
                return False
            known = queries("seen_devices", user_id=new.user_id, device_id=new.device_id, id=new.id)
            this_one, any_one = (await connection.rows(known))[0]
            if any_one and not this_one:
                hold = queries("hold_withdrawals", user_id=new.user_id, held_until=held_until, at=new.created_at)
                await connection.query(hold)
                # A session is opened once, so its id names the notice too.
                told = notice_query(self._notices, new.id, new.user_id, NoticeKind.DEVICE_ADDED, at=new.created_at)
                await connection.query(told)
            await connection.query(
                queries("end_device", user_id=new.user_id, device_id=new.device_id, id=new.id, at=new.created_at)
            )
            await connection.query(
                queries(
                    "add_session",
                    id=new.id,
                    user_id=new.user_id,
                    device_id=new.device_id,
                    device_name=new.device_name,
                    platform=new.platform,
                    at=new.created_at,
                    expires_at=new.expires_at,
                )
            )
            token_hash = _hash(new.token)
            await connection.query(queries("add_token", token_hash=token_hash, session_id=new.id, at=new.created_at))
            return True

        opened = await self._database.transact(work)
        if opened:
            # The device's older session has ended.
            self._bell.ring(new.user_id)
        return opened

    async def rotate(self, token: str, *, device_id: str, successor: str, at: datetime) -> Rotation | None:
        async def work(connection: Connection) -> tuple[Rotation | None, str]:
            rows = await connection.rows(self._queries("token", token_hash=_hash(token)))
            if not rows:
                return None, ""
            session_id, spent_at, successor_sealed, user_id, owner, expires_at, ended_at, used_at = rows[0]
            if ended_at is not None or expires_at <= at or used_at + self._idle <= at:
                return None, ""
            following = successor
            if spent_at is not None and owner == device_id and at - spent_at <= REPEAT_GRACE:
                following = await self._same_successor(connection, token, successor_sealed)
            elif spent_at is None and owner == device_id:
                await self._exchange(connection, token, successor, session_id, at)
            else:
                following = ""
            if not following:
                # Two hold this token: one of them is not the customer, and nobody can tell which.
                log.warning("refresh_token_reused", user_id=user_id, session_id=session_id)
                await connection.query(self._queries("end_session", id=session_id, reason="token_reused", at=at))
                return None, user_id
            rotation = Rotation(user_id=user_id, session_id=session_id, token=following, expires_at=expires_at)
            return rotation, ""

        rotation, ended = await self._database.transact(work)
        if ended:
            self._bell.ring(ended)
        return rotation

    async def _same_successor(self, connection: Connection, token: str, sealed: bytes) -> str:
        """What the first exchange of this token answered; empty once that was exchanged itself: then it did arrive."""
        successor = self._sealer.open(sealed, aad=_aad(token)).decode()
        ((spent_at,),) = await connection.rows(self._queries("spent", token_hash=_hash(successor)))
        return "" if spent_at is not None else successor

    async def _exchange(
        self, connection: Connection, token: str, successor: str, session_id: str, at: datetime
    ) -> None:
        sealed = self._sealer.seal(successor.encode(), aad=_aad(token))
        for statement in (
            self._queries("spend_token", token_hash=_hash(token), successor_sealed=sealed, at=at),
            self._queries("add_token", token_hash=_hash(successor), session_id=session_id, at=at),
            self._queries("use_session", id=session_id, at=at),
        ):
            await connection.query(statement)

    async def close_sessions(self, token: str, *, device_id: str, everywhere: bool, at: datetime) -> bool:
        """False when the token is nobody's, or another device's."""

        async def work(connection: Connection) -> str:
            rows = await connection.rows(self._queries("token", token_hash=_hash(token)))
            if not rows or rows[0][4] != device_id:
                return ""
            session_id, user_id = rows[0][0], rows[0][3]
            if everywhere:
                await connection.query(self._queries("end_sessions", user_id=user_id, reason="signed_out", at=at))
            else:
                await connection.query(self._queries("end_session", id=session_id, reason="signed_out", at=at))
            return str(user_id)

        user_id = await self._database.transact(work)
        if user_id:
            self._bell.ring(user_id)
        return bool(user_id)

    async def devices(self, user_id: str, *, at: datetime) -> Sequence[SignedIn]:
        rows = await self._database.rows(self._queries("signed_in", user_id=user_id, at=at, used_after=at - self._idle))
        return [
            SignedIn(
                device_id=device_id,
                device_name=device_name,
                platform=platform,
                signed_in_at=created_at,
                used_at=used_at,
                session_id=session_id,
            )
            for device_id, device_name, platform, created_at, used_at, session_id in rows
        ]

    async def remove_device(self, user_id: str, device_id: str, *, at: datetime) -> bool:
        """After a lost answer of the database it may say that there was nothing to remove."""
        ended = await self._database.write(self._queries("remove_device", user_id=user_id, device_id=device_id, at=at))
        if ended:
            self._bell.ring(user_id)
        return ended > 0


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _aad(token: str) -> str:
    return f"refresh_tokens|successor_sealed|{_hash(token).hex()}"
