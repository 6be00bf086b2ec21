"""Few connections, in lanes that cannot starve each other, and transactions that are run again when the database asks.

A lane is a bounded set of sessions for one purpose. The callback writer has its own, so that evidence is stored even
when everything else waits.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from penpay.adapters.mysql import STATEMENT_TIMEOUT_S, Connection, Dsn
from penpay.adapters.mysql_wire import Row
from penpay.adapters.sql_text import Queries
from penpay.domain.errors import StoreError, Unavailable
from penpay.ports import ConnectionLost, Deadlock, LockTimeout

Result = TypeVar("Result")

GENERAL: Final = "general"
CALLBACKS: Final = "callbacks"
LEDGER: Final = "ledger"
RAILS: Final = "rails"
PROOFS: Final = "proofs"

LANES: Final[Mapping[str, int]] = {GENERAL: 6, CALLBACKS: 1, LEDGER: 4, RAILS: 2, PROOFS: 2}
"""Sessions per lane: 15 in all. MariaDB on two cores is at its best near 16. One of the proofs' is for what is new: it
does not wait for a question about everything."""
PATIENCE_S: Final[Mapping[str, float]] = {PROOFS: 120.0, CALLBACKS: 3.0}
"""How long a statement may take, if not as long as elsewhere: where it reads whole tables, and where evidence is stored
that comes once. A session that fell silent there, as after a failover, leaves time for a try on a new one."""
WAIT_S: Final[Mapping[str, float]] = {GENERAL: 8.0, CALLBACKS: 8.0, PROOFS: 120.0}
"""How long a caller waits in all, for a session and all tries: somebody waits for an answer, and a server that hangs
must not keep them; and what reads whole tables is not begun anew when one try took all the time. A writer knows better
by itself when to give up."""
SEVERAL: Final = frozenset({LEDGER, RAILS})
"""Lanes whose sessions take several statements in one round trip: a busy writer's time goes into round trips."""
ATTEMPTS: Final = 5
_RECYCLE_S: Final = 1800.0
"""Well below the server's idle limit (8 hours by default, an hour in some managed ones)."""


