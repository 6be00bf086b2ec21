"""F86: a node starts on a schema that is older than itself, or half migrated."""

import asyncio
import subprocess
import sys

import pytest

from tests.faults.stage import Stage
from tests.harness.databases import MigratedDatabase


async def started(stage: Stage, database: MigratedDatabase) -> tuple[int, str]:
    """Exit status and last line of a node on this database."""
    environment = {
        **stage.installation.environment,
        "PENPAY_DATABASE__URL": database.url,
        "PENPAY_DATABASE__PREFIX": database.prefix,
        "PENPAY_NODE__NAME": "newer",
        "PENPAY_HTTP__PUBLIC_URL": "http://127.0.0.1",
        "PENPAY_HTTP__PUBLIC_BIND": "127.0.0.1:0",
        "PENPAY_HTTP__INTERNAL_BIND": "127.0.0.1:0",
    }
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "penpay", "serve"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.returncode, done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("breaking", "words"),
    [
        ("DELETE FROM {ledger}.schema_migrations WHERE name = '043_outbox'", "043_outbox is not applied"),
        ("UPDATE {ledger}.schema_migrations SET sha256 = 'x' WHERE name = '021_units'", "021_units was edited"),
        ("DROP TABLE {ledger}.schema_migrations", "never migrated"),
        ("UPDATE {ledger}.installation SET shards = 7", "has 7 shards for ever"),
        ("DELETE FROM {ledger}.installation", "never migrated to its end"),
    ],
    ids=["half applied", "edited", "empty", "other shards", "interrupted"],
)
async def test_it_is_refused_in_one_line(stage: Stage, database: MigratedDatabase, breaking: str, words: str) -> None:
    database.rows(breaking)
    status, line = await started(stage, database)
    assert status == 1
    assert words in line
