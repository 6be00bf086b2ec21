"""Books that are kept for tampering: deposits of two shards, the node gone, every command still there."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from penpay.bench.seed import seed
from penpay.demo.rails import SandboxControl
from penpay.stack import PrivateInstallation
from tests.faults.stage import SETTINGS, Stage

TABLES = {"penpay_audit.audit_log", "penpay_ledger.postings", "penpay_ledger.ledger_entries"}
DEPOSITS = 6
WAITING = {"i17_evidence_waits", "i29_outbox_stuck"}
"""What comes true by itself when nobody works for a minute: the node is gone."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    status: int
    said: str


@dataclass(frozen=True, slots=True)
class Books:
    """An installation at rest. `anchors` is where its anchors are."""

    installation: PrivateInstallation
    anchors: Path

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """As somebody with every right."""
        with self.installation.mariadb.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def penpay(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Ran:
        """A command, in the node's own environment or in another."""
        own = {**self.installation.environment, **(self.installation.node.env or {})}
        done = subprocess.run(
            [sys.executable, "-m", "penpay", *arguments],
            env=dict(own if environment is None else environment),
            capture_output=True,
            text=True,
            check=False,
        )
        return Ran(done.returncode, done.stdout + done.stderr)

    def broken(self) -> set[str]:
        """The invariants that do not hold, whoever works or not."""
        found = json.loads(self.penpay("check", "--json").said)
        return {name for name, rows in found.items() if rows != []} - WAITING

    def chains(self) -> list[tuple[str, int]]:
        """Chains of audited units with their lengths, the longest first."""
        return self.rows("SELECT chain, COUNT(*) FROM penpay_audit.audit_log GROUP BY chain ORDER BY 2 DESC, 1")

    @contextmanager
    def tampered(self, *statements: str) -> Iterator[None]:
        """The tables as these statements leave them; afterwards as they were."""
        try:
            for statement in statements:
                self.rows(statement)
            yield
        finally:
            for table in TABLES:
                self.rows(f"DELETE FROM {table}")
                self.rows(f"INSERT INTO {table} SELECT * FROM spare.{table.replace('.', '_')}")


async def _played(installation: PrivateInstallation) -> None:
    customers = await seed(installation.node.env or {}, DEPOSITS)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        control = SandboxControl(installation.control_url, session)
        await control.post("/daraja/script", {"knobs": {"push_interval_s": 0.0}})
        stage = Stage(installation, session, control, iter(customers))
        deposits = [await stage.deposit(one) for one in customers]
        await asyncio.gather(*(stage.reaches(one, "COMPLETED") for one in deposits))


def _without_triggers(books: Books) -> None:
    """What somebody with every right does first. A copy beside is what the test puts back."""
    triggers: Sequence[tuple[Any, ...]] = books.rows(
        "SELECT trigger_schema, trigger_name FROM information_schema.triggers WHERE trigger_schema LIKE 'penpay%%'"
    )
    for schema, name in triggers:
        books.rows(f"DROP TRIGGER {schema}.{name}")
    books.rows("CREATE DATABASE spare")
    for table in TABLES:
        books.rows(f"CREATE TABLE spare.{table.replace('.', '_')} AS SELECT * FROM {table}")


@pytest.fixture(scope="session")
def books() -> Iterator[Books]:
    """Six deposits, and a node that wrote its last anchors when it left."""
    with PrivateInstallation(settings=SETTINGS) as installation:
        installation.start()
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(_played(installation))
        installation.node.stop()
        state = Path(installation.environment["PENPAY_NODE__STATE_DIR"])
        made = Books(installation, state / "anchors")
        _without_triggers(made)
        yield made
