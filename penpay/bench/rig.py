"""One private installation under measurement, and the hands that load it, for benchmarks of both directions."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import aiohttp
import orjson

from penpay.bench.load import Measured, Plan
from penpay.bench.sampling import shares
from penpay.bench.seed import Pin, seed, stored
from penpay.bench.usage import file_system, rss_bytes
from penpay.demo.rails import SandboxControl
from penpay.stack import NodeProcess, PrivateInstallation, RunFolder

UNPACED = {
    "PENPAY_LIMITS__DARAJA_STK_PER_S": "0",
    "PENPAY_LIMITS__DARAJA_B2C_PER_S": "0",
    "PENPAY_LIMITS__DARAJA_OTHER_PER_S": "0",
    "PENPAY_LIMITS__DERIV_CALLS_PER_MINUTE": "0",
}
"""Absent, the rates of production hold."""

Say = Callable[[str], None]


class Rig:
    """The node, the sandbox rails, MariaDB, Redis and the load generator, each a process of its own."""

    def __init__(self, *, shards: int, say: Say, settings: Mapping[str, str] | None = None) -> None:
        self._say = say
        self._shards = shards
        self._used = 0
        self.folder = RunFolder()
        self.installation = PrivateInstallation(
            settings={"PENPAY_NODE__SHARDS": str(shards), **UNPACED, **(settings or {})},
            sandbox_options=("--fast",),
            # On a disk, as in production: in memory a commit would cost nothing.
            data=self.folder.path / "data",
            on_step=lambda step: say(f"starting {step}"),
        )
        self.stored_on = file_system(self.folder.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.installation.stop()
        self.folder.remove()

    @property
    def node(self) -> NodeProcess:
        """The only one."""
        return self.installation.node

    def start(self, customers: int, *, pin: Pin | None = None, utility_minor: int = 0) -> None:
        """Bring everything up, and the customers in. `utility_minor`: shillings beyond the sandbox's."""
        (self.folder.path / "data").mkdir()
        self.installation.start_servers()
        if utility_minor:
            # Before a node books what it finds there.
            self.script("/funds", {"account": "utility", "delta_minor": utility_minor})
        self.installation.start_node()
        self._say(f"seeding {customers:,} customers")
        environment = self.node.env
        assert environment is not None
        stored(asyncio.run(seed(environment, customers, pin=pin)), self._customers)

    def generated(self, **changes: Any) -> Measured:
        """Run the generator with a plan of these; each customer is used once."""
        house = self.installation
        plan = Plan(
            url=house.node.public_url,
            control_url=house.control_url,
            redis_url=house.redis.url(),
            shards=self._shards,
            customers=str(self._customers),
            first=self._used,
            pids={
                "node": house.node.pid,
                "sandbox": house.sandbox.pid,
                "mariadb": house.mariadb.pid,
                "redis": house.redis.pid,
            },
            **changes,
        )
        done = subprocess.run(  # noqa: S603 - ourselves, with a plan of our own
            [sys.executable, "-m", "penpay.bench.load", orjson.dumps(asdict(plan)).decode()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"the load generator failed\n{done.stderr.decode()[-2000:]}")
        measured = Measured(**orjson.loads(done.stdout))
        self._used += measured.used
        return measured

    def sampled(self, load: Callable[[], object]) -> Mapping[str, float]:
        """Where the node's CPU time goes under a load: its share by part. The node is another one meanwhile."""
        node, counts = self.node, self.installation.folder / "samples.json"
        argv = node.argv
        node.stop()
        node.argv = [sys.executable, "-m", "penpay.bench.sampling", str(counts)]
        node.start()
        load()
        node.stop()
        node.argv = argv
        node.start()
        return shares(orjson.loads(counts.read_bytes()))

    def restarted(self, *, paced: bool) -> None:
        """The node again, with the rates of production or without any."""
        node = self.node
        assert node.env is not None
        node.stop()
        for name in UNPACED:
            node.env.pop(name, None)
        node.env |= {} if paced else UNPACED
        node.start()

    def script(self, path: str, body: Mapping[str, Any]) -> None:
        """Tell the sandbox."""

        async def send() -> None:
            async with aiohttp.ClientSession() as session:
                await SandboxControl(self.installation.control_url, session).post(path, body)

        asyncio.run(send())

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Read, or change, the books as admin."""
        with self.installation.mariadb.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def states(self) -> dict[str, int]:
        """How many transactions stand in which state."""
        found = self.rows("SELECT state, COUNT(*) FROM penpay_ledger.transactions GROUP BY state")
        return {str(state): int(count) for state, count in found}

    def until(self, holds: Callable[[], bool], *, within_s: float = 120.0) -> bool:
        """Whether it came to hold in time."""
        deadline_s = time.perf_counter() + within_s
        while not holds():
            if time.perf_counter() > deadline_s:
                return False
            time.sleep(0.5)
        return True

    def settled(self, during_s: float) -> tuple[int, int]:
        """Resident memory of the node after a while of waiting, and the most of it meanwhile."""
        seen = [rss_bytes(self.node.pid)]
        until_s = time.perf_counter() + during_s
        while time.perf_counter() < until_s:
            time.sleep(0.5)
            seen.append(rss_bytes(self.node.pid))
        return seen[-1], max(seen)

    def cold_start(self) -> float:
        """`kill -9`, if it runs, and the seconds until the node is ready again."""
        self.node.kill()
        began_s = time.perf_counter()
        self.node.start()
        return time.perf_counter() - began_s

    @property
    def _customers(self) -> Path:
        return self.installation.folder / "customers.jsonl"
