"""Reads of the chains, and the one chain that is written outside of a ledger."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from penpay.adapters.database import Database
from penpay.adapters.ledger_rows import POSTING_ID_STEP
from penpay.adapters.mysql import Connection
from penpay.adapters.mysql_wire import Row
from penpay.adapters.sql_text import row
from penpay.domain.chain import at_text, audit_hash, audit_head
from penpay.domain.json_text import canonical_json
from penpay.domain.unit import AuditRecord
from penpay.ports_audit import AUDIT, POSTINGS, SYS, ChainHead, Sighting

PAGE = 2_000


class MySqlHeads:
    """`penpay.ports_audit.HeadsStore` on the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries("audit")

    async def look(self) -> Sighting:
        async with self._database.reading() as connection:
            installation_id, server = (await connection.rows(self._queries("sighting")))[0]
            shards = await connection.rows(self._queries("shard_heads"))
            sys_seq, sys_hash = (await connection.rows(self._queries("sys_head")))[0]
        heads = [ChainHead(SYS, sys_seq, sys_hash)]
        unit_seqs = {}
        for name, unit_seq, chain_seq, chain_hash, audit_seq, audit_hash_ in shards:
            shard = int(name.removeprefix("shard/"))
            unit_seqs[shard] = unit_seq
            heads.append(ChainHead(f"{POSTINGS}/{shard}", chain_seq, chain_hash))
            heads.append(ChainHead(f"{AUDIT}/{shard}", audit_seq, audit_hash_))
        return Sighting(installation_id, server, heads, unit_seqs)


class MySqlSysAudit:
    """`penpay.ports_audit.SysAudit` on the database. Not to be awaited by whoever only wants to sign in fast."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries("audit")

    async def append(self, records: Sequence[AuditRecord], *, at: datetime) -> None:
        """After a lost answer a record may be there twice: better than not at all."""

        async def chain(connection: Connection) -> None:
            seq, previous = (await connection.rows(self._queries("lock_sys_head")))[0]
            rows = []
            for record in records:
                seq += 1
                detail = canonical_json(record.detail)
                head = audit_head(
                    chain="sys",
                    unit_id="",
                    at=at_text(at),
                    actor=record.actor,
                    action=record.action,
                    subject=record.subject,
                    detail=detail,
                )
                hash_ = audit_hash(previous, head, seq)
                rows.append(
                    row(*("sys", seq, "", at, record.actor, record.action, record.subject), detail, previous, hash_)
                )
                previous = hash_
            await connection.query(self._queries.with_rows("append_sys", rows))
            await connection.query(self._queries("move_sys_head", seq=seq, hash=previous))

        await self._database.transact(chain)


@dataclass(frozen=True, slots=True)
class StoredPosting:
    """A posting as it stands in the journal, with its legs."""

    row: Row
    legs: Sequence[Row]


class MySqlChains:
    """Pages through the chains for a verification; reads only."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries("audit")

    async def postings(self, shard: int) -> AsyncIterator[StoredPosting]:
        """In the order of the chain."""
        after, last = shard * POSTING_ID_STEP, (shard + 1) * POSTING_ID_STEP - 1
        while True:
            page = await self._database.rows(self._queries("postings", after=after, last=last, limit=PAGE))
            if not page:
                return
            legs: dict[int, list[Row]] = {}
            query = self._queries("entries", first=page[0][0], last=page[-1][0])
            for leg in await self._database.rows(query):
                legs.setdefault(leg[0], []).append(leg)
            for found in page:
                yield StoredPosting(found, legs.get(found[0], []))
            after = page[-1][0]

    async def audit(self, chain: str) -> AsyncIterator[Row]:
        """In the order of the chain."""
        after = 0
        while page := await self._database.rows(self._queries("audit_rows", chain=chain, after=after, limit=PAGE)):
            for found in page:
                yield found
            after = page[-1][0]

    async def stray_entry(self) -> int | None:
        """A leg that belongs to no posting, if there is one."""
        found = await self._database.rows(self._queries("stray_entries"))
        return int(found[0][0]) if found else None
