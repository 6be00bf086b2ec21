"""One installation, in memory or on MariaDB, and the processes on it, as the contract tests see either."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Protocol

import pymysql

from penpay.adapters.attempt_store import MySqlAttemptStore
from penpay.adapters.audit_store import MySqlHeads
from penpay.adapters.database import Database
from penpay.adapters.inbox_store import MySqlInboxStore
from penpay.adapters.lease_store import MySqlLeaseStore
from penpay.adapters.ledger_store import MySqlLedgerStore
from penpay.adapters.outbox_store import MySqlOutboxStore
from penpay.adapters.overview import MySqlOverview
from penpay.adapters.rail_reads import MySqlRailReads
from penpay.adapters.reconcile_store import MySqlReconciliation
from penpay.adapters.saga_store import MySqlSagaStore
from penpay.adapters.sql_text import with_schemas
from penpay.adapters.system import SystemClock
from penpay.adapters.user_store import MySqlUserStore
from penpay.ports import Clock, ConnectionLost, Ids
from penpay.simulation.store.schema import Schema
from penpay.simulation.store.server import MemoryServer
from penpay.simulation.store.sessions import timed_out
from penpay.simulation.store.stores import stores_of
from tests.contracts.store.troubles import LossyDatabase, LossyLedger, Troubles
from tests.harness.databases import MigratedDatabase
from tests.ledger.house import CountedIds, fresh_id, sealer

SHARDS = 4
CLOCK = SystemClock()
IDS = CountedIds()
SEALED = {"sealed_body"}
"""Sealed in the database only, so that bytes cannot be compared."""
WAITING = "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
SEEDED = {
    "leases": "UPDATE {ledger}.leases SET node = '', owner = '', epoch = 0, state = 'FREE', conn_id = 0",
    "fences": (
        "UPDATE {ledger}.fences SET owner = '', epoch = 0, unit_seq = 0, chain_seq = 0, audit_seq = 0, outbox_seq = 0,"
        " chain_hash = REPEAT(CHAR(0), 32), audit_hash = REPEAT(CHAR(0), 32)"
    ),
    "outbox_cursors": "UPDATE {ledger}.outbox_cursors SET seq = 0",
}
"""Tables whose rows a migration makes, and how they are as it made them."""


@dataclass
class Process:
    """One process: its stores under their names in `penpay.app.outside.Stores`, and what happens to its traffic."""

    boot_id: str
    stores: Any
    troubles: Troubles

    in_memory: bool

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stores, name)

    def lose(self, point: str, *, effect: bool = True, times: int = 1) -> None:
        """The next answers at this point are lost, after the COMMIT took effect or before it did."""
        at = point if self.in_memory or point.startswith("ledger.") else "work"
        lost = [ConnectionLost(commit_sent=True) for _ in range(times)]
        self.troubles.plan(f"{at}.done" if effect else at, *lost)


class Stage(Protocol):
    """What both installations offer to a test."""

    def process(self, node: str = "a", boot_id: str = "", *, clock: Clock = CLOCK, ids: Ids = IDS) -> Process: ...
    def expire(self, lease: str) -> None: ...
    def give_data_key(self, user_id: str, wrapped: bytes) -> None: ...
    def stored(self, table: str) -> list[dict[str, Any]]:
        """The committed rows of a table, column by column, in the order of the primary key."""
        ...

    async def someone_waits(self, count: int = 1) -> None:
        """Until so many sessions stand in line for locks."""
        ...

    async def end_wait(self) -> None:
        """Let whoever stands in line for a lock give up now, as it would after five seconds."""
        ...

    def cut(self) -> None:
        """Every connection to the database breaks."""
        ...

    def close(self) -> None: ...


class _Shifted:
    """The system's clock, moved forward by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return SystemClock().now() + self.ahead

    def monotonic_s(self) -> float:
        return SystemClock().monotonic_s()


class MemoryStage:
    """The simulation's server."""

    def __init__(self) -> None:
        self._clock = _Shifted()
        self.server = MemoryServer(shards=SHARDS, clock=self._clock)

    def process(self, node: str = "a", boot_id: str = "", *, clock: Clock = CLOCK, ids: Ids = IDS) -> Process:
        boot_id, troubles = boot_id or fresh_id(), Troubles()
        stores = stores_of(self.server, node=node, boot_id=boot_id, clock=clock, ids=ids, weather=troubles)
        return Process(boot_id, stores, troubles, in_memory=True)

    def expire(self, lease: str) -> None:
        leases = self.server.schema.leases
        past = self._clock.now() - timedelta(microseconds=1)
        leases.change(lease, leases.rows[lease]._replace(expires_at=past), [])

    def give_data_key(self, user_id: str, wrapped: bytes) -> None:
        self.server.data_keys[user_id] = wrapped

    def stored(self, table: str) -> list[dict[str, Any]]:
        found = getattr(self.server.schema, table)
        spec = found.spec
        columns = [column for column in spec.columns if column not in SEALED]
        return _sorted(
            ({column: _plain(_at(row, spec.paths[column])) for column in columns} for row in found),
            spec.shape.keys["PRIMARY"],
        )

    async def someone_waits(self, count: int = 1) -> None:
        while len(self._waiting()) < count:
            await asyncio.sleep(0)

    def _waiting(self) -> list[asyncio.Future[None]]:
        return [granted for queue in self.server.queues.values() for _, granted in queue if not granted.done()]

    async def end_wait(self) -> None:
        await self.someone_waits()
        for granted in self._waiting():
            timed_out(granted)

    def cut(self) -> None:
        for session in list(self.server.sessions):
            session.kill()

    def close(self) -> None:
        assert not self.server.locks, "a lock outlived its session"
        assert not self.server.sessions


