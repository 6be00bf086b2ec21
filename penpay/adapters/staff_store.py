"""What staff decide about customers: approvals that work once, and forgetting somebody."""

import hashlib
import secrets
from datetime import datetime, timedelta

from penpay.adapters.database import Database
from penpay.adapters.forgetting import Forgetting
from penpay.adapters.mysql import Connection
from penpay.domain.accounts import UserStanding
from penpay.domain.review import Approval, folded_reference, person_key

VALID = timedelta(hours=24)
"""How long an approval may be repeated for the very same act, after a lost answer for instance."""


class MySqlApprovals:
    """`penpay.http.approvals.Approvals` on the database. Raises `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries("staff")

    async def claim(self, approval: Approval, *, action: str, subject: str, at: datetime) -> bool:
        reference_hash = _hash_of(approval)
        people = "|".join(sorted((person_key(approval.by), person_key(approval.second))))
        people_hash = hashlib.sha256(people.encode()).digest()
        await self._database.write(
            self._queries(
                "claim",
                reference_hash=reference_hash,
                action=action,
                subject=subject,
                people_hash=people_hash,
                at=at,
            )
        )
        ((*claimed, approved_at),) = await self._database.rows(self._queries("claimed", reference_hash=reference_hash))
        return claimed == [action, subject, people_hash] and at - approved_at < VALID

    async def free(self, approval: Approval, *, at: datetime) -> None:
        await self._database.write(self._queries("free", reference_hash=_hash_of(approval), at=at))


def _hash_of(approval: Approval) -> bytes:
    return hashlib.sha256(folded_reference(approval.evidence).encode()).digest()


class MySqlCustomerRecords:
    """`penpay.http.customers.CustomerRecords` on the database. Raises `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries("staff")
        self._forgetting = Forgetting(database)

    async def standing(self, user_id: str) -> UserStanding | None:
        rows = await self._database.rows(self._queries("standing", user_id=user_id))
        if not rows:
            return None
        shard, status, erased, kyc_tier = rows[0]
        return UserStanding(shard=shard, status=status, erased=bool(erased), kyc_tier=kyc_tier)

    async def open_money(self, user_id: str) -> tuple[tuple[str, str], ...]:
        rows = await self._database.rows(self._queries("open_money", user_id=user_id))
        return tuple((str(kind), str(id_)) for kind, id_ in rows)

    async def forget(self, user_id: str, *, at: datetime) -> None:
        """All of it in one transaction; repeating it finds nothing more to forget."""
        marker = self._queries(
            "forget_user",
            user_id=user_id,
            email_index=secrets.token_bytes(32),
            phone_index=secrets.token_bytes(32),
            at=at,
        )

        async def work(connection: Connection) -> None:
            # The row first: whoever signs in or registers at this moment waits for it.
            await connection.query(marker)
            await self._forgetting.belongings(connection, [user_id])

        await self._database.transact(work)
