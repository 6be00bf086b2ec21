"""`penpay doctor`: what this machine, its configuration, its servers and its node lack, and what to do about it."""

import asyncio
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from redis.exceptions import RedisError

from config.environment import SettingsError, variable
from config.sections import Settings
from config.settings import load_settings
from penpay.adapters.database import Database
from penpay.adapters.migrations import schema_problem
from penpay.adapters.redis_streams import redis_client
from penpay.adapters.server_check import login_problems, server_advice, server_problems
from penpay.domain.errors import StoreError, Unavailable
from penpay.operator import Node, NodeUnreachable

_PROGRAMS: Mapping[str, str] = {
    "mariadbd": "mariadb-server-core",
    "mariadb-install-db": "mariadb-server-core",
    "my_print_defaults": "mariadb-client-core",
    "redis-server": "redis-tools",
}
"""What the private servers of `demo` and `up` need, and the Debian package of each. A node needs none of them."""


class Level(StrEnum):
    """Only `FAIL` keeps a node from doing business."""

    OK = "ok"
    NOTE = "note"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    level: Level
    detail: str


def findings() -> Sequence[Finding]:
    """Everything, in the order in which a start would need it. Nothing is changed by looking."""
    found = [*_programs()]
    try:
        settings = load_settings(os.environ)
    except SettingsError as error:
        return [*found, Finding("configuration", Level.FAIL, str(error))]
    about = f"{settings.app_env}, node {settings.node.name}, {settings.node.shards} shards"
    found.append(Finding("configuration", Level.OK, about))
    return [*found, *asyncio.run(_servers(settings)), *_node(Node.of(settings.http, settings.security))]


def _programs() -> Iterator[Finding]:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    found = {name: shutil.which(name, path=path) for name in _PROGRAMS}
    # Debian's redis-tools brings the server under another name.
    found["redis-server"] = found["redis-server"] or shutil.which("redis-check-rdb", path=path)
    for name, package in _PROGRAMS.items():
        place = found[name]
        missing = f"`penpay demo` and `up` want it: apt-get install {package}"
        yield Finding(name, Level.OK if place else Level.NOTE, place or missing)


async def _servers(settings: Settings) -> Sequence[Finding]:
    database = Database(settings.database.url.get_secret_value(), prefix=settings.database.prefix)
    try:
        found = [*await _database(database, settings)]
    finally:
        database.close()
    redis = redis_client(settings.redis.url.get_secret_value())
    try:
        await redis.ping()
    except (RedisError, OSError, TimeoutError) as error:
        # Money is safe without it, and nobody can sign in.
        found.append(Finding("redis", Level.NOTE, f"away: {error}"))
    else:
        found.append(Finding("redis", Level.OK, "answers"))
    finally:
        await redis.aclose()
    return found


async def _database(database: Database, settings: Settings) -> Sequence[Finding]:
    try:
        problems, advice = await server_problems(database), await server_advice(database)
        excesses = await login_problems(database)
        schema = await schema_problem(database, shards=settings.node.shards)
    except Unavailable as error:
        return [Finding("database", Level.FAIL, f"does not answer: see {variable(error.dependency, 'url')}")]
    except StoreError as error:
        return [Finding("database", Level.FAIL, f"cannot be used: {error}")]
    return [
        Finding(
            "database", Level.FAIL if schema else Level.OK, schema or "answers, and has the schema of this version"
        ),
        *(Finding("database", Level.FAIL, line) for line in problems),
        *(Finding("database", Level.NOTE if settings.is_relaxed else Level.FAIL, line) for line in excesses),
        *(Finding("database", Level.NOTE, line) for line in advice),
    ]


def _node(node: Node) -> Sequence[Finding]:
    """What a running node says of itself: which rails and which of their calls are missing, and whether it obeys us."""
    try:
        told = node.readiness()
    except NodeUnreachable as error:
        return [Finding("node", Level.NOTE, str(error))]
    lacking = ", ".join(sorted(name for name, one in told["dependencies"].items() if one["needed"] and not one["ok"]))
    ready = (
        Finding("node", Level.OK, "ready")
        if told["ready"]
        else Finding("node", Level.FAIL, f"takes no business: see {lacking}")
    )
    return [ready, _obeys(node), *(_dependency(name, one) for name, one in sorted(told["dependencies"].items()))]


def _obeys(node: Node) -> Finding:
    """Probes need no token, every command does."""
    try:
        node.call("GET", "/ops/tree")
    except NodeUnreachable as error:
        return Finding("node: operators", Level.NOTE, f"{error} See {variable('security', 'ops_token')}")
    return Finding("node: operators", Level.OK, "")


def _dependency(name: str, told: Mapping[str, object]) -> Finding:
    if told["ok"]:
        detail = str(told["detail"])
        return Finding(f"node: {name}", Level.NOTE if detail.startswith("without ") else Level.OK, detail)
    return Finding(f"node: {name}", Level.FAIL if told["needed"] else Level.NOTE, str(told["detail"]))
