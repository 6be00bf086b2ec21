"""Sessions of the database, and what the driver's errors mean."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pymysql.constants import COMMAND
from pymysql.err import InterfaceError, MySQLError

from penpay.adapters.mysql_driver import connect
from penpay.domain.errors import StoreError, Unavailable
from penpay.ports import CheckViolated, ConnectionLost, Deadlock, Duplicate, LockTimeout

Row = tuple[Any, ...]
Labelled = tuple[str, str]
"""A label (the table that it writes) and a statement."""

_SQL_MODE = (
    "STRICT_TRANS_TABLES,ONLY_FULL_GROUP_BY,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
)
_SESSION = (
    f"SET SESSION sql_mode = '{_SQL_MODE}', time_zone = '+00:00', innodb_lock_wait_timeout = 5",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
)
_SEVERAL_OFF = b"\x01\x00"
STATEMENT_TIMEOUT_S = 20.0
"""Far beyond what any statement of the daily business takes."""
_IDLE_TRANSACTION = "SET SESSION idle_transaction_timeout = 15"
"""MariaDB only: a paused owner's open transaction does not hold its fence for ever. MySQL answers 1193."""

DEADLOCK = frozenset({1213})
LOCK_TIMEOUT = frozenset({1205, 1020, 3572, 1969, 3024, 1317})
"""Lock waits, a record changed since it was read, and statements that the server stopped: roll back and run again."""
CHECK = frozenset({4025, 3819, 1644})
LOST = frozenset({2006, 2013, 2055, 1927, 1053, 1152, 1158, 1159, 1160, 1161})
AWAY = frozenset({2002, 2003, 1040, 1041, 1021, 1114, 1290, 1836, 1203, 1226, 1129, 1037, 1038})
"""No server, no room, or a server that may only read: a state that passes."""
UNKNOWN_VARIABLE = 1193
INCORRECT_TEXT = 1366
_DUPLICATE_KEY = re.compile(r"for key '(?:[^'.]*\.)?([^'.]+)'")