@dataclass(frozen=True)
class MariaDbStores:
    """The production adapters, put together as `penpay.app.outside` does."""

    database: Database
    ledger: LossyLedger
    sagas: MySqlSagaStore
    users: MySqlUserStore
    inbox: MySqlInboxStore
    attempts: MySqlAttemptStore
    outbox: MySqlOutboxStore
    leases: MySqlLeaseStore
    rail_reads: MySqlRailReads
    payments: MySqlReconciliation
    heads: MySqlHeads
    overview: MySqlOverview


@dataclass
class MariaDbStage:
    """A migrated installation on a real server."""

    database: MigratedDatabase
    _opened: list[Callable[[], None]] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)

    def _rows(self, statement: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """As admin, all over one connection: a new one costs more than most tests."""
        with self._admin.cursor() as cursor:
            cursor.execute(with_schemas(statement, self.database.prefix), parameters)
            return list(cursor.fetchall())

    @cached_property
    def _admin(self) -> Any:
        return self._stack.enter_context(self.database.server.connect())

    def process(self, node: str = "a", boot_id: str = "", *, clock: Clock = CLOCK, ids: Ids = IDS) -> Process:
        boot_id, troubles = boot_id or fresh_id(), Troubles()
        database = LossyDatabase(self.database.url, prefix=self.database.prefix, troubles=troubles)
        leases = MySqlLeaseStore(database, node=node, boot_id=boot_id)
        self._opened += [leases.drop_claim, database.close]
        stores = MariaDbStores(
            database=database,
            ledger=LossyLedger(MySqlLedgerStore(database, boot_id=boot_id), troubles),
            sagas=MySqlSagaStore(database, sealer()),
            users=MySqlUserStore(database),
            inbox=MySqlInboxStore(database, sealer()),
            attempts=MySqlAttemptStore(database, sealer(), clock=clock, ids=ids),
            outbox=MySqlOutboxStore(database),
            leases=leases,
            rail_reads=MySqlRailReads(database),
            payments=MySqlReconciliation(database),
            heads=MySqlHeads(database),
            overview=MySqlOverview(database),
        )
        return Process(boot_id, stores, troubles, in_memory=False)

    def expire(self, lease: str) -> None:
        past = "UPDATE {ledger}.leases SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 MICROSECOND WHERE name = %s"
        self._rows(past, (lease,))

    def give_data_key(self, user_id: str, wrapped: bytes) -> None:
        # The user itself is of no interest here.
        self._rows("SET FOREIGN_KEY_CHECKS = 0")
        self._rows("INSERT INTO {users}.data_keys VALUES (%s, %s, UTC_TIMESTAMP(6))", (user_id, wrapped))

    def stored(self, table: str) -> list[dict[str, Any]]:
        spec = getattr(Schema(shards=1, at=SystemClock().now()), table).spec
        columns = [column for column in spec.columns if column not in SEALED]
        schema = "{audit}" if table == "audit_log" else "{ledger}"
        # Bytes, so that nothing converts them; but they are text.
        names = (f"CONVERT({column} USING utf8mb4)" if column == "detail" else column for column in columns)
        rows = self._rows(f"SELECT {', '.join(names)} FROM {schema}.{table}")
        found = ({column: _plain(value) for column, value in zip(columns, row, strict=True)} for row in rows)
        return _sorted(found, spec.shape.keys["PRIMARY"])

    async def someone_waits(self, count: int = 1) -> None:
        while len(await asyncio.to_thread(self._rows, WAITING)) < count:
            # The server renews what it tells of transactions only when it was not asked for a tenth of a second.
            await asyncio.sleep(0.12)

    async def end_wait(self) -> None:
        while True:
            await self.someone_waits()
            for (session_id,) in self._rows(WAITING):
                # What the server tells is a little old: the session may be gone.
                with suppress(pymysql.err.OperationalError):
                    self._rows(f"KILL QUERY {session_id}")
                    return
            await asyncio.sleep(0.12)

    def cut(self) -> None:
        ours = "SELECT id FROM information_schema.processlist WHERE user = 'penpay_runtime'"
        for (session_id,) in self._rows(ours):
            self._rows(f"KILL CONNECTION {session_id}")

    def wipe(self) -> None:
        """As migrated: the next test finds nothing of this one."""
        self._rows("SET FOREIGN_KEY_CHECKS = 0")
        for statement in SEEDED.values():
            self._rows(statement)
        for name in sorted(Schema(shards=1, at=SystemClock().now()).tables().keys() - SEEDED.keys()):
            place = f"{{{'audit' if name == 'audit_log' else 'ledger'}}}.{name}"
            if self._rows(f"SELECT 1 FROM {place} LIMIT 1"):
                self._rows(f"TRUNCATE {place}")
        self._rows("DELETE FROM {users}.data_keys")
        self._stack.close()

    def close(self) -> None:
        for close in self._opened:
            close()


def _at(row: Any, path: str) -> Any:
    for name in path.split("."):
        row = getattr(row, name)
    return row


def _plain(value: Any) -> Any:
    """The same value from either side: no NULL for a text, no zone, no enum, no flag; JSON as its content."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, str) else value


def _sorted(rows: Iterable[dict[str, Any]], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: [row[key] for key in keys])
