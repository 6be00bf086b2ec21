"""The reading side of the driver: rows as the library has them, whatever the server sends and however it is cut."""

import asyncio
import itertools
import re
from types import SimpleNamespace

import aiomysql  # noqa: TID251 - what ours is compared with
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymysql.err import InternalError, MySQLError, OperationalError

from penpay.adapters import mysql_driver
from penpay.adapters.mysql import Dsn

STATEMENTS = [
    "SELECT 1, -9223372036854775808, 18446744073709551615, NULL, 1.50, 1e300, TRUE",
    "SELECT '', 'a', 'Ünï ☃ 😀', REPEAT('x', 250), REPEAT('x', 251), REPEAT('y', 65535), REPEAT('z', 70000)",
    "SELECT x'', x'00ff', UNHEX(REPEAT('fe', 300)), CAST('text' AS BINARY), UUID() IS NOT NULL",
    "SELECT CAST('2026-11-28 01:02:03.000001' AS DATETIME(6)), CAST('2026-11-28' AS DATE), CAST('01:02:03' AS TIME)",
    "SELECT NULL, NULL, NULL",
    "SELECT 1 WHERE FALSE",
    "SELECT * FROM {ledger}.transactions",
    "SELECT * FROM information_schema.columns WHERE table_schema = '{ledger}' ORDER BY table_name, ordinal_position",
    "WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, REPEAT('x', i * 7) FROM n",
    "SELECT JSON_OBJECT('a', 1), CAST('[1]' AS CHAR), _latin1'\xe4'",
    "DO 1",
    "SELECT nothing FROM nowhere",
    "SELECT * FROM (SELECT 1 UNION SELECT 2) t WHERE (SELECT 1 UNION SELECT 2) = 1",
    "SELECT 1 +",
]


async def answered(session, statement):
    try:
        affected = await session.query(statement.encode())
    except MySQLError as error:
        return type(error), error.args
    result = session._result
    return affected, result.rows, result.has_next, result.warning_count


@pytest.fixture
async def both(database):
    dsn = Dsn.parse(database.url)
    where = {"host": dsn.host, "port": dsn.port, "user": dsn.user, "password": dsn.password}
    where["unix_socket"] = dsn.unix_socket or None
    ours = await mysql_driver.connect(**where)
    theirs = await aiomysql.connect(charset="utf8mb4", autocommit=True, conv=mysql_driver._CONVERSIONS, **where)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda text: re.sub(r"\W+", " ", text)[:30])
async def test_a_statement_is_answered_as_by_the_library(statement, both, database):
    text = statement.replace("{ledger}", f"{database.prefix}ledger")
    ours, theirs = both
    for _ in range(2):  # the second time its columns are known
        assert await answered(ours, text) == await answered(theirs, text)


async def test_several_statements_are_answered_one_after_the_other(both):
    found = []
    for session in both:
        await session.query(b"SELECT 1; DO 0; SELECT 'a', NULL UNION SELECT 'b', 2")
        rows = [session._result.rows]
        while session._result.has_next:
            await session.next_result()
            rows.append(session._result.rows)
        found.append(rows)
    assert found[0] == found[1] == [((1,),), None, (("a", None), ("b", 2))]


async def test_a_session_that_the_server_ends_is_lost(both):
    ours, theirs = both
    with pytest.raises(OperationalError) as lost:
        await asyncio.gather(ours.query(b"SELECT SLEEP(20)"), theirs.query(f"KILL {ours.thread_id()}".encode()))
    assert lost.value.args[0] in {2013, 1053, 1927}


class Pieces:
    """A stream that brings bytes as they were cut."""

    def __init__(self, pieces):
        self._pieces = list(pieces)

    async def read(self, _most):
        return self._pieces.pop(0) if self._pieces else b""


def packet(number, payload):
    return len(payload).to_bytes(3, "little") + bytes([number % 256]) + payload


def cut(stream, cuts):
    places = [0, *sorted(place % (len(stream) + 1) for place in cuts), len(stream)]
    return [stream[one:two] for one, two in itertools.pairwise(places) if one < two]


def driver_on(pieces):
    driver = mysql_driver.Driver()
    transport = SimpleNamespace(close=lambda: None)
    driver._reader, driver._writer, driver._next_seq_id = Pieces(pieces), SimpleNamespace(transport=transport), 0
    return driver


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6), st.lists(st.integers(0, 300), max_size=9))
def test_packets_are_the_same_however_the_stream_is_cut(payloads, cuts):
    stream = b"".join(packet(number, payload) for number, payload in enumerate(payloads))

    async def all_of_them():
        driver = driver_on(cut(stream, cuts))
        found = [await driver.payload() for _ in payloads]
        driver.close()
        return found

    assert asyncio.run(all_of_them()) == payloads


@pytest.mark.parametrize("length", [9, 10, 11, 20, 25])
async def test_a_packet_that_goes_on_in_the_next_ones_is_one(monkeypatch, length):
    monkeypatch.setattr(mysql_driver, "_WHOLE", 10)
    whole = bytes(range(65, 65 + length))
    parts = [whole[at : at + 10] for at in range(0, length + 1, 10)]
    driver = driver_on([b"".join(packet(number, part) for number, part in enumerate(parts))])
    assert await driver.payload() == whole
    driver.close()


async def test_a_row_that_goes_on_in_the_next_packet_is_one(monkeypatch):
    monkeypatch.setattr(mysql_driver, "_WHOLE", 10)
    row = bytes([14]) + b"fourteen bytes"
    end = b"\xfe\x00\x00\x02\x00"
    stream = packet(0, row[:10]) + packet(1, row[10:]) + packet(2, end)
    driver = driver_on([stream])
    result = mysql_driver._Result(driver)
    result.converters = [("ascii", None)]
    await result._read_rowdata_packet()
    driver.close()
    assert result.rows == (("fourteen bytes",),)


async def test_a_stream_that_ends_is_a_lost_connection():
    driver = driver_on([packet(0, b"half")[:6]])
    with pytest.raises(OperationalError) as lost:
        await driver.payload()
    assert lost.value.args[0] == 2013


@pytest.mark.parametrize(("number", "error"), [(0, OperationalError), (7, InternalError)])
async def test_packets_out_of_order_end_the_session(number, error):
    driver = driver_on([packet(0, b"a") + packet(number, b"b")])
    assert await driver.payload() == b"a"
    with pytest.raises(error):
        await driver.payload()
    assert driver.closed


async def test_who_is_cancelled_while_reading_ends_the_session(both):
    ours, _ = both
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await ours.query(b"SELECT SLEEP(20)")
    assert ours.closed


@pytest.mark.parametrize("row", [b"\x05abc", b"\x01a\x01b"], ids=["too short", "too long"])
def test_a_row_of_another_length_than_it_says_is_refused(row):
    with pytest.raises(InternalError):
        mysql_driver._row(row, [("ascii", None)])


def test_definitions_are_remembered_within_a_bound(monkeypatch):
    monkeypatch.setattr(mysql_driver, "_COLUMNS_MAX", 2)
    monkeypatch.setattr(mysql_driver, "_columns", {})
    for name in ("a", "b", "c"):
        names = b"".join(bytes([len(part)]) + part for part in (b"def", b"", b"", b"", name.encode(), b""))
        mysql_driver._meaning(names + b"\x0c" + (63).to_bytes(2, "little") + bytes(4) + b"\x08" + bytes(5))
    assert len(mysql_driver._columns) == 1
