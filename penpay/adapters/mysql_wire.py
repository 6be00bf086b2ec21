"""What the database's server answers to a text of statements, cut out of a stream of bytes. No I/O and no clock.

Source: MariaDB's "Client/Server Protocol", result set packets (the text protocol, ends marked by EOF packets). What a
column's bytes mean is PyMySQL's knowledge, asked once for each definition; a test compares every kind with it.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pymysql.converters
from pymysql.connections import TEXT_TYPES, FieldDescriptorPacket, MysqlPacket
from pymysql.constants import CR, FIELD_TYPE, SERVER_STATUS
from pymysql.err import InternalError, MySQLError, OperationalError

Row = tuple[Any, ...]
Meaning = tuple[str | None, Callable[[Any], Any] | None]
"""Of a column: how its bytes become text (None: they stay bytes), and what that becomes."""

HEAD = 4
"""Bytes before each packet: its length, and its place in the answer."""
WHOLE = 0xFFFFFF
"""A packet of this length goes on in the next one."""
_CODEC = "utf8"
_BINARY = 63
_OK, _ERROR, _EOF, _NULL = 0x00, 0xFF, 0xFE, 0xFB
_EOF_MAX = 9
_LENGTH_BYTES = {0xFC: 2, 0xFD: 3, 0xFE: 8}
_COLUMNS_MAX = 4096


def _parse_datetime(text: str) -> datetime:
    # `2026-11-20 14:58:15.000001`, the only form that DATETIME(6) columns come in.
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


CONVERSIONS: Mapping[Any, Any] = {**pymysql.converters.conversions, FIELD_TYPE.DATETIME: _parse_datetime}
_DECODERS = {kind: convert for kind, convert in CONVERSIONS.items() if type(kind) is int}
_columns: dict[bytes, Meaning] = {}


class Answer(NamedTuple):
    """Of one statement: how many rows it changed or found, and those it found."""

    affected: int
    rows: tuple[Row, ...] = ()


class Reading:
    """Reads the answers to one text of statements, which may be several.

    `answers` grows with each statement that succeeded; `refused` is the error of the one that did not, the last then.
    `unasked`: more came behind the last answer, as when a server says in the same breath why it ends the session.
    """

    __slots__ = (
        *("_columns_left", "_held", "_meanings", "_missing", "_next", "_part", "_rows", "_step"),
        *("answers", "refused", "unasked"),
    )

    def __init__(self, answers: list[Answer]) -> None:
        self.answers = answers
        self.refused: MySQLError | None = None
        self.unasked = False
        self._held: list[bytes] = []
        self._missing = 0
        self._next = 1
        self._part = b""
        self._columns_left = 0
        self._meanings: list[Meaning] = []
        self._rows: list[Row] = []
        # A function of the class: a method of this object would make a ring, which only the collector would free.
        self._step: Callable[[Reading, bytes], bool] = Reading._first

    def feed(self, data: bytes) -> bool:
        """Take bytes as they came; True once the last answer is whole.

        Raises `MySQLError`, or what bytes out of place lead to: the stream is of no more use then.
        """
        if self._held:
            self._held.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return False
            data = b"".join(self._held)
            self._held.clear()
        at, size, done, needed = 0, len(data), False, HEAD
        while size - at >= HEAD and not done:
            length = data[at] | data[at + 1] << 8 | data[at + 2] << 16
            needed = HEAD + length
            if size - at < needed:
                break
            if data[at + 3] != self._next:
                self._out_of_order(data[at + 3])
            self._next = (self._next + 1) & 0xFF
            payload = data[at + HEAD : at + needed]
            at += needed
            needed = HEAD
            if length == WHOLE or self._part:
                self._part += payload
                if length == WHOLE:
                    continue
                payload, self._part = self._part, b""
            done = self._step(self, payload)
        if done:
            self.unasked = at < size
        elif at < size:
            self._held.append(data[at:])
            self._missing = needed - (size - at)
        return done

    def _out_of_order(self, number: int) -> None:
        if number == 0:  # how a server says that it is shutting down
            raise OperationalError(CR.CR_SERVER_LOST, "Lost connection to MySQL server during query")
        raise InternalError(f"packet {number} where {self._next} was due")

    # --- one packet: each step says whether it was the last of all ---

    def _first(self, payload: bytes) -> bool:
        kind = payload[0]
        if kind == _OK:
            affected, at = _number(payload, 1)
            _, at = _number(payload, at)
            self.answers.append(Answer(affected))
            return self._ended(payload[at])
        if kind == _ERROR:
            return self._failed(payload)
        if kind == _NULL:
            raise InternalError("the server asks for a file")
        self._columns_left, _ = _number(payload, 0)
        self._meanings, self._rows = [], []
        self._step = Reading._column
        return False

    def _column(self, payload: bytes) -> bool:
        self._meanings.append(meaning(payload))
        self._columns_left -= 1
        if not self._columns_left:
            self._step = Reading._columns_end
        return False

    def _columns_end(self, payload: bytes) -> bool:
        if payload[0] != _EOF:
            raise InternalError("no end of the columns")
        self._step = Reading._row
        return False

    def _row(self, payload: bytes) -> bool:
        kind = payload[0]
        if kind == _EOF and len(payload) < _EOF_MAX:
            self.answers.append(Answer(len(self._rows), tuple(self._rows)))
            return self._ended(payload[3])
        if kind == _ERROR:
            return self._failed(payload)
        self._rows.append(parsed_row(payload, self._meanings))
        return False

    def _ended(self, status: int) -> bool:
        self._step = Reading._first
        return not status & SERVER_STATUS.SERVER_MORE_RESULTS_EXISTS

    def _failed(self, payload: bytes) -> bool:
        try:
            MysqlPacket(payload, _CODEC).raise_for_error()
        except MySQLError as error:
            self.refused = error.with_traceback(None)  # whose frames hold this reading
        return True


def _number(payload: bytes, at: int) -> tuple[int, int]:
    """A number of the length that it says, and where it ends."""
    first = payload[at]
    if first < _NULL:
        return first, at + 1
    wide = _LENGTH_BYTES[first]
    return int.from_bytes(payload[at + 1 : at + 1 + wide], "little"), at + 1 + wide


def parsed_row(payload: bytes, meanings: list[Meaning]) -> Row:
    """One row's values. Raises `InternalError` when it is of another length than it says."""
    row: list[Any] = []
    at = 0
    for encoding, convert in meanings:
        size = payload[at]
        at += 1
        if size == _NULL:
            row.append(None)
            continue
        if size > _NULL:
            size, at = _number(payload, at - 1)
        value: Any = payload[at : at + size]
        at += size
        if encoding is not None:
            value = value.decode(encoding)
        row.append(value if convert is None else convert(value))
    if at != len(payload):
        raise InternalError("a row of another length than it says")
    return tuple(row)


def meaning(definition: bytes) -> Meaning:
    """What a column's values mean, by its definition packet."""
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
