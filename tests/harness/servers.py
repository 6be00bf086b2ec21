"""Fixtures that start and stop private servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from penpay.stack import PrivateMariaDB, PrivateRedis, RunFolder
from penpay.stack.folder import run_folders


@pytest.fixture(scope="session")
def session_folders() -> Iterator[tuple[Path, Path]]:
    """(sockets and logs, data) of this test run."""
    with run_folders() as folders:
        yield folders


@pytest.fixture(scope="session")
def mariadb_template(session_folders: tuple[Path, Path]) -> Path:
    """Folder of an initialised and cleanly stopped server, to be copied."""
    sockets, data = session_folders
    server = PrivateMariaDB(data / "template", socket_folder=sockets, name="template", log_mb=16)
    server.start()
    server.stop()
    return data / "template"


@pytest.fixture(scope="session")
def mariadb(mariadb_template: Path, session_folders: tuple[Path, Path]) -> Iterator[PrivateMariaDB]:
    sockets, data = session_folders
    server = PrivateMariaDB.from_template(mariadb_template, data / "shared", socket_folder=sockets, name="shared")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def private_mariadb(mariadb_template: Path, run_folder: Path) -> Iterator[PrivateMariaDB]:
    data = mariadb_template.parent / run_folder.name
    server = PrivateMariaDB.from_template(mariadb_template, data, socket_folder=run_folder, name="mariadb")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def shared_redis(session_folders: tuple[Path, Path]) -> Iterator[PrivateRedis]:
    server = PrivateRedis(session_folders[0])
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis(shared_redis: PrivateRedis) -> PrivateRedis:
    shared_redis.flush()
    return shared_redis


@pytest.fixture
def private_redis(run_folder: Path) -> Iterator[PrivateRedis]:
    server = PrivateRedis(run_folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def run_folder() -> Iterator[Path]:
    with RunFolder() as folder:
        yield folder.path
