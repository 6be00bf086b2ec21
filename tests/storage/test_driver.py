"""Sessions of ours: answers as the library has them, whatever comes, however it is cut, and whoever ends it."""

import asyncio
import itertools
import re
from pathlib import Path

import aiomysql  # noqa: TID251 - what ours is compared with
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymysql.err import DataError, InterfaceError, InternalError, MySQLError, OperationalError

from penpay.adapters import mysql_driver, mysql_wire
from penpay.adapters.mysql import Dsn
from penpay.adapters.mysql_wire import Answer, Reading
from tests.harness.liar import liar
from tests.harness.rings import rings
from tests.harness.wire import Wire

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


async def ours_says(session, statement):
    answers = []
    try:
        await session.run(statement.encode(), answers, timeout_s=20)
    except MySQLError as error:
        return [*answers, (type(error), error.args)]
    return answers


async def theirs_says(session, statement):
    answers = []
    try:
        affected = await session.query(statement.encode())
        answers.append((affected, session._result.rows or ()))
        while session._result.has_next:
            affected = await session.next_result()
            answers.append((affected, session._result.rows or ()))
    except MySQLError as error:
        answers.append((type(error), error.args))
    return answers


@pytest.fixture
def where(database):
    dsn = Dsn.parse(database.url)
    login = {"host": dsn.host, "port": dsn.port, "user": dsn.user, "password": dsn.password}
    return {**login, "unix_socket": dsn.unix_socket or None}


@pytest.fixture
async def both(where):
    ours = await mysql_driver.connect(several=True, **where)
    theirs = await aiomysql.connect(charset="utf8mb4", autocommit=True, conv=mysql_wire.CONVERSIONS, **where)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda text: re.sub(r"\W+", " ", text)[:30])
async def test_a_statement_is_answered_as_by_the_library(statement, both, database):
    text = statement.replace("{ledger}", f"{database.prefix}ledger")
    ours, theirs = both
    for _ in range(2):  # the second time its columns are known
        assert await ours_says(ours, text) == await theirs_says(theirs, text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1; DO 0; SELECT 'a', NULL UNION SELECT 'b', 2",
        "SELECT 1; DO 0; SELECT nothing FROM nowhere; SELECT 2",
        "SELECT 1; SELECT * FROM (SELECT 1 UNION SELECT 2) t WHERE (SELECT 1 UNION SELECT 2) = 1; SELECT 2",
    ],
    ids=["all succeed", "one is refused", "one fails among its rows"],
)
async def test_several_statements_are_answered_one_after_the_other(text, both):
    ours, theirs = both
    for _ in range(2):  # a refusal leaves the session usable
        found = await ours_says(ours, text)
        assert found == await theirs_says(theirs, text)
        assert len(found) > 1


async def test_statements_longer_than_a_packet_are_refused_and_harm_nothing(both):
    ours, _ = both
    with pytest.raises(DataError):
        await ours.run(b"SELECT '" + b"x" * (1 << 24) + b"'", [], timeout_s=20)
    assert await ours_says(ours, "SELECT 1") == [(1, ((1,),))]


async def test_a_session_that_the_server_ends_is_lost(both):
    ours, theirs = both
    with pytest.raises(OperationalError) as lost:
        await asyncio.gather(
            ours.run(b"SELECT SLEEP(20)", [], timeout_s=20), theirs.query(f"KILL {ours.number}".encode())
        )
    assert lost.value.args[0] in {2013, 1053, 1927}


async def test_an_idle_session_that_the_server_ends_is_closed(both):
    ours, theirs = both
    await theirs.query(f"KILL {ours.number}".encode())
    async with asyncio.timeout(20):
        while not ours.closed:
            await asyncio.sleep(0.01)
    with pytest.raises(InterfaceError):
        await ours.run(b"SELECT 1", [], timeout_s=20)


async def test_a_session_is_closed_from_the_end_of_the_stream_on(both):
    ours, _ = both
    ours.eof_received()  # the transport tells that it is closed in a later step of the loop
    with pytest.raises(InterfaceError):
        await ours.run(b"SELECT 1", [], timeout_s=20)


async def test_several_statements_are_refused_unless_they_were_asked_for(where):
    session = await mysql_driver.connect(several=False, **where)
    (refused,) = await ours_says(session, "SELECT 1; SELECT 2")
    assert refused[1][0] == 1064
    assert await ours_says(session, "SELECT 1") == [(1, ((1,),))]
    session.close()


async def test_who_is_cancelled_while_waiting_ends_the_session(both):
    ours, _ = both
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await ours.run(b"SELECT SLEEP(20)", [], timeout_s=20)
    assert ours.closed


async def test_a_server_that_falls_silent_is_left_after_the_time_of_its_statement(database, where, tmp_path):
    with Wire(tmp_path / "line", Path(where["unix_socket"])) as wire:
        session = await mysql_driver.connect(several=False, **{**where, "unix_socket": str(tmp_path / "line")})
        # The timer that the first one set is the one that ends the third.
        for _ in range(2):
            await session.run(b"SELECT 1", [], timeout_s=0.3)
        wire.silent = True
        with pytest.raises(TimeoutError):
            await session.run(b"SELECT 1", [], timeout_s=0.3)
        assert session.closed
        wire.silent = False


async def test_an_idle_session_is_not_ended_by_the_time_of_its_last_statement(both):
    ours, _ = both
    await ours.run(b"SELECT 1", [], timeout_s=0.05)
    await asyncio.sleep(0.1)
    assert await ours_says(ours, "SELECT 2") == [(1, ((2,),))]


