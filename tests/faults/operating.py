"""What an operator does while faults are played: commands of `penpay`, and the node under another configuration."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from penpay.stack import NodeProcess, PrivateInstallation
from tests.faults.stage import Stage


async def run(installation: PrivateInstallation, *words: str) -> tuple[int, Any]:
    """Exit status and JSON of a command."""

    def wait() -> tuple[int, Any]:
        environment = {**installation.environment, **(installation.node.env or {})}
        argv = [sys.executable, "-m", "penpay", *words, "--json"]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    return await asyncio.to_thread(wait)


async def findings(stage: Stage) -> dict[str, Any]:
    """What a comparison with the providers does not find equal, by the provider's id."""
    _, report = await run(stage.installation, "reconcile")
    return {one["ref"]: one for one in report["findings"] if one["verdict"] != "agrees"}


@asynccontextmanager
async def configured(node: NodeProcess, **changes: str) -> AsyncIterator[None]:
    """A node killed and started with other settings, and the same way back afterwards; one that left stays away."""
    before: Mapping[str, str] = dict(node.env or {})
    node.kill()
    node.env = {**before, **changes}
    try:
        await node.start_async()
        yield
    finally:
        node.env = dict(before)
        if node.exit_code != 0:
            node.kill()
            await node.start_async()


async def until_ready(stage: Stage, *, ready: bool = True, within_s: float = 20.0) -> None:
    """Wait until the stage's node says so."""
    await stage.operator.until_ready(within_s=within_s, ready=ready)


async def until_comparable(stage: Stage) -> None:
    """What moved within a minute of the opening balances is not compared with lists: clocks differ."""
    opened = "SELECT TIMESTAMPDIFF(SECOND, MAX(created_at), UTC_TIMESTAMP()) FROM {ledger}.units WHERE unit_id LIKE %s"
    async with asyncio.timeout(90):
        while stage.rows(opened, "opening:%")[0][0] <= 61:
            await asyncio.sleep(0.5)
