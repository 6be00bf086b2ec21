"""A place for a database that is small enough to be filled, and can be emptied again.

Root gets a file system of its own. Whoever may not mount one gets a table space that may not grow: the server says the
same of it, only without asking the kernel.
"""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pymysql

from penpay.stack import PrivateMariaDB

SIZE_MB = 224
_TABLE_IS_FULL = 1114
_CHUNK = 1 << 16


class Disk(Protocol):
    """What a test does to it."""

    def fill(self) -> None: ...

    def free(self) -> None: ...


class FileSystem:
    """A file system, and a file that takes all that is left of it."""

    def __init__(self, path: Path) -> None:
        self._junk = path / "junk"

    def fill(self) -> None:
        with self._junk.open("wb", buffering=0) as junk:
            for size in (_CHUNK, 1):
                while self._fits(junk.fileno(), size):
                    pass

    def free(self) -> None:
        self._junk.unlink()

    @staticmethod
    def _fits(file: int, size: int) -> bool:
        try:
            return os.write(file, bytes(size)) > 0
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return False


class TableSpace:
    """One table space for all tables, and a table that takes all that is left of it. A larger one needs a restart."""

    def __init__(self, server: PrivateMariaDB) -> None:
        self._server = server
        self._plain = server.argv
        server.argv = [*self._plain, *self._options(SIZE_MB)]

    def fill(self) -> None:
        with self._server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE junk")
            cursor.execute("CREATE TABLE junk.junk (words LONGBLOB)")
            for size in (_CHUNK * 16, _CHUNK, 1):
                while self._fits(cursor, size):
                    pass

    def free(self) -> None:
        self._server.argv = [*self._plain, *self._options(2 * SIZE_MB)]
        self._server.restart()

    @staticmethod
    def _options(max_mb: int) -> list[str]:
        return ["--innodb-file-per-table=OFF", f"--innodb-data-file-path=ibdata1:3M:autoextend:max:{max_mb}M"]

    @staticmethod
    def _fits(cursor: "pymysql.cursors.Cursor", size: int) -> bool:
        try:
            cursor.execute("INSERT INTO junk.junk VALUES (REPEAT('x', %s))", (size,))
        except pymysql.OperationalError as error:
            if error.args[0] != _TABLE_IS_FULL:
                raise
            return False
        return True


@contextmanager
def small_disk(folder: Path, sockets: Path) -> Iterator[tuple[PrivateMariaDB, Disk]]:
    """A server, not started, whose data lies on a small disk in `folder`, and the disk."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    server = PrivateMariaDB(folder / "mariadb", socket_folder=sockets, log_mb=16)
    try:
        yield server, FileSystem(folder) if mounted else TableSpace(server)
    finally:
        server.kill()
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
