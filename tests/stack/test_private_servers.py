import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penpay.stack import ChildProcess, PrivateMariaDB, PrivateRedis, ProcessFailed, RunFolder, clean_environment
from penpay.stack.folder import sweep


def test_the_database_keeps_commits_and_fails_lost_races(mariadb):
    expected = {
        "innodb_flush_log_at_trx_commit": "1",
        "sync_binlog": "1",
        "innodb_rollback_on_timeout": "ON",
        "innodb_snapshot_isolation": "ON",
        "innodb_doublewrite": "ON",
        "tx_isolation": "READ-COMMITTED",
    }
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL VARIABLES")
        actual = dict(cursor.fetchall())
    assert {name: actual[name] for name in expected} == expected


def test_the_runtime_login_owns_nothing_at_first(private_mariadb):
    with private_mariadb.connect("runtime") as connection, connection.cursor() as cursor:
        cursor.execute("SHOW GRANTS")
        assert len(cursor.fetchall()) == 1
        cursor.execute("SHOW DATABASES")
        assert cursor.fetchall() == (("information_schema",),)


async def test_a_killed_database_comes_back_with_what_was_committed(private_mariadb):
    with private_mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE kept")
        cursor.execute("CREATE TABLE kept.row (id INT PRIMARY KEY) ENGINE=InnoDB")
        cursor.execute("INSERT INTO kept.row VALUES (7)")
    url = private_mariadb.url()
    private_mariadb.kill()
    assert private_mariadb.exit_code == -signal.SIGKILL
    await private_mariadb.start_async()
    assert private_mariadb.url() == url
    with private_mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM kept.row")
        assert cursor.fetchall() == ((7,),)


def test_a_half_made_data_folder_is_made_anew(run_folder):
    server = PrivateMariaDB(run_folder / "db", socket_folder=run_folder)
    (run_folder / "db" / "data.new" / "mysql").mkdir(parents=True)
    server.start()
    assert server.stop() == 0


def test_redis_is_flushed_between_tests_and_restarts_empty(private_redis):
    assert private_redis.command("SET", "key", "value") == "+OK"
    private_redis.restart()
    assert private_redis.command("GET", "key") == "$-1"


def test_a_child_reports_ready_with_a_line_of_json(run_folder):
    child = _python_child(
        run_folder, """print('noise'); print('{"url": "x"}', flush=True); __import__('signal').pause()"""
    )
    child.start()
    assert child.ready_report() == {"url": "x"}
    child.kill()
    child.start()
    assert child.stop() == -signal.SIGTERM


def test_a_child_that_ends_early_fails_with_its_last_words(run_folder):
    child = _python_child(run_folder, "raise SystemExit('no database')")
    with pytest.raises(ProcessFailed, match=r"ended with 1 .*\nno database"):
        child.start()


def test_children_die_with_their_parent(run_folder):
    code = (
        "import os, pathlib, sys; from penpay.stack import PrivateRedis;"
        f"server = PrivateRedis(pathlib.Path({str(run_folder)!r})); server.start();"
        "os.write(1, b'%d' % server.pid); os.kill(os.getpid(), 9)"
    )
    parent = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, cwd=_root())
    pid = int(parent.stdout)
    deadline = time.monotonic() + 10
    while _is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_folder_in_use_survives_a_sweep_and_an_abandoned_one_does_not(tmp_path):
    used = RunFolder(tmp_path)
    abandoned = RunFolder(tmp_path)
    abandoned._lock.close()
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [used.path]
    used.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_caller_configures_no_child():
    caller = {"PATH": "/bin", "PENPAY_HTTP__PUBLIC_BIND": "x", "PYTHONPATH": "y", "APP_ENV": "production"}
    assert clean_environment(caller) == {"PATH": "/bin"}


async def test_two_servers_run_beside_each_other(run_folder):
    servers = [PrivateRedis(run_folder, name=name) for name in ("one", "two")]
    await asyncio.gather(*(server.start_async() for server in servers))
    assert servers[0].command("SET", "key", "1") == "+OK"
    assert servers[1].command("GET", "key") == "$-1"
    for server in servers:
        assert await server.stop_async() == 0


def _python_child(folder: Path, code: str) -> ChildProcess:
    return ChildProcess("child", [sys.executable, "-c", code], folder=folder)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _root() -> Path:
    return Path(__file__).parents[2]
