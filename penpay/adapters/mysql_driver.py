"""The driver, repaired, with a reading side in fewer steps. The only module that imports aiomysql.

aiomysql 0.3.2 imports a name that newer PyMySQL versions turned into something else; every bytes parameter then fails.
The name is put right before the import. Older PyMySQL versions are no way out: they carry two injection faults.

It waits twice for each packet of an answer, and works out what a column means each time a statement is run again: with
few statements at once that was two fifths of all calls that a deposit cost the node (counted). Here packets are cut out
of one buffer, and a definition that was seen before is looked up. What they mean is as it was: a test compares both.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

import pymysql.converters
from pymysql.connections import TEXT_TYPES, FieldDescriptorPacket, MysqlPacket
from pymysql.constants import CR, FIELD_TYPE
from pymysql.err import InternalError, OperationalError


def _refuse_dict(*_: object) -> str:
    raise TypeError("a dict is not a parameter")


if not callable(getattr(pymysql.converters, "escape_bytes_prefixed", None)):
    pymysql.converters.escape_bytes_prefixed = pymysql.converters.escape_bytes
if not callable(getattr(pymysql.converters, "escape_dict", None)):
    pymysql.converters.escape_dict = _refuse_dict

import aiomysql  # noqa: E402, TID251 - the one place, and the repair above must come first
from aiomysql.connection import MySQLResult  # noqa: E402, TID251 - as above

Meaning = tuple[str | None, Callable[[Any], Any] | None]
"""Of a column: how its bytes become text (None: they stay bytes), and what that becomes."""

_CHARSET, _CODEC = "utf8mb4", "utf8"
_HEAD = 4
_CHUNK = 1 << 16
_WHOLE = 0xFFFFFF
"""A packet of this length goes on in the next one."""
_BINARY = 63
_ERROR, _EOF, _NULL = 0xFF, 0xFE, 0xFB
_EOF_MAX = 9
_LENGTH_BYTES = {0xFC: 2, 0xFD: 3, 0xFE: 8}
_COLUMNS_MAX = 4096


def _parse_datetime(text: str) -> datetime:
    # `2026-11-20 14:58:15.000001`, the only form that DATETIME(6) columns come in.
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


_CONVERSIONS: Mapping[Any, Any] = {**pymysql.converters.conversions, FIELD_TYPE.DATETIME: _parse_datetime}
_DECODERS = {kind: convert for kind, convert in _CONVERSIONS.items() if type(kind) is int}
_columns: dict[bytes, Meaning] = {}


async def connect(**where: Any) -> "Driver":
    """A session that is set up as all of ours are. Raises the driver's errors."""
    driver = Driver(charset=_CHARSET, autocommit=True, conv=_CONVERSIONS, **where)
    await driver._connect()  # noqa: SLF001 - what aiomysql's own `connect` does
    return driver


