"""Customers, sessions and codes in `penpay_users`, under row locks: any node may write, no actor owns them.

Personal fields are sealed with the customer's data key; e-mail and phone are found through keyed indexes.
"""

from collections.abc import Sequence
from datetime import datetime

from config.limits import REQUESTS_MAX
from penpay.adapters.batching import Batcher
from penpay.adapters.code_store import SentCodes
from penpay.adapters.database import Database
from penpay.adapters.forgetting import Forgetting
from penpay.adapters.kyc_store import take_snapshot
from penpay.adapters.mysql import Connection
from penpay.adapters.mysql_wire import Row
from penpay.domain.accounts import (
    CodeTry,
    Credentials,
    Identity,
    NewAccount,
    NewCode,
    Profile,
    Purpose,
    Snapshot,
    Verification,
)
from penpay.domain.identity import mask_phone
from penpay.domain.kyc import Reason
from penpay.domain.notices import NoticeKind
from penpay.ports import Duplicate, IndexSealer

LOOKUPS_MAX = 64
"""Requests whose senders are looked up together."""


class MySqlIdentities:
    """`penpay.http.accounts.Accounts` on the database. Raises `Unavailable`."""

    def __init__(self, database: Database, sealer: IndexSealer) -> None:
        self._database = database
        self._sealer = sealer
        self._queries = database.queries("users")
        self._codes = SentCodes(database)
        self._forgetting = Forgetting(database)
        self._notices = database.queries("notices")
        self._kyc = database.queries("kyc")
        self._lookups: Batcher[tuple[str, str], tuple[Row, bool] | None] = Batcher(
            self._look_up, size=LOOKUPS_MAX, waiting_max=REQUESTS_MAX
        )

    async def identity(self, user_id: str, session_id: str) -> Identity | None:
        found = await self._lookups.put((user_id, session_id))
        # Opened here: a row that cannot be opened is the trouble of its own request only.
        return None if found is None else self._identity(user_id, found[0], session_live=found[1])

    async def _look_up(self, asked: Sequence[tuple[str, str]]) -> Sequence[tuple[Row, bool] | None]:
        """Requests that wait at the same time share one look; it begins after the last of them has asked."""
        users, sessions = {user_id for user_id, _ in asked}, {session_id for _, session_id in asked}
        query = self._queries("identities", user_ids=sorted(users), session_ids=sorted(sessions))
        facts: dict[str, Row] = {}
        living: set[tuple[str, str]] = set()
        for user_id, session_id, *known in await self._database.rows(query):
            facts[user_id] = tuple(known)
            living.add((user_id, session_id))
        return [(facts[one[0]], one in living) if one[0] in facts else None for one in asked]

    def _identity(self, user_id: str, facts: Row, *, session_live: bool) -> Identity:
        shard, status, phone_sealed, phone_mask, verified, kyc_tier, pin_set, loginid, data_key = facts
        return Identity(
            user_id=user_id,
            shard=shard,
            status=status,
            phone=self._open("phone_sealed", user_id, phone_sealed, data_key),
            phone_mask=phone_mask,
            phone_verified=bool(verified),
            kyc_tier=kyc_tier,
            pin_set=bool(pin_set),
            deriv_loginid=loginid,
            data_key=data_key,
            session_live=session_live,
        )

    async def profile(self, user_id: str) -> Profile | None:
        rows = await self._database.rows(self._queries("profile", user_id=user_id))
        if not rows:
            return None
        email_sealed, name_sealed, created_at, email_verified, held_until, data_key = rows[0]
        return Profile(
            email=self._open("email_sealed", user_id, email_sealed, data_key),
            full_name=self._open("name_sealed", user_id, name_sealed, data_key),
            created_at=created_at,
            email_verified=bool(email_verified),
            withdrawals_held_until=held_until,
        )

    async def register(self, new: NewAccount) -> bool:
        """The same sealing and the same statements for a known address, whose row stays as it is.

        An address is known once its account has a verified phone or is verified itself.
        """
        data_key = self._sealer.new_data_key(new.user_id)
        statements = self._registration(new, data_key)

        async def work(connection: Connection) -> bool:
            await self._forgetting.unverified_of_email(connection, self._email_indexes(new.email), for_=new.user_id)
            for statement in statements:
                await connection.query(statement)
            email_index, phone_index = self._email_indexes(new.email)[0], self._phone_indexes(new.phone)[0]
            await self._codes.put(connection, new.user_id, Purpose.PHONE, new.phone_code, target_index=phone_index)
            if new.email_code is not None:
                await self._codes.put(connection, new.user_id, Purpose.EMAIL, new.email_code, target_index=email_index)
            same = self._queries("user_of_email", email_indexes=self._email_indexes(new.email))
            ((owner,),) = await connection.rows(same)
            return bool(owner == new.user_id)

        return await self._database.transact(work)

    def _registration(self, new: NewAccount, data_key: bytes) -> tuple[str, str]:
        return (
            self._queries(
                "add_user",
                id=new.user_id,
                shard=new.shard,
                email_index=self._email_indexes(new.email)[0],
                email_indexes=self._email_indexes(new.email),
                phone_index=self._phone_indexes(new.phone)[0],
                email_sealed=self._seal("email_sealed", new.user_id, new.email, data_key),
                phone_sealed=self._seal("phone_sealed", new.user_id, new.phone, data_key),
                name_sealed=self._seal("name_sealed", new.user_id, new.full_name, data_key),
                phone_mask=mask_phone(new.phone),
                password_hash=new.password_hash,
                at=new.created_at,
            ),
            self._queries("add_data_key", user_id=new.user_id, wrapped=data_key, at=new.created_at),
        )

    async def renew_phone_code(self, phone: str, new: NewCode) -> bool:
        phone_index, *former = self._phone_indexes(phone)
        waiting = self._queries("waiting_for_phone", phone_indexes=(phone_index, *former))

        async def work(connection: Connection) -> bool:
            user_id = await _first(connection, waiting)
            return await self._codes.put(connection, user_id, Purpose.PHONE, new, target_index=phone_index)

        return await self._database.transact(work)

    async def renew_email_code(self, email: str, new: NewCode) -> bool:
        email_index, *former = self._email_indexes(email)
        waiting = self._queries("waiting_for_email", email_indexes=(email_index, *former))

        async def work(connection: Connection) -> bool:
            user_id = await _first(connection, waiting)
            return await self._codes.put(connection, user_id, Purpose.EMAIL, new, target_index=email_index)

        return await self._database.transact(work)

    async def verify_phone(self, phone: str, *, code_hash: bytes, at: datetime) -> Verification:
        """Repeating a right code while it is valid is right again, so a lost answer costs nothing."""
        tried = CodeTry(purpose=Purpose.PHONE, code_hash=code_hash, at=at)

        async def work(connection: Connection) -> Verification:
            phone_indexes = self._phone_indexes(phone)
            owner = await self._codes.owner(connection, phone_indexes, tried)
            if not owner:
                return Verification.WRONG
            holder = self._queries("holder_of_phone", phone_indexes=phone_indexes, user_id=owner)
            if await connection.rows(holder):
                return Verification.TAKEN
            verified = self._queries("set_phone_verified", user_id=owner, phone_index=phone_indexes[0], at=at)
            try:
                await connection.query(verified)
            except Duplicate:
                return Verification.TAKEN
            await take_snapshot(connection, self._kyc, owner, Reason.PHONE_VERIFIED, at=at)
            return Verification.VERIFIED

        return await self._database.transact(work)

    async def verify_email(self, email: str, *, code_hash: bytes, at: datetime) -> bool:
        """As for a phone, but an address is never two accounts' at once: a later registration replaced the earlier."""
        tried = CodeTry(purpose=Purpose.EMAIL, code_hash=code_hash, at=at)

        async def work(connection: Connection) -> bool:
            owner = await self._codes.owner(connection, self._email_indexes(email), tried)
            if owner:
                await connection.query(self._queries("set_email_verified", user_id=owner, at=at))
            return bool(owner)

        return await self._database.transact(work)

    async def notices(self, user_id: str, *, limit: int) -> Sequence[tuple[NoticeKind, datetime]]:
        rows = await self._database.rows(self._notices("of_user", user_id=user_id, limit=limit))
        return [(NoticeKind(kind), created_at) for kind, created_at in rows]

    async def snapshots(self, user_id: str) -> Sequence[Snapshot]:
        rows = await self._database.rows(self._kyc("snapshots", user_id=user_id))
        return [Snapshot(version=version, tier=tier, reason=reason, at=at) for version, tier, reason, at in rows]

    async def credentials(self, email: str, *, device_id: str) -> Credentials | None:
        query = self._queries("credentials", email_indexes=self._email_indexes(email), device_id=device_id)
        rows = await self._database.rows(query)
        if not rows:
            return None
        user_id, shard, password_hash, device_known = rows[0]
        return Credentials(user_id=user_id, shard=shard, password_hash=password_hash, device_known=bool(device_known))

    async def password_hash(self, user_id: str) -> str:
        rows = await self._database.rows(self._queries("password_hash", user_id=user_id))
        return str(rows[0][0]) if rows else ""

    async def set_password_hash(self, user_id: str, password_hash: str, *, at: datetime) -> None:
        await self._database.write(
            self._queries("set_password_hash", user_id=user_id, password_hash=password_hash, at=at)
        )

    def _email_indexes(self, email: str) -> Sequence[bytes]:
        return self._sealer.blind_indexes(f"email|{email}")

    def _phone_indexes(self, phone: str) -> Sequence[bytes]:
        return self._sealer.blind_indexes(f"phone|{phone}")

    def _seal(self, column: str, user_id: str, value: str, data_key: bytes) -> bytes:
        return self._sealer.seal(value.encode(), aad=f"users|{column}|{user_id}", user_id=user_id, data_key=data_key)

    def _open(self, column: str, user_id: str, sealed: bytes, data_key: bytes) -> str:
        aad = f"users|{column}|{user_id}"
        return self._sealer.open(sealed, aad=aad, user_id=user_id, data_key=data_key).decode()


async def _first(connection: Connection, query: str) -> str:
    """Whom a look-up finds; empty for nobody."""
    rows = await connection.rows(query)
    return str(rows[0][0]) if rows else ""