async def test_an_answer_is_freed_without_the_collector(both):
    ours, _ = both
    with rings() as left:
        for text in ("SELECT 1; DO 0; SELECT 'a' UNION SELECT 'b'", "SELECT nothing FROM nowhere"):
            await ours_says(ours, text)
    assert not [one for one in left if isinstance(one, Reading | Answer)]


# --- the bytes ---


def packet(number, payload):
    return len(payload).to_bytes(3, "little") + bytes([number % 256]) + payload


def stream_of(payloads):
    return b"".join(packet(number, payload) for number, payload in enumerate(payloads, 1))


def cut(stream, cuts):
    places = [0, *sorted(place % (len(stream) + 1) for place in cuts), len(stream)]
    return [stream[one:two] for one, two in itertools.pairwise(places) if one < two]


def fed(pieces):
    reading = Reading([])
    whole = [reading.feed(piece) for piece in pieces]
    assert whole == [False] * (len(pieces) - 1) + [True]
    return reading


MORE, LAST = b"\x08\x00", b"\x02\x00"
END = b"\xfe\x00\x00"


def column(name=b"a", charset=63, kind=b"\xfd"):
    names = b"".join(bytes([len(part)]) + part for part in (b"def", b"", b"", b"", name, b""))
    return names + b"\x0c" + charset.to_bytes(2, "little") + bytes(4) + kind + bytes(5)


def answers_of(*values, affected=5):
    rows = [
        bytes([len(value)]) + value if len(value) < 251 else b"\xfc" + len(value).to_bytes(2, "little") + value
        for value in values
    ]
    return [
        bytes([0, affected, 0]) + MORE + b"\x00\x00",
        *(b"\x01", column(), END + LAST, *rows, END + MORE),
        b"\x00\xfc\x00\x01\x00" + LAST + b"\x00\x00",
    ]


@given(st.lists(st.binary(max_size=300), max_size=6), st.lists(st.integers(0, 3000), max_size=9))
def test_answers_are_the_same_however_the_stream_is_cut(values, cuts):
    reading = fed(cut(stream_of(answers_of(*values)), cuts))
    assert reading.answers == [(5, ()), (len(values), tuple((value,) for value in values)), (256, ())]
    assert reading.refused is None


@pytest.mark.parametrize("length", [9, 10, 11, 19, 20, 25])
@pytest.mark.parametrize("cuts", [[], range(1, 90)], ids=["at once", "byte by byte"])
def test_a_row_that_goes_on_in_the_next_packets_is_one(monkeypatch, length, cuts):
    value = bytes(range(65, 65 + length))
    row = bytes([length]) + value
    head = stream_of([b"\x01", column(), END + LAST])
    parts = [row[at : at + 10] for at in range(0, len(row) + 1, 10)]
    tail = b"".join(packet(number, part) for number, part in enumerate([*parts, END + LAST], 4))
    reading = Reading([])
    assert not reading.feed(head)
    monkeypatch.setattr(mysql_wire, "WHOLE", 10)
    whole = [reading.feed(piece) for piece in cut(tail, cuts)]
    assert whole[-1]
    assert reading.answers == [(1, ((value,),))]


def test_an_error_among_the_rows_ends_the_answers():
    error = b"\xff" + (1205).to_bytes(2, "little") + b"#HY000waited"
    reading = fed([stream_of([b"\x01", column(), END + LAST, b"\x01a", error])])
    assert (reading.answers, reading.refused.args) == ([], (1205, "waited"))


@pytest.mark.parametrize(("number", "error"), [(0, OperationalError), (7, InternalError)])
def test_packets_out_of_order_are_no_answer(number, error):
    with pytest.raises(error):
        Reading([]).feed(packet(1, b"\x01") + packet(number, column()))


@pytest.mark.parametrize(
    "payloads",
    [
        [b"\xfbfile"],
        [b"\x01", column(), b"\x01a"],
        [b"\x01", column(), END + LAST, b"\x05abc"],
        [b"\x01", column(), END + LAST, b"\x01a\x01b"],
        [b"\x00"],
        [b""],
    ],
    ids=[
        "asks for a file",
        "no end of columns",
        "row too short",
        "row too long",
        "cut",
        "empty",
    ],
)
async def test_a_session_that_hears_nonsense_is_closed(payloads, where, tmp_path):
    listen = tmp_path / "liar"
    async with liar(where["unix_socket"], listen, stream_of(payloads)) as lying:
        session = await mysql_driver.connect(several=True, **{**where, "unix_socket": str(listen)})
        lying.set()
        with pytest.raises(InternalError):
            await session.run(b"SELECT 1", [], timeout_s=20)
        assert session.closed


FAREWELL = packet(0, b"\xff" + (4031).to_bytes(2, "little") + b"#HY000The client was disconnected by the server")


@pytest.mark.parametrize("behind", [FAREWELL[:1], FAREWELL[:4], FAREWELL, packet(2, b"\x00\x00\x00" + LAST)], ids=len)
async def test_what_comes_right_behind_an_answer_ends_the_session_and_not_the_answer(behind, where, tmp_path):
    listen = tmp_path / "liar"
    async with liar(where["unix_socket"], listen, stream_of([b"\x00\x03\x00" + LAST]) + behind) as lying:
        session = await mysql_driver.connect(several=True, **{**where, "unix_socket": str(listen)})
        lying.set()
        assert await ours_says(session, "COMMIT") == [(3, ())]
        assert session.closed


def test_definitions_are_remembered_within_a_bound(monkeypatch):
    monkeypatch.setattr(mysql_wire, "_COLUMNS_MAX", 2)
    monkeypatch.setattr(mysql_wire, "_columns", {})
    for name in (b"a", b"b", b"c"):
        mysql_wire.meaning(column(name, kind=b"\x08"))
    assert len(mysql_wire._columns) == 1
