"""Sessions of the database, and what the driver's errors mean."""

import asyncio
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from pymysql.err import InterfaceError, InternalError, MySQLError

from penpay.adapters.mysql_driver import Session, connect
from penpay.adapters.mysql_wire import Answer, Row
from penpay.domain.errors import StoreError, Unavailable
from penpay.ports import CheckViolated, ConnectionLost, Deadlock, Duplicate, LockTimeout

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
STATEMENT_TIMEOUT_S = 20.0
"""Far beyond what any statement of the daily business takes."""
_SERVER_LATER_S = 1.0
"""A server's own limit is longer by this: whoever waits gives up first, so that what it means is one case."""

DEADLOCK = frozenset({1213})
LOCK_TIMEOUT = frozenset({1205, 1020, 3572, 1969, 3024, 1317})
"""Lock waits, a record changed since it was read, and statements that the server stopped: roll back and run again."""
CHECK = frozenset({4025, 3819, 1644})
LOST = frozenset({2006, 2013, 2055, 1927, 1053, 1152, 1158, 1159, 1160, 1161, 3169, 4031})
AWAY = frozenset({2002, 2003, 1040, 1041, 1021, 1114, 1290, 1836, 1203, 1226, 1129, 1037, 1038, 3032})
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
    # Without a number it is no word of the server: nobody could read what it said, be it of a COMMIT.
    unreadable = not code and isinstance(error, InternalError)
    if code in LOST or isinstance(error, InterfaceError) or (unreadable and commit_sent):
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


class Connection:
    """One session. Statements are complete texts: see `sql_text` for how values get into them safely.

    After any exception of `query` other than a refused statement the session is closed and must be dropped.
    """

    __slots__ = ("_session", "_timeout_s", "in_transaction", "opened_at_s")

    def __init__(self, session: Session, timeout_s: float) -> None:
        self._session = session
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
                session = await connect(
                    several=several,
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
        connection = cls(session, statement_timeout_s)
        try:
            for statement in _SESSION:
                await connection.query(statement)
            await connection._limit(statement_timeout_s + _SERVER_LATER_S)
        except BaseException as error:
            session.close()
            if isinstance(error, ConnectionLost):
                raise Unavailable("database") from None
            raise
        return connection

    async def _run(self, text: str, answers: list[Answer], *, commits: bool) -> None:
        """Wait for every answer within a limit: a server that fell silent is as good as gone."""
        try:
            encoded = text.encode()
        except UnicodeEncodeError as error:
            raise StoreError(INCORRECT_TEXT, "a text is not Unicode") from error
        try:
            await self._session.run(encoded, answers, timeout_s=self._timeout_s)
        except MySQLError as error:
            raise self._judged(error, commits=commits) from error
        except (OSError, TimeoutError) as error:
            raise ConnectionLost(commit_sent=commits) from error

    def _judged(self, error: MySQLError, *, commits: bool) -> StoreError:
        """A server may say itself that it ends the session; the end of its stream comes later then."""
        meaning = translated(error, commit_sent=commits)
        if isinstance(meaning, ConnectionLost):
            self._session.close()
        return meaning

    @property
    def usable(self) -> bool:
        """False once the session is known to be gone."""
        return not self._session.closed

    @property
    def session_id(self) -> int:
        """The server's number of this session."""
        return self._session.number

    async def query(self, statement: str, *, commits: bool = False) -> int:
        """Run one statement; the number of affected rows. `commits`: an error leaves its effect unknown.

        Cancelling closes the session: the server may still finish the statement.
        """
        answers: list[Answer] = []
        await self._run(statement, answers, commits=commits)
        return answers[0].affected

    async def run_all(self, statements: Sequence[Labelled], *, commits: bool = False) -> list[tuple[Row, ...]]:
        """Several statements in one round trip, with their rows; the first that fails ends it. Needs `several`.

        The label of a statement goes before the key's name in a `Duplicate`.
        """
        answers: list[Answer] = []
        try:
            await self._run(";\n".join([statement for _, statement in statements]), answers, commits=commits)
        except Duplicate as error:
            raise Duplicate(f"{statements[len(answers)][0]}.{error.key}") from error
        assert len(answers) == len(statements), "each statement is answered, the COMMIT as well"
        return [rows for _, rows in answers]

    async def _limit(self, statement_s: float) -> None:
        """What the server itself ends. It does not notice that nobody waits for a statement any more.

        MariaDB: also an open transaction that a paused owner holds its fence with. MySQL has only a limit for reading.
        """
        on_mariadb = f"SET SESSION idle_transaction_timeout = 15, max_statement_time = {statement_s:.3f}"
        on_mysql = f"SET SESSION max_execution_time = {math.ceil(statement_s * 1000)}"
        for statement in (on_mariadb, on_mysql):
            try:
                await self.query(statement)
            except StoreError as error:
                if error.args[0] != UNKNOWN_VARIABLE:
                    raise
            else:
                return

    async def rows(self, statement: str) -> tuple[Row, ...]:
        """Run one reading statement and answer all its rows."""
        answers: list[Answer] = []
        await self._run(statement, answers, commits=False)
        return answers[0].rows

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
        self._session.close()