class Driver(aiomysql.Connection):  # type: ignore[misc] # it has no types
    """aiomysql's connection."""

    _next_seq_id: int

    def __init__(self, **where: Any) -> None:
        super().__init__(**where)
        self._held = bytearray()

    def ready(self) -> bytes | None:
        """The next packet's own bytes, if all of them are here."""
        held = self._held
        if len(held) < _HEAD:
            return None
        end = _HEAD + int.from_bytes(held[:3], "little")
        if len(held) < end:
            return None
        number = held[3]
        if number != self._next_seq_id:
            self._out_of_order(number)
        self._next_seq_id = (number + 1) % 256
        payload = bytes(held[_HEAD:end])
        del held[:end]
        return payload

    async def payload(self) -> bytes:
        """The next packet's own bytes, those of its continuations with them."""
        whole = b""
        while True:
            while (part := self.ready()) is None:
                self._held += await self._more()
            if len(part) < _WHOLE:
                return whole + part if whole else part
            whole += part

    async def _more(self) -> bytes:
        why = ""
        try:
            if chunk := await self._reader.read(_CHUNK):
                return bytes(chunk)
        except asyncio.CancelledError:
            self._close_on_cancel()
            raise
        except OSError as error:
            why = f" ({error})"
        self.close()
        raise OperationalError(CR.CR_SERVER_LOST, f"Lost connection to MySQL server during query{why}")

    def _out_of_order(self, number: int) -> NoReturn:
        self.close()
        if number == 0:  # how a server says that it is shutting down
            raise OperationalError(CR.CR_SERVER_LOST, "Lost connection to MySQL server during query")
        raise InternalError(f"packet {number} where {self._next_seq_id} was due")

    # --- in place of the driver's own ---

    async def _connect(self) -> None:
        self._held.clear()
        await super()._connect()

    async def _read_packet(self, packet_type: type[MysqlPacket] = MysqlPacket) -> MysqlPacket:
        packet = packet_type(await self.payload(), self._encoding)
        if packet.is_error_packet():
            packet.raise_for_error()
        return packet

    async def _read_query_result(self, unbuffered: bool = False) -> None:  # noqa: FBT001, FBT002 - as the driver has it
        assert not unbuffered, "all rows are read at once"
        self._result = None
        result = _Result(self)
        await result.read()
        self._result = result
        self._affected_rows = result.affected_rows
        if result.server_status is not None:
            self.server_status = result.server_status


class _Result(MySQLResult):  # type: ignore[misc]
    """The answer to one statement, with its rows."""

    async def _get_descriptions(self) -> None:
        connection = self.connection
        self.converters = [_meaning(connection.ready() or await connection.payload()) for _ in range(self.field_count)]
        end = await connection.payload()
        assert end[0] == _EOF, "no end of the columns"

    async def _read_rowdata_packet(self) -> None:
        connection, meanings = self.connection, self.converters
        rows: list[tuple[Any, ...]] = []
        while True:
            data = connection.ready()
            if data is None or len(data) == _WHOLE:
                data = (data or b"") + await connection.payload()
            first = data[0]
            if first == _EOF and len(data) < _EOF_MAX:
                break
            if first == _ERROR:
                MysqlPacket(data, _CODEC).raise_for_error()
            rows.append(_row(data, meanings))
        assert self._check_packet_is_eof(MysqlPacket(data, _CODEC))
        self.affected_rows = len(rows)
        self.rows = tuple(rows)


def _row(data: bytes, meanings: list[Meaning]) -> tuple[Any, ...]:
    row: list[Any] = []
    at = 0
    for encoding, convert in meanings:
        size = data[at]
        at += 1
        if size == _NULL:
            row.append(None)
            continue
        if size > _NULL:
            wide = _LENGTH_BYTES[size]
            size = int.from_bytes(data[at : at + wide], "little")
            at += wide
        value: Any = data[at : at + size]
        at += size
        if encoding is not None:
            value = value.decode(encoding)
        row.append(value if convert is None else convert(value))
    if at != len(data):
        raise InternalError("a row of another length than it says")
    return tuple(row)


def _meaning(definition: bytes) -> Meaning:
    known = _columns.get(definition)
    if known is None:
        if len(_columns) >= _COLUMNS_MAX:
            _columns.clear()
        known = _columns[definition] = _worked_out(FieldDescriptorPacket(definition, _CODEC))
    return known


def _worked_out(column: FieldDescriptorPacket) -> Meaning:
    """As the driver does: text unless it is binary, and numbers, dates and times in ASCII."""
    encoding: str | None = "ascii"
    if column.type_code == FIELD_TYPE.JSON:
        encoding = _CODEC
    elif column.type_code in TEXT_TYPES:
        encoding = None if column.charsetnr == _BINARY else _CODEC
    convert = _DECODERS.get(column.type_code)
    if convert is int:
        encoding = None  # it takes the bytes as they are
    return encoding, None if convert is pymysql.converters.through else convert
