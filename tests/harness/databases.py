"""Fixtures that give migrated schemas."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from penpay.adapters.migrations import migrate
from penpay.stack import PrivateMariaDB

SHARDS = 4
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class MigratedDatabase:
    """The three schemas `<prefix>users`, `<prefix>ledger`, `<prefix>audit`, empty but for what a migration seeds."""

    server: PrivateMariaDB
    prefix: str
    shards: int
    installation_id: str

    @property
    def url(self) -> str:
        """Runtime login."""
        return self.server.url("runtime")

    @property
    def admin_url(self) -> str:
        return self.server.url("admin")

    def schema(self, name: str) -> str:
        """Full name of `users`, `ledger` or `audit`."""
        return f"{self.prefix}{name}"

    def rows(self, statement: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        """Run one statement as admin; `{ledger}`, `{users}` and `{audit}` stand for the schemas."""
        for name in ("users", "ledger", "audit"):
            statement = statement.replace(f"{{{name}}}", self.schema(name))
        with self.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())

    def drop(self) -> None:
        for name in ("users", "ledger", "audit"):
            self.rows(f"DROP DATABASE IF EXISTS {{{name}}}")
            # Rights outlive the schema that they are for, and each one slows the next login a little.
            for table in ("db", "tables_priv", "columns_priv"):
                self.rows(f"DELETE FROM mysql.{table} WHERE Db = %s", (self.schema(name),))
        self.rows("FLUSH PRIVILEGES")


def migrated(server: PrivateMariaDB, *, prefix: str = "penpay_", shards: int = SHARDS) -> MigratedDatabase:
    """Migrate a running server; for fixtures that need other numbers than the ones below."""
    installation_id = f"{next(_numbers):026d}"
    # A loop of its own that is never made the thread's current one, so that an async test's loop stays untouched.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        done = runner.run(
            migrate(
                server.url("admin"),
                runtime_url=server.url("runtime"),
                prefix=prefix,
                shards=shards,
                new_installation_id=installation_id,
            )
        )
    return MigratedDatabase(server, prefix, shards, done.installation_id)


@pytest.fixture
def database(mariadb: PrivateMariaDB) -> Iterator[MigratedDatabase]:
    fresh = migrated(mariadb, prefix=f"t{next(_numbers)}_")
    yield fresh
    fresh.drop()


@pytest.fixture(scope="module")
def module_database(mariadb: PrivateMariaDB) -> Iterator[MigratedDatabase]:
    fresh = migrated(mariadb, prefix=f"t{next(_numbers)}_")
    yield fresh
    fresh.drop()


@pytest.fixture
def private_database(private_mariadb: PrivateMariaDB) -> MigratedDatabase:
    return migrated(private_mariadb)
