"""How values get into statements, and the driver that carries them."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penpay.adapters.ledger_rows import texts
from penpay.adapters.mysql import Connection, Dsn
from penpay.adapters.sql_text import Queries, json_rows, literal, parsed, text
from penpay.data import data_dir
from penpay.domain.errors import StoreError, Unavailable
from penpay.domain.money import Currency

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
FILES = sorted((data_dir("sql") / "queries").glob("*.sql"))


@pytest.fixture
async def connection(mariadb):
    opened = await Connection.open(Dsn.parse(mariadb.url()), several=True)
    yield opened
    opened.close()


_ESCAPES = {"0": "\0", "n": "\n", "r": "\r", "Z": "\x1a"}


def read_back(literals: str) -> list[str]:
    """What a server understands of a list of text literals."""
    found = re.findall(r"'((?:[^'\\]|\\.)*)'", literals, re.DOTALL)
    assert ",".join(f"'{inside}'" for inside in found) == literals
    return [
        re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), inside, flags=re.DOTALL) for inside in found
    ]


@given(st.lists(any_text, min_size=1, max_size=6))
def test_texts_are_literals_that_nothing_can_leave(values):
    assert read_back(texts(*values)) == values
    assert read_back(",".join(map(text, values))) == values


async def test_every_value_comes_back_as_it_was_given(connection):
    at = datetime(2026, 11, 20, 23, 59, 59, 7, tzinfo=UTC)
    nasty = ["", "'", "\\", "\\'", "\0", "\x1a", "%s", ":name", "{rows}", "😀", "a;b--c", "\n\r\t", '"', "O'Brien\\"]
    everything = bytes(range(256))
    values = [*nasty, "\0".join(nasty), everything, b"", 2**63 - 1, -(2**63), 0]
    found = (await connection.rows(f"SELECT {','.join(map(literal, values))}"))[0]
    assert list(found) == [value or b"" if isinstance(value, bytes) else value for value in values]
    found = (await connection.rows(f"SELECT {texts(*nasty)}"))[0]
    assert list(found) == nasty
    times = await connection.rows(f"SELECT CAST({literal(at)} AS DATETIME(6)), {literal(None)}, {literal(True)}")
    assert times == ((at, None, 1),)


async def test_rows_travel_through_json_unharmed(connection):
    nasty = ["'", "\\", '"', "\n", "😀", "\\u0000", "]", None]
    table = "JSON_TABLE({}, '$[*]' COLUMNS (a TEXT CHARACTER SET utf8mb4 PATH '$[0]' NULL ON EMPTY ERROR ON ERROR)) j"
    found = await connection.rows(f"SELECT a FROM {table.format(literal(json_rows([[value] for value in nasty])))}")
    assert [value for (value,) in found] == nasty


async def test_a_text_that_is_not_unicode_is_refused_before_it_is_sent(connection):
    with pytest.raises(StoreError, match="not Unicode"):
        await connection.rows(f"SELECT {text(chr(0xD800))}")
    assert await connection.rows("SELECT 1") == ((1,),)


def test_times_are_utc_and_never_naive():
    nairobi = timezone(timedelta(hours=3))
    assert literal(datetime(2026, 1, 1, 2, 30, tzinfo=nairobi)) == "'2025-12-31 23:30:00.000000'"
    with pytest.raises(AssertionError, match="zone"):
        literal(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


@pytest.mark.parametrize("value", [1.5, {"a": 1}, object()])
def test_what_has_no_exact_form_is_no_parameter(value):
    with pytest.raises(TypeError):
        literal(value)


def test_lists_are_the_inside_of_in():
    assert literal(["a", Currency.KES]) == "'a', 'KES'"
    assert literal([]) == "NULL"


def test_a_query_takes_exactly_its_parameters():
    queries = Queries({"one": "SELECT :a, x::y, :a"})
    assert queries("one", a="is :a") == "SELECT 'is :a', x::y, 'is :a'"
    with pytest.raises(AssertionError, match=r"one: .'a'"):
        queries("one")
    with pytest.raises(AssertionError, match=r"one: .'[bc]', '[bc]'"):
        queries("one", a=1, b=1, c=1)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_named_query_says_what_it_is_for(path):
    lines = path.read_text().splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("-- name: ")]
    assert starts
    assert all(lines[number + 1].startswith("-- ") and lines[number + 1].endswith((".", ",", "")) for number in starts)
    assert all("SELECT *" not in body and "REPLACE INTO" not in body for body in parsed(path).values())


async def test_several_statements_stop_at_the_first_that_fails(connection):
    with pytest.raises(StoreError):
        await connection.run_all([("", "SELECT 1"), ("", "SELECT nothing"), ("", "SELECT 2")])
    assert await connection.run_all([("", "SELECT 1"), ("", "SELECT 2, 3")]) == [((1,),), ((2, 3),)]


async def test_a_session_takes_several_statements_only_when_opened_for_them(mariadb):
    connection = await Connection.open(Dsn.parse(mariadb.url()))
    with pytest.raises(StoreError):
        await connection.query("SELECT 1; SELECT 2")
    connection.close()


async def test_sessions_are_strict_and_in_utc(connection):
    found = await connection.rows("SELECT @@SESSION.sql_mode, @@SESSION.time_zone, @@SESSION.autocommit")
    assert {"STRICT_TRANS_TABLES", "ONLY_FULL_GROUP_BY", "NO_ZERO_DATE"} <= set(found[0][0].split(","))
    assert "NO_BACKSLASH_ESCAPES" not in found[0][0]
    assert found[0][1:] == ("+00:00", 1)
    assert (await connection.rows("SELECT @@SESSION.tx_isolation")) == (("READ-COMMITTED",),)


async def test_no_server_is_unavailable(run_folder):
    dsn = Dsn.parse(f"mysql://u:p@localhost/?unix_socket={run_folder}/nothing.sock")
    with pytest.raises(Unavailable):
        await Connection.open(dsn)


def test_a_url_is_read_with_its_escapes():
    dsn = Dsn.parse("mysql://us%40er:p%2Fw@db.internal:3307/?unix_socket=/run/x%20y.sock")
    assert dsn == Dsn("us@er", "p/w", "db.internal", 3307, "/run/x y.sock")
    assert "p/w" not in repr(dsn)
