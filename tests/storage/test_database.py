"""Lanes, transactions that are run again, and what the errors of the driver mean."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pymysql.err import IntegrityError, InterfaceError, OperationalError, ProgrammingError

from penpay.adapters.batching import Batcher
from penpay.adapters.database import CALLBACKS, GENERAL, LANES, PATIENCE_S, PROOFS, WAIT_S, Database
from penpay.adapters.mysql import STATEMENT_TIMEOUT_S, UNKNOWN_VARIABLE, Connection, Dsn, translated
from penpay.domain.errors import StoreError, Unavailable
from penpay.ports import CheckViolated, ConnectionLost, Deadlock, Duplicate, LockTimeout
from tests.harness.liar import liar
from tests.harness.wire import Wire


@pytest.fixture
async def store(database):
    opened = Database(database.url, prefix=database.prefix, acquire_timeout_s=0.2)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (OperationalError(1213, "Deadlock found"), Deadlock),
        (OperationalError(1205, "Lock wait timeout exceeded"), LockTimeout),
        (OperationalError(1020, "Record has changed since last read"), LockTimeout),
        (OperationalError(3572, "NOWAIT is set"), LockTimeout),
        (IntegrityError(1062, "Duplicate entry 'a-b' for key 'uq_x'"), Duplicate),
        (OperationalError(4025, "CONSTRAINT `ck_x` failed"), CheckViolated),
        (OperationalError(3819, "Check constraint 'ck_x' is violated"), CheckViolated),
        (OperationalError(1644, "units is append-only"), CheckViolated),
        (OperationalError(2013, "Lost connection"), ConnectionLost),
        (OperationalError(1927, "Connection was killed"), ConnectionLost),
        (OperationalError(3169, "Session was killed"), ConnectionLost),
        (OperationalError(4031, "The client was disconnected by the server because of inactivity"), ConnectionLost),
        (InterfaceError("(0, 'Not connected')"), ConnectionLost),
        (OperationalError(2003, "Can't connect"), Unavailable),
        (OperationalError(1290, "read-only"), Unavailable),
        (OperationalError(1021, "Disk full"), Unavailable),
        (OperationalError(3032, "The server is currently in offline mode"), Unavailable),
        (ProgrammingError(1064, "syntax"), StoreError),
    ],
    ids=lambda value: str(value.args[0]) if isinstance(value, Exception) else value.__name__,
)
def test_an_error_is_judged_by_its_number(error, meaning):
    assert type(translated(error)) is meaning


@pytest.mark.parametrize("text", ["Duplicate entry 'x' for key 'uq_x'", "Duplicate entry '' for key 'table.uq_x'"])
def test_a_duplicate_names_its_key_on_both_servers(text):
    assert translated(IntegrityError(1062, text)).key == "uq_x"


def test_a_lost_commit_is_told_from_a_lost_statement():
    assert translated(OperationalError(2013, ""), commit_sent=True).commit_sent
    assert not translated(OperationalError(2013, "")).commit_sent


@asynccontextmanager
async def lied_to(database, listen: Path, payload: bytes) -> AsyncIterator[Connection]:
    """A session that hears one packet, whatever it asks."""
    dsn = Dsn.parse(database.url)
    async with liar(dsn.unix_socket, listen, len(payload).to_bytes(3, "little") + b"\1" + payload) as lying:
        connection = await Connection.open(replace(dsn, unix_socket=str(listen)), several=True)
        lying.set()
        try:
            yield connection
        finally:
            connection.close()


@pytest.mark.parametrize("payload", [b"\0", b"\xfbfile", b""], ids=["cut", "asks for a file", "empty"])
async def test_a_commit_whose_answer_cannot_be_read_may_have_taken_effect(database, tmp_path, payload):
    async with lied_to(database, tmp_path / "liar", payload) as connection:
        with pytest.raises(ConnectionLost) as lost:
            await connection.run_all([("t", "DO 0"), ("", "COMMIT")], commits=True)
        assert lost.value.commit_sent


async def test_a_commit_counts_as_done_only_when_each_statement_was_answered(database, tmp_path):
    async with lied_to(database, tmp_path / "liar", b"\0\0\0\2\0\0\0") as connection:
        with pytest.raises(AssertionError):
            await connection.run_all([("t", "DO 0"), ("", "COMMIT")], commits=True)


async def test_a_statement_whose_answer_cannot_be_read_is_a_fault_that_no_new_session_cures(database, tmp_path):
    async with lied_to(database, tmp_path / "liar", b"\xfbfile") as connection:
        with pytest.raises(StoreError) as refused:
            await connection.rows("SELECT 1")
        assert type(refused.value) is StoreError


@pytest.mark.parametrize("code", [1053, 1927, 4031])
async def test_a_session_that_the_server_ends_with_its_answer_is_not_used_again(database, tmp_path, code):
    async with lied_to(database, tmp_path / "liar", b"\xff" + code.to_bytes(2, "little") + b"#HY000bye") as connection:
        with pytest.raises(ConnectionLost):
            await connection.query("DO 0")
        assert not connection.usable  # although its end of the stream is still to come


@pytest.mark.parametrize("lane", [GENERAL, CALLBACKS])
async def test_a_server_that_hangs_keeps_nobody_who_waits_for_an_answer(database, tmp_path, lane):
    dsn = Dsn.parse(database.url)
    over = database.url.replace(dsn.unix_socket, str(tmp_path / "line"))
    assert over != database.url
    with Wire(tmp_path / "line", Path(dsn.unix_socket)) as wire:
        store = Database(over, prefix=database.prefix, wait_s={lane: 0.3})
        assert await store.rows("SELECT 1", lane=lane)
        wire.silent = True
        # The statement's own limit, and the tries after it, are much longer than this.
        async with asyncio.timeout(STATEMENT_TIMEOUT_S / 2):
            with pytest.raises(Unavailable):
                await store.rows("SELECT 1", lane=lane)
            with pytest.raises(Unavailable):
                await store.transact(lambda connection: connection.query("SELECT 1"), lane=lane)
        wire.silent = False
        assert await store.rows("SELECT 1", lane=lane)
        store.close()


async def test_a_callback_outlives_the_session_that_fell_silent(database, tmp_path):
    dsn = Dsn.parse(database.url)
    over = database.url.replace(dsn.unix_socket, str(tmp_path / "line"))
    with Wire(tmp_path / "line", Path(dsn.unix_socket)) as wire:
        store = Database(over, prefix=database.prefix)
        assert await store.rows("SELECT 1", lane=CALLBACKS)
        wire.hush()  # as after a failover: who is connected hears nothing more, who connects anew is served
        assert await store.write("DO 0", lane=CALLBACKS) == 0
        store.close()


@pytest.mark.parametrize("lane", LANES)
async def test_the_server_goes_on_with_nothing_that_nobody_waits_for(database, monkeypatch, lane):
    monkeypatch.setitem(PATIENCE_S, lane, 0.2)
    store = Database(database.url, prefix=database.prefix, wait_s={lane: 0.2})
    edges = f"{database.prefix}ledger.allowed_edges"
    endless = f"SELECT COUNT(*) FROM {', '.join(f'{edges} e{number}' for number in range(9))}"
    with pytest.raises(Unavailable):
        await store.rows(endless, lane=lane)
    store.close()

    def running():
        return database.rows("SELECT ID FROM information_schema.PROCESSLIST WHERE INFO = %s", (endless,))

    try:
        async with asyncio.timeout(20):
            while running():
                await asyncio.sleep(0.05)
    finally:
        for (number,) in running():
            database.rows(f"KILL {number}")


async def test_a_server_that_knows_another_limit_is_given_that_one(database, monkeypatch):
    """MySQL refuses a statement that sets what it does not know, and knows how long one may read."""
    asked, ask = [], Connection.query

    async def as_mysql(connection, statement, **how):
        asked.append(statement)
        if "max_statement_time" in statement:
            raise StoreError(UNKNOWN_VARIABLE, "Unknown system variable 'idle_transaction_timeout'")
        return await ask(connection, statement, **how)

    monkeypatch.setattr(Connection, "query", as_mysql)
    connection = await Connection.open(Dsn.parse(database.url), statement_timeout_s=2.5)
    assert await connection.rows("SELECT 1") == ((1,),)
    assert asked[-1] == "SET SESSION max_execution_time = 3500"  # in milliseconds; this server knows neither
    connection.close()


async def test_what_reads_whole_tables_and_is_not_answered_in_time_is_not_begun_anew(database, monkeypatch):
    for table in (PATIENCE_S, WAIT_S):
        monkeypatch.setitem(table, PROOFS, table.get(PROOFS, 1e9) / 60)
    asked, ask = [], Connection.rows

    async def noting(connection, statement):
        asked.append(statement)
        return await ask(connection, statement)

    monkeypatch.setattr(Connection, "rows", noting)
    store = Database(database.url, prefix=database.prefix)
    with pytest.raises(Unavailable):
        await store.rows("SELECT SLEEP(60)", lane=PROOFS)
    store.close()
    assert asked == ["SELECT SLEEP(60)"]


async def test_a_full_lane_is_unavailable_and_starves_no_other(store):
    async def hold(entered: asyncio.Event, leave: asyncio.Event) -> None:
        async with store.connection(GENERAL):
            entered.set()
            await leave.wait()

    leave = asyncio.Event()
    entered = [asyncio.Event() for _ in range(LANES[GENERAL])]
    holders = [asyncio.create_task(hold(event, leave)) for event in entered]
    await asyncio.gather(*(event.wait() for event in entered))
    with pytest.raises(Unavailable):
        await store.rows("SELECT 1")
    assert await store.rows("SELECT 1", lane="callbacks") == ((1,),)
    leave.set()
    await asyncio.gather(*holders)
    assert await store.rows("SELECT 1") == ((1,),)


async def test_a_session_that_died_is_not_used_again(store, database):
    mine = (await store.rows("SELECT CONNECTION_ID()"))[0][0]
    database.rows(f"KILL {mine}")
    assert (await store.rows("SELECT CONNECTION_ID()"))[0][0] != mine


async def test_a_transaction_that_was_left_open_holds_nothing(store, database):
    async def leave_it_open() -> None:
        async with store.connection() as connection:
            await connection.begin()
            await connection.query(f"SELECT * FROM {store.prefix}ledger.fences FOR UPDATE")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await leave_it_open()
    # On a thread: the loop has to close the session that was dropped.
    asked = asyncio.to_thread(database.rows, "SELECT COUNT(*) FROM {ledger}.fences FOR UPDATE WAIT 2")
    assert await asked == [(6,)]


async def test_a_transaction_is_run_again_after_a_deadlock(store):
    runs = []

    async def work(connection) -> int:
        runs.append(await connection.rows("SELECT 1"))
        if len(runs) < 3:
            raise Deadlock("1213")
        return len(runs)

    assert await store.transact(work) == 3


async def test_what_the_database_refuses_is_not_tried_again(store):
    runs = []

    async def work(connection) -> None:
        runs.append(1)
        await connection.query("SELECT nonsense")

    with pytest.raises(StoreError, match="nonsense"):
        await store.transact(work)
    assert runs == [1]


async def test_trouble_without_end_is_unavailable(store):
    async def work(_connection) -> None:
        raise LockTimeout("1205")

    with pytest.raises(Unavailable):
        await store.transact(work)


async def test_two_sessions_that_wait_for_each_other_both_succeed(store, database):
    names = ("shard/0", "shard/1")
    first_locked = [asyncio.Event(), asyncio.Event()]

    async def take(number: int) -> int:
        async def work(connection) -> int:
            table = f"{store.prefix}ledger.fences"
            await connection.query(f"SELECT * FROM {table} WHERE name = '{names[number]}' FOR UPDATE")
            first_locked[number].set()
            await first_locked[1 - number].wait()
            await connection.query(f"SELECT * FROM {table} WHERE name = '{names[1 - number]}' FOR UPDATE")
            return number

        return await store.transact(work)

    assert await asyncio.gather(take(0), take(1)) == [0, 1]


async def test_a_batch_that_fails_fails_each_of_its_callers_and_the_next_goes_on():
    batches: list[list[int]] = []

    async def flush(items):
        batches.append(list(items))
        await asyncio.sleep(0)
        if 3 in items:
            raise Unavailable("database")
        return [item * 10 if item % 2 == 0 else StoreError("odd") for item in items]

    batcher: Batcher[int, int] = Batcher(flush, size=3, waiting_max=100)
    found = await asyncio.gather(*map(batcher.put, range(8)), return_exceptions=True)
    assert sorted(number for batch in batches for number in batch) == list(range(8))
    assert len(batches) <= 4
    failed = next(batch for batch in batches if 3 in batch)
    assert {number for number, answer in enumerate(found) if isinstance(answer, Unavailable)} == set(failed)
    assert found[6] == 60
    assert type(found[7]) is StoreError


async def test_a_batcher_refuses_beyond_its_bound():
    never = asyncio.Event()

    async def flush(items):
        await never.wait()
        return [None] * len(items)

    batcher: Batcher[int, None] = Batcher(flush, size=1, waiting_max=2)
    waiting = []
    for number in range(3):
        waiting.append(asyncio.create_task(batcher.put(number)))
        # The first of them goes into the batch that is under way.
        for _ in range(3):
            await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await batcher.put(9)
    never.set()
    assert await asyncio.gather(*waiting) == [None] * 3


@asynccontextmanager
async def falling_silent(target: str, listen: Path, *, answers: int) -> AsyncIterator[None]:
    """A line to the server that carries so many of its packets, and then nothing, without being cut."""
    carrying: set[asyncio.Task[None]] = set()
    ends: list[asyncio.StreamWriter] = []

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, chunks: int) -> None:
        while chunks > 0 and (chunk := await source.read(1 << 16)):
            sink.write(chunk)
            chunks -= 1

    async def connected(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_unix_connection(target)
        ends.extend((to_client, to_server))
        carrying.add(asyncio.create_task(carry(client, to_server, 1 << 16)))
        carrying.add(asyncio.create_task(carry(server, to_client, answers)))

    line = await asyncio.start_unix_server(connected, listen)
    yield
    line.close()
    for task in carrying:
        task.cancel()
    await asyncio.gather(*carrying, return_exceptions=True)
    for end in ends:
        end.transport.abort()


@pytest.mark.parametrize("answers", range(6))
async def test_a_server_that_falls_silent_while_a_session_opens_is_away(database, tmp_path, answers):
    dsn = Dsn.parse(database.url)
    listen = tmp_path / "line"
    async with falling_silent(dsn.unix_socket, listen, answers=answers), asyncio.timeout(20):
        with pytest.raises(Unavailable):
            await Connection.open(replace(dsn, unix_socket=str(listen)), connect_timeout_s=0.1, statement_timeout_s=0.1)
