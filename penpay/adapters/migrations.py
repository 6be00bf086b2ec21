"""Brings the three schemas to the newest version: forward only, each file once, an edited file is refused.

Another login than the runtime's runs this. MySQL commits around every DDL statement, so each file holds one; a run that
died between the statement and its record is repeated, and finds that its column or index is there.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penpay.adapters.database import Database
from penpay.adapters.mysql import Connection, Dsn
from penpay.adapters.sql_text import Queries, literal, row, schema_names, with_schemas
from penpay.data import data_dir
from penpay.domain import deposit, withdrawal
from penpay.domain.chain import GENESIS
from penpay.domain.errors import StoreError, Unavailable

RAILS = ("rail/daraja", "rail/deriv")
LOCK_WAIT_S = 60
DONE_BEFORE = {1060, 1061, 1091, 1826, 3822}
"""Duplicate column, duplicate key name, no such column to drop, duplicate CHECK (1826 MariaDB's, 3822 MySQL's number).

One statement is whole or not at all, so it is done.
"""


class MigrationRefused(Exception):
    """The files and the database contradict each other; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a run did: the names of the files it applied, and the installation's id."""

    applied: tuple[str, ...]
    installation_id: str


def migration_files() -> Sequence[Path]:
    """All files, in the order of their names."""
    return sorted((data_dir("sql") / "migrations").glob("*.sql"))


async def migrate(admin_url: str, *, runtime_url: str, prefix: str, shards: int, new_installation_id: str) -> Migrated:
    """Apply what is missing, seed rows that must exist, and grant the runtime login its rights.

    `new_installation_id` (a ULID) is taken only by an empty database. Two runs at once wait for each other. Raises
    `MigrationRefused`, or `Unavailable` without a server.
    """
    connection = await Connection.open(Dsn.parse(admin_url), statement_timeout_s=600.0)
    try:
        lock = f"{prefix}migrate"
        if (await connection.rows(f"SELECT GET_LOCK({literal(lock)}, {LOCK_WAIT_S})"))[0][0] != 1:
            raise MigrationRefused("another migration is running")
        queries = Queries.load("migrations", prefix=prefix)
        for name in schema_names(prefix).values():
            await connection.query(f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        await connection.query(queries("create_history"))
        applied = await _apply_missing(connection, queries, prefix)
        installation_id = await _seed(connection, queries, shards=shards, new_installation_id=new_installation_id)
        if Dsn.parse(admin_url).user != Dsn.parse(runtime_url).user:
            await _grant(connection, queries, Dsn.parse(runtime_url), prefix)
        return Migrated(tuple(applied), installation_id)
    finally:
        connection.close()


async def schema_problem(database: Database, *, shards: int) -> str:
    """Why this version must not run on this database yet, or empty.

    A newer schema is fine: migrations add, and take away only what is worth nothing after minutes. Another number of
    shards would look for customers and their open payments where they are not. Raises `Unavailable`.
    """
    queries = database.queries("migrations")
    try:
        history: dict[str, str] = dict(await database.rows(queries("history")))
    except StoreError as error:
        if isinstance(error, Unavailable):
            raise
        return "this database was never migrated: run penpay migrate"
    for path in migration_files():
        if path.stem not in history:
            return f"migration {path.stem} is not applied: run penpay migrate"
        if history[path.stem] != hashlib.sha256(path.read_bytes()).hexdigest():
            return f"migration {path.stem} was edited after it was applied"
    installed = [int(count) for _, count in await database.rows(queries("installation"))]
    return "" if installed == [shards] else _other_shards(installed, shards)


def _other_shards(installed: Sequence[int], shards: int) -> str:
    if not installed:
        return "this database was never migrated to its end: run penpay migrate"
    return f"this installation has {installed[0]} shards for ever, not {shards}: see PENPAY_NODE__SHARDS"


async def _apply_missing(connection: Connection, queries: Queries, prefix: str) -> list[str]:
    history: dict[str, str] = dict(await connection.rows(queries("history")))
    files = {path.stem: path.read_bytes() for path in migration_files()}
    hashes = {name: hashlib.sha256(body).hexdigest() for name, body in files.items()}
    if gone := sorted(history.keys() - files.keys()):
        raise MigrationRefused(f"the database knows migration {gone[0]}, which this version lacks: use a newer version")
    if edited := sorted(name for name, sha256 in history.items() if hashes[name] != sha256):
        raise MigrationRefused(f"migration {edited[0]} was edited after it was applied: write a new one instead")
    applied = []
    for name, body in files.items():
        if name in history:
            continue
        began_s = time.monotonic()
        await _apply(connection, with_schemas(body.decode(), prefix).rstrip().removesuffix(";"))
        took_ms = int((time.monotonic() - began_s) * 1000)
        await connection.query(queries("record", name=name, sha256=hashes[name], took_ms=took_ms))
        applied.append(name)
    return applied


async def _apply(connection: Connection, statement: str) -> None:
    try:
        await connection.query(statement)
    except StoreError as error:
        if error.args[0] not in DONE_BEFORE:
            raise


async def _seed(connection: Connection, queries: Queries, *, shards: int, new_installation_id: str) -> str:
    await connection.query(queries("draw_installation", id=new_installation_id, shards=shards))
    installation_id, installed_shards = (await connection.rows(queries("installation")))[0]
    if installed_shards != shards:
        raise MigrationRefused(_other_shards([installed_shards], shards))
    for name in (*(f"shard/{shard}" for shard in range(shards)), *RAILS):
        await connection.query(queries("seed_lease", name=name))
        await connection.query(queries("seed_fence", name=name, genesis=GENESIS))
    for shard in range(shards):
        await connection.query(queries("seed_outbox_cursor", shard=shard))
    await connection.query(queries("seed_audit_head", genesis=GENESIS))
    edges = [row("DEPOSIT", source, target) for source, target in sorted(deposit.edges())]
    edges += [row("WITHDRAWAL", source, target) for source, target in sorted(withdrawal.edges())]
    await connection.query(queries.with_rows("allow_edges", edges))
    return str(installation_id)


async def _grant(connection: Connection, queries: Queries, runtime: Dsn, prefix: str) -> None:
    found = await connection.rows(queries("hosts_of", login=runtime.user))
    hosts = [host for (host,) in found]
    if not hosts:
        hosts = ["localhost" if runtime.unix_socket else "%"]
        login = f"{literal(runtime.user)}@{literal(hosts[0])}"
        await connection.query(f"CREATE USER {login} IDENTIFIED BY {literal(runtime.password)}")
    lines = (data_dir("sql") / "grants.sql").read_text().splitlines()
    statements = "\n".join(line for line in lines if not line.startswith("--")).split(";\n")
    for host in hosts:
        login = f"{literal(runtime.user)}@{literal(host)}"
        for statement in filter(None, map(str.strip, statements)):
            await connection.query(with_schemas(statement, prefix).replace("{login}", login).removesuffix(";"))