def translated(error: MySQLError, *, commit_sent: bool = False) -> StoreError:
    """What an error of the driver means to us. The class of the driver's exception says nothing reliable."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    if code in DEADLOCK:
        return Deadlock(text)
    if code in LOCK_TIMEOUT:
        return LockTimeout(text)
    if code == 1062:
        found = _DUPLICATE_KEY.search(text)
        return Duplicate(found.group(1) if found else "")
    if code in CHECK:
        return CheckViolated(text)
    if code in AWAY:
        return Unavailable("database")
    if code in LOST or isinstance(error, InterfaceError):
        return ConnectionLost(commit_sent=commit_sent)
    return StoreError(code, text)


@dataclass(frozen=True, slots=True)
class Dsn:
    """Where the database is and as whom, read from `mysql://user:password@host:port/?unix_socket=…`."""

    user: str
    password: str = field(repr=False)
    host: str = "localhost"
    port: int = 3306
    unix_socket: str = ""

    @classmethod
    def parse(cls, url: str) -> "Dsn":
        """Read the URL of the settings, which have checked its scheme."""
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        return cls(
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            host=parts.hostname or "localhost",
            port=parts.port or 3306,
            unix_socket=query.get("unix_socket", [""])[0],
        )


def _encoded(statement: str) -> bytes:
    try:
        return statement.encode()
    except UnicodeEncodeError as error:
        raise StoreError(INCORRECT_TEXT, "a text is not Unicode") from error


class Connection:
    """One session. Statements are complete texts: see `sql_text` for how values get into them safely.

    After any exception of `query` other than a refused statement the session is closed and must be dropped.
    """

    __slots__ = ("_raw", "_timeout_s", "in_transaction", "opened_at_s")

    def __init__(self, raw: Any, timeout_s: float) -> None:
        self._raw = raw
        self._timeout_s = timeout_s
        self.in_transaction = False
        self.opened_at_s = time.monotonic()

    @classmethod
    async def open(
        cls,
        dsn: Dsn,
        *,
        connect_timeout_s: float = 3.0,
        statement_timeout_s: float = STATEMENT_TIMEOUT_S,
        several: bool = False,
    ) -> "Connection":
        """Connect and set up the session. Raises `Unavailable` when there is no server to talk to.

        `several` allows `run_all`.
        """
        try:
            async with asyncio.timeout(connect_timeout_s * 2):
                raw = await connect(
                    host=dsn.host,
                    port=dsn.port,
                    user=dsn.user,
                    password=dsn.password,
                    unix_socket=dsn.unix_socket or None,
                    connect_timeout=connect_timeout_s,
                )
        except MySQLError as error:
            meaning = translated(error)
            raise Unavailable("database") if isinstance(meaning, ConnectionLost) else meaning from error
        except TimeoutError:
            raise Unavailable("database") from None
        connection = cls(raw, statement_timeout_s)
        try:
            if not several:
                await connection._one_statement_only()
            for statement in _SESSION:
                await connection.query(statement)
            await connection.set_if_known(_IDLE_TRANSACTION)
        except BaseException as error:
            raw.close()
            if isinstance(error, ConnectionLost):
                raise Unavailable("database") from None
            raise
        return connection

    async def _one_statement_only(self) -> None:
        # The driver always asks for several statements per query, the best friend of an injection.
        async with self._bounded():
            await self._raw._execute_command(COMMAND.COM_SET_OPTION, _SEVERAL_OFF)  # noqa: SLF001 - no public way
            await self._raw._read_packet()  # noqa: SLF001

    @asynccontextmanager
    async def _bounded(self, *, commits: bool = False) -> AsyncIterator[None]:
        """Around every answer that is waited for: a server that fell silent is as good as gone."""
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except MySQLError as error:
            raise translated(error, commit_sent=commits) from error
        except (OSError, TimeoutError) as error:
            self._raw.close()
            raise ConnectionLost(commit_sent=commits) from error

    @property
    def usable(self) -> bool:
        """False once the session is known to be gone."""
        if self._raw.closed:
            return False
        reader = self._raw._reader  # noqa: SLF001 - the driver's pool asks the same; there is no public way
        return not (reader.at_eof() or reader.exception() or reader.eof_received)

    @property
    def session_id(self) -> int:
        """The server's number of this session."""
        return int(self._raw.thread_id())

    async def query(self, statement: str, *, commits: bool = False) -> int:
        """Run one statement; the number of affected rows. `commits`: an error leaves its effect unknown.

        Cancelling closes the session: the server may still finish the statement.
        """
        encoded = _encoded(statement)
        async with self._bounded(commits=commits):
            return int(await self._raw.query(encoded))

    async def run_all(self, statements: Sequence[Labelled], *, commits: bool = False) -> list[tuple[Row, ...]]:
        """Several statements in one round trip, with their rows; the first that fails ends it. Needs `several`.

        The label of a statement goes before the key's name in a `Duplicate`.
        """
        text = ";\n".join(statement for _, statement in statements)
        rows: list[tuple[Row, ...]] = []
        try:
            encoded = _encoded(text)
            async with self._bounded(commits=commits):
                await self._raw.query(encoded)
                rows.append(self._raw._result.rows or ())  # noqa: SLF001 - as in `rows`
                while self._raw._result.has_next:  # noqa: SLF001
                    await self._raw.next_result()
                    rows.append(self._raw._result.rows or ())  # noqa: SLF001
        except Duplicate as error:
            raise Duplicate(f"{statements[len(rows)][0]}.{error.key}") from error
        return rows

    async def set_if_known(self, statement: str) -> None:
        """A setting that only some servers have."""
        try:
            await self.query(statement)
        except StoreError as error:
            if error.args[0] != UNKNOWN_VARIABLE:
                raise

    async def rows(self, statement: str) -> tuple[Row, ...]:
        """Run one reading statement and answer all its rows."""
        await self.query(statement)
        result = self._raw._result  # noqa: SLF001 - the cursor class reads it the same way, at twice the cost
        return result.rows or ()

    async def begin(self) -> None:
        """Open a transaction."""
        await self.query("START TRANSACTION")
        self.in_transaction = True

    async def commit(self) -> None:
        """Make it durable. `ConnectionLost` from here means that nobody knows."""
        await self.query("COMMIT", commits=True)
        self.in_transaction = False

    async def rollback(self) -> None:
        """Undo everything since `begin`."""
        await self.query("ROLLBACK")
        self.in_transaction = False

    def close(self) -> None:
        """Drop the session at once; an open transaction is rolled back by the server."""
        self._raw.close()
