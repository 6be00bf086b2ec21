"""Which Deriv account is whose. Tokens are sealed with the customer's data key."""

import hashlib
from datetime import datetime

from penpay.adapters.database import Database
from penpay.adapters.kyc_store import take_snapshot
from penpay.adapters.mysql import Connection
from penpay.domain.accounts import AccountFacts, DerivLink, LinkStatus
from penpay.domain.kyc import Reason
from penpay.ports import Duplicate, Sealer


class MySqlDerivLinks:
    """`penpay.http.accounts.DerivLinks` on the database. Raises `Unavailable`."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._queries = database.queries("users")
        self._kyc = database.queries("kyc")

    async def open_link(self, user_id: str, *, state: str, expires_at: datetime, at: datetime) -> None:
        await self._database.write(
            self._queries("add_link_state", state_hash=_hash(state), user_id=user_id, expires_at=expires_at, at=at)
        )

    async def use_link_state(self, state: str, *, at: datetime) -> str:
        """After a lost commit the state counts as used: the customer starts again."""

        async def work(connection: Connection) -> str:
            rows = await connection.rows(self._queries("link_state", state_hash=_hash(state), at=at))
            if not rows:
                return ""
            await connection.query(self._queries("use_link_state", state_hash=_hash(state), at=at))
            return str(rows[0][0])

        return await self._database.transact(work)

    async def give_back_link_state(self, state: str) -> None:
        await self._database.write(self._queries("give_back_link_state", state_hash=_hash(state)))

    async def link(
        self,
        user_id: str,
        facts: AccountFacts,
        token: str,
        status: LinkStatus,
        *,
        score: int,
        match_id: str,
        at: datetime,
    ) -> bool:
        key_rows = await self._database.rows(self._queries("data_key", user_id=user_id))
        if not key_rows:
            return False
        data_key = key_rows[0][0]
        change = self._change(user_id, facts, token, status, data_key=data_key, at=at)
        match = self._kyc(
            "add_match",
            id=match_id,
            user_id=user_id,
            rail="deriv",
            reference=facts.loginid,
            score=score,
            matched=status is LinkStatus.ACTIVE,
            name_sealed=self._sealer.seal(
                facts.fullname.encode(),
                aad=f"name_matches|name_sealed|{match_id}",
                user_id=user_id,
                data_key=data_key,
            ),
            at=at,
        )
        reason = Reason.DERIV_LINKED if status is LinkStatus.ACTIVE else Reason.NAME_DIFFERS

        async def work(connection: Connection) -> bool:
            if not await connection.rows(self._queries("lock_user", user_id=user_id)):
                return False
            for statement in (self._queries("seed_link", user_id=user_id, at=at), change, match):
                await connection.query(statement)
            await take_snapshot(connection, self._kyc, user_id, reason, at=at)
            return True

        try:
            return await self._database.transact(work)
        except Duplicate:
            return False

    def _change(
        self, user_id: str, facts: AccountFacts, token: str, status: LinkStatus, *, data_key: bytes, at: datetime
    ) -> str:
        return self._queries(
            "set_link",
            user_id=user_id,
            status=status,
            loginid=facts.loginid,
            active_loginid=facts.loginid if status is LinkStatus.ACTIVE else None,
            currency=facts.currency,
            token_sealed=self._seal("token_sealed", user_id, token, data_key),
            fullname_sealed=self._seal("fullname_sealed", user_id, facts.fullname, data_key),
            email_sealed=self._seal("email_sealed", user_id, facts.email, data_key),
            at=at,
        )

    async def deriv_link(self, user_id: str) -> DerivLink:
        rows = await self._database.rows(self._queries("link", user_id=user_id))
        if not rows or rows[0][0] == LinkStatus.NONE:
            return DerivLink(status=LinkStatus.NONE)
        status, loginid, currency, linked_at, token_sealed, email_sealed, data_key = rows[0]
        return DerivLink(
            status=LinkStatus(status),
            loginid=loginid,
            currency=currency,
            linked_at=linked_at,
            token=self._open("token_sealed", user_id, token_sealed, data_key),
            email=self._open("email_sealed", user_id, email_sealed, data_key),
        )

    async def unlink(self, user_id: str, *, at: datetime) -> None:
        await self._database.write(self._queries("unlink", user_id=user_id, at=at))

    def _seal(self, column: str, user_id: str, value: str, data_key: bytes) -> bytes:
        aad = f"deriv_links|{column}|{user_id}"
        return self._sealer.seal(value.encode(), aad=aad, user_id=user_id, data_key=data_key)

    def _open(self, column: str, user_id: str, sealed: bytes, data_key: bytes) -> str:
        aad = f"deriv_links|{column}|{user_id}"
        return self._sealer.open(sealed, aad=aad, user_id=user_id, data_key=data_key).decode()


def _hash(state: str) -> bytes:
    return hashlib.sha256(state.encode()).digest()