class Lane:
    """A bounded set of sessions, opened when first needed."""

    def __init__(
        self, dsn: Dsn, size: int, *, acquire_timeout_s: float, statement_timeout_s: float, several: bool
    ) -> None:
        self._dsn = dsn
        self._statement_timeout_s = statement_timeout_s
        self._several = several
        self._free: deque[Connection] = deque()
        self._slots = asyncio.Semaphore(size)
        self._acquire_timeout_s = acquire_timeout_s
        self._closed = False

    async def take(self) -> Connection:
        """Borrow a session, and `give_back` it. Raises `Unavailable` when none is free in time or can be opened."""
        if self._slots.locked():
            try:
                async with asyncio.timeout(self._acquire_timeout_s):
                    await self._slots.acquire()
            except TimeoutError:
                raise Unavailable("database") from None
        else:
            await self._slots.acquire()  # at once: no timer for what does not wait
        try:
            return await self._next()
        except BaseException:
            self._slots.release()
            raise

    def give_back(self, connection: Connection) -> None:
        """What was borrowed. A session that was left inside a transaction by an exception is closed.

        Only a new one surely holds no locks.
        """
        self._slots.release()
        if self._closed or connection.in_transaction or not connection.usable:
            connection.close()
        else:
            self._free.append(connection)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Borrow a session for as long as the block."""
        connection = await self.take()
        try:
            yield connection
        finally:
            self.give_back(connection)

    async def _next(self) -> Connection:
        if self._closed:
            raise Unavailable("database")
        while self._free:
            connection = self._free.pop()
            fresh = asyncio.get_running_loop().time() - connection.opened_at_s < _RECYCLE_S
            if fresh and connection.usable:
                return connection
            connection.close()
        return await Connection.open(self._dsn, statement_timeout_s=self._statement_timeout_s, several=self._several)

    def close(self) -> None:
        """Close what is free now and what comes back later."""
        self._closed = True
        while self._free:
            self._free.pop().close()


class Database:
    """The runtime's way to the database of one installation. Make it on the loop that uses it."""

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "penpay_",
        dice: random.Random | None = None,
        acquire_timeout_s: float = 5.0,
        lanes: Mapping[str, int] = LANES,
        patience_s: Mapping[str, float] = PATIENCE_S,
        wait_s: Mapping[str, float] = WAIT_S,
    ) -> None:
        self.dsn = Dsn.parse(url)
        self.prefix = prefix
        self._wait_s = wait_s
        # Jitter between runs of a transaction: not a secret, and seeded by tests that want it so.
        self._dice = dice or random.Random()  # noqa: S311
        self._lanes = {
            name: Lane(
                self.dsn,
                size,
                acquire_timeout_s=acquire_timeout_s,
                statement_timeout_s=patience_s.get(name, STATEMENT_TIMEOUT_S),
                several=name in SEVERAL,
            )
            for name, size in lanes.items()
        }

    def queries(self, name: str) -> Queries:
        """The named queries of a file, for this installation."""
        return Queries.load(name, prefix=self.prefix)

    @asynccontextmanager
    async def connection(self, lane: str = GENERAL) -> AsyncIterator[Connection]:
        """A session for several statements; `ConnectionLost` and refusals come as they are."""
        async with self._lanes[lane].connection() as connection:
            yield connection

    @asynccontextmanager
    async def reading(self, lane: str = GENERAL) -> AsyncIterator[Connection]:
        """A session for several reads; every trouble of the database is `Unavailable`."""
        try:
            async with self._lanes[lane].connection() as connection:
                yield connection
        except (Deadlock, LockTimeout, ConnectionLost) as error:
            raise Unavailable("database") from error

    async def rows(self, statement: str, *, lane: str = GENERAL) -> tuple[Row, ...]:
        """Read outside a transaction; again after a lost session. Raises `Unavailable`."""
        return await self._again(lambda connection: connection.rows(statement), lane)

    async def write(self, statement: str, *, lane: str = GENERAL) -> int:
        """One statement that commits by itself and may be repeated without harm. Answers the affected rows."""
        return await self._again(lambda connection: connection.query(statement), lane)

    async def transact(self, work: Callable[[Connection], Awaitable[Result]], *, lane: str = GENERAL) -> Result:
        """Run `work` in a transaction; again after a deadlock, a lock wait or a lost session.

        `work` must be idempotent: it may run again although its commit took effect. Raises `Unavailable`.
        """

        async def whole(connection: Connection) -> Result:
            await connection.begin()
            try:
                result = await work(connection)
                await connection.commit()
            except BaseException:
                if connection.in_transaction and connection.usable:
                    await connection.rollback()
                raise
            return result

        return await self._again(whole, lane)

    async def transact_itself(self, work: Callable[[Connection], Awaitable[Result]], *, lane: str) -> Result:
        """`transact` for work that opens and commits its transaction itself, in fewer round trips.

        It marks the session as `in_transaction` meanwhile: one that is left so is closed, and the server rolls back.
        """
        return await self._again(work, lane)

    async def _again(self, work: Callable[[Connection], Awaitable[Result]], lane: str) -> Result:
        """All tries, within the lane's time. What is cut off then closes its session: nobody knows what it did."""
        within_s = self._wait_s.get(lane)
        if within_s is None:
            return await self._tried(work, lane)
        try:
            async with asyncio.timeout(within_s):
                return await self._tried(work, lane)
        except TimeoutError:
            raise Unavailable("database") from None

    async def _tried(self, work: Callable[[Connection], Awaitable[Result]], lane: str) -> Result:
        last: StoreError = Unavailable("database")
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(self._dice.uniform(0.5, 1.0) * 0.02 * 2**attempt)
            try:
                connection = await self._lanes[lane].take()
                try:
                    return await work(connection)
                finally:
                    self._lanes[lane].give_back(connection)
            except (Deadlock, LockTimeout, ConnectionLost) as error:
                last = error
        raise Unavailable("database") from last

    def close(self) -> None:
        """Close every session. Transactions under way are rolled back by the server."""
        for lane in self._lanes.values():
            lane.close()
