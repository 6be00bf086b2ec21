"""A session of the database: opened and authenticated by aiomysql, then spoken to directly. The only importer of it.

aiomysql 0.3.2 imports a name that newer PyMySQL versions turned into something else; every bytes parameter then fails.
The name is put right before the import. Older PyMySQL versions are no way out: they carry two injection faults.

Once a session is open, its transport is ours. aiomysql reads an answer in two awaits per packet, with some ten objects
for a bare OK, and a limit in time around each costs a timer: for a deposit that comes alone, of which each statement
waits by itself, that was two fifths of all calls that the node makes (counted). Here an answer is one future, whatever
it is cut into, and a session has one timer, which runs on while its statements come and go.
"""

import asyncio
from typing import Any, Final

import pymysql.converters
from pymysql.constants import COMMAND, CR
from pymysql.err import DataError, InterfaceError, InternalError, MySQLError, OperationalError

from penpay.adapters.mysql_wire import CONVERSIONS, WHOLE, Answer, Reading


def _refuse_dict(*_: object) -> str:
    raise TypeError("a dict is not a parameter")


if not callable(getattr(pymysql.converters, "escape_bytes_prefixed", None)):
    pymysql.converters.escape_bytes_prefixed = pymysql.converters.escape_bytes
if not callable(getattr(pymysql.converters, "escape_dict", None)):
    pymysql.converters.escape_dict = _refuse_dict

import aiomysql  # noqa: E402, TID251 - the one place, and the repair above must come first

_SEVERAL_OFF: Final = b"\x01\x00"
_QUERY: Final = bytes([COMMAND.COM_QUERY])


async def connect(*, several: bool, **where: Any) -> "Session":
    """A session that is set up as all of ours are. Raises the driver's errors.

    The library always asks for several statements per query, the best friend of an injection: refused here unless
    `several`.
    """
    library = await aiomysql.connect(charset="utf8mb4", autocommit=True, conv=CONVERSIONS, **where)
    try:
        if not several:
            await library._execute_command(COMMAND.COM_SET_OPTION, _SEVERAL_OFF)  # noqa: SLF001 - no public way
            await library._read_packet()  # noqa: SLF001
    except BaseException:
        library.close()
        raise
    return Session(library)


class Session(asyncio.Protocol):
    """One session, one text of statements at a time. Make it on the loop that uses it."""

    def __init__(self, library: Any) -> None:
        # It stays, or its writer would close the transport when it is collected.
        self._library = library
        self._transport: asyncio.Transport = library._writer.transport  # noqa: SLF001 - what we take over
        self._transport.set_protocol(self)
        self._loop = asyncio.get_running_loop()
        self._reading: Reading | None = None
        self._answered: asyncio.Future[None] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._until_s = 0.0
        self.closed = False
        self.number = int(library.thread_id())
        """The server's own of this session."""

    async def run(self, text: bytes, answers: list[Answer], *, timeout_s: float) -> None:
        """Send statements and collect their answers, until the first that fails: its error is raised.

        `DataError`: more than one packet of them, nothing was sent. Every other error closes the session, and so does
        being cancelled: the server may still finish the statement. `TimeoutError`: no whole answer within `timeout_s`.
        """
        if self.closed:
            raise InterfaceError(0, "Not connected")
        if len(text) >= WHOLE - 1:
            raise DataError(0, "statements longer than a packet")
        assert self._answered is None, "one at a time"
        reading = self._reading = Reading(answers)
        self._answered = self._loop.create_future()
        self._until_s = self._loop.time() + timeout_s
        if self._watch is None:
            self._watch = self._loop.call_at(self._until_s, self._look)
        try:
            self._transport.write((len(text) + 1).to_bytes(4, "little") + _QUERY + text)
            await self._answered
        except BaseException:
            self.close()
            raise
        finally:
            self._answered = self._reading = None
        if reading.refused is not None:
            try:
                raise reading.refused
            finally:
                del reading  # the error holds this frame: a ring

    def _look(self) -> None:
        """The timer: it is set for the statement that ran when it was set, and moves on to the one that runs now."""
        self._watch = None
        if self._answered is None:
            return
        if self._loop.time() < self._until_s:
            self._watch = self._loop.call_at(self._until_s, self._look)
        else:
            self._fail(TimeoutError())

    def _fail(self, error: Exception) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)

    def close(self) -> None:
        """Drop it at once; the server rolls back what was open."""
        self.closed = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._transport.abort()
        self._library.close()

    # --- what the loop tells ---

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer. Unasked ones are a server's farewell."""
        if self._reading is None or self._answered is None or self._answered.done():
            self.close()
            return
        try:
            whole = self._reading.feed(data)
        except MySQLError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whatever bytes out of place lead to
            unreadable = InternalError("an unreadable answer")
            unreadable.__cause__ = error
            self._fail(unreadable)
        else:
            if whole:
                self._answered.set_result(None)
                if self._reading.unasked:
                    self.close()

    def eof_received(self) -> None:
        """The server says no more. The transport closes by itself, but only in the loop's next step."""
        self.closed = True

    def connection_lost(self, exc: Exception | None) -> None:
        """The server ended it, or we did."""
        self.closed = True
        why = f" ({exc})" if exc else ""
        self._fail(OperationalError(CR.CR_SERVER_LOST, f"Lost connection to MySQL server during query{why}"))
