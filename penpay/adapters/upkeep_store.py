"""Sign-ins on their way into the chain, and rows of identity that have had their time."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from penpay.adapters.audit_store import MySqlSysAudit
from penpay.adapters.database import Database
from penpay.adapters.forgetting import Forgetting
from penpay.adapters.mysql import Connection
from penpay.adapters.mysql_wire import Row
from penpay.domain.unit import AuditRecord

BATCH = 200
DELETE_MAX = 1_000
TOKENS_KEPT = timedelta(days=62)
"""Twice as long as a session may live by default."""
STATES_KEPT = timedelta(days=1)
NOTICES_KEPT = timedelta(days=90)
UNVERIFIED_KEPT = timedelta(hours=24)
"""Codes end after minutes; who comes back later registers again."""


class MySqlUpkeep:
    """`penpay.app.identity_jobs` on the database. Raises `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries("upkeep")
        self._chain = MySqlSysAudit(database)
        self._forgetting = Forgetting(database)

    async def record_sign_ins(self, *, at: datetime) -> int:
        """Write beginnings and ends of sessions into the chain, then mark them: twice is better than not at all."""

        async def work(connection: Connection) -> int:
            rows = await connection.rows(self._queries("unrecorded", limit=BATCH))
            records = [record for row in rows for record in _records(row)]
            if records:
                await self._chain.append(records, at=at)
                await connection.query(self._queries("record", ids=[row[0] for row in rows]))
            return len(records)

        return await self._database.transact(work)

    async def forget_old(self, *, at: datetime) -> int:
        """Take away a bounded number of rows that serve nobody any more."""
        kept = {"old_tokens": TOKENS_KEPT, "old_states": STATES_KEPT, "old_notices": NOTICES_KEPT}
        gone = 0
        for name, kept_for in kept.items():
            gone += await self._database.write(self._queries(name, before=at - kept_for, limit=DELETE_MAX))

        async def registrations(connection: Connection) -> int:
            return await self._forgetting.unverified_before(connection, at - UNVERIFIED_KEPT, limit=BATCH)

        return gone + await self._database.transact(registrations)


def _records(row: Row) -> Sequence[AuditRecord]:
    """What the chain does not know of a session. Its device's name is the customer's and stays out."""
    session_id, user_id, platform, created_at, ended_at, end_reason, recorded = row
    actor, found = f"user:{user_id}", []
    if recorded == 0:
        detail = {"platform": platform, "at": created_at.isoformat()}
        found.append(AuditRecord(actor=actor, action="session.opened", subject=session_id, detail=detail))
    if ended_at is not None:
        detail = {"reason": end_reason, "at": ended_at.isoformat()}
        found.append(AuditRecord(actor=actor, action="session.ended", subject=session_id, detail=detail))
    return found
