"""The ledger against a transaction per request with row locks, on a private MariaDB with durable settings.

`python -m penpay.bench.ledger`: plain transfers (one posting of two legs) and full units (the four steps of a deposit:
transition, postings, operations, evidence, outbox, audit, chains) at 1, 16, 128 and 512 senders, each of which waits
for its answer before it sends again.
"""

import asyncio
import gc
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from actors.base import AsyncioActorRef
from actors.ledger import LedgerActor
from penpay.adapters.database import GENERAL, LANES, Database
from penpay.adapters.lease_store import MySqlLeaseStore
from penpay.adapters.ledger_store import MySqlLedgerStore
from penpay.adapters.migrations import migrate
from penpay.app.serve import COLLECT_AFTER
from penpay.bench.rowlocks import CONNECTIONS, RowLocks
from penpay.bench.units import SHARD, deposits, fresh_id, transfers
from penpay.domain.gate import RecoveryGate
from penpay.domain.unit import UnitOfWork
from penpay.messages import Committed, CommitUnit
from penpay.stack import PrivateMariaDB
from penpay.stack.folder import run_folders

SENDERS = (1, 16, 128, 512)
USERS = 2_000
SECONDS = 4.0
"""Per measurement, about: work is prepared for the highest rate that was ever seen."""
RATES = {("plain", 1): 1_500, ("plain", 16): 9_000, ("plain", 128): 24_000, ("plain", 512): 30_000}
RATES |= {("full", 1): 900, ("full", 16): 4_000, ("full", 128): 7_000, ("full", 512): 8_000}
FLOORS = {("plain", 512): 25_000, ("full", 512): 6_000}
"""Units per second that are wanted."""
P99_MAX_MS = {("full", 128): 40.0}


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. CPU in seconds per second of wall time: 1.0 is one core, fully used."""

    kind: str
    senders: int
    units_s: float
    p50_ms: float
    p99_ms: float
    batch: float
    python_cpu: float
    database_cpu: float
    against_s: float
    """Plain transfers per second of the row-lock design with as many senders; 0 where it was not measured."""

    @property
    def limit(self) -> str:
        """What there was no more of."""
        both = self.python_cpu + self.database_cpu
        if self.senders == 1:
            return "one unit at a time: the round trips and the commit of each"
        if self.python_cpu > 0.9:
            return f"one core of Python ({self.python_cpu:.2f}); MariaDB used {self.database_cpu:.2f}"
        if both > 1.7:
            return f"both cores: Python {self.python_cpu:.2f}, MariaDB {self.database_cpu:.2f}"
        return (
            f"Python {self.python_cpu:.2f} and MariaDB {self.database_cpu:.2f} in turns, or other work on the machine"
        )


class BatchMeter:
    """Counts batches."""

    def __init__(self) -> None:
        self.batches = 0
        self.units = 0

    def batch(self, *, units: int, seconds: float) -> None:
        """One commit."""
        del seconds
        self.batches += 1
        self.units += units

    def answered(self, result: str, count: int = 1) -> None:
        """Only commits are expected here; the senders check it."""


class FreshIds:
    """Identifiers of this run."""

    def ulid(self) -> str:
        """The next one."""
        return fresh_id()


Send = Callable[[UnitOfWork], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Load:
    """How fast units went through."""

    units_s: float
    p50_ms: float
    p99_ms: float
    python_cpu: float
    database_cpu: float


async def load(server: PrivateMariaDB, work: Sequence[Sequence[UnitOfWork]], send: Send, *, senders: int) -> Load:
    """Send all of `work`, whose inner sequences keep their order, with so many senders at once."""
    gc.collect()
    gc.freeze()
    waiting = list(reversed(work))
    latencies: list[float] = []

    async def sender() -> None:
        while waiting:
            for unit in waiting.pop():
                began_s = time.perf_counter()
                await send(unit)
                latencies.append(time.perf_counter() - began_s)

    database_s, python_s, began_s = _cpu_s(server.pid), time.process_time(), time.perf_counter()
    await asyncio.gather(*(sender() for _ in range(senders)))
    wall_s = time.perf_counter() - began_s
    latencies.sort()
    gc.unfreeze()
    return Load(
        units_s=len(latencies) / wall_s,
        p50_ms=latencies[len(latencies) // 2] * 1000,
        p99_ms=latencies[int(len(latencies) * 0.99)] * 1000,
        python_cpu=(time.process_time() - python_s) / wall_s,
        database_cpu=(_cpu_s(server.pid) - database_s) / wall_s,
    )


def _cpu_s(pid: int) -> float:
    # The command's name, in parentheses, may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def measure(server: PrivateMariaDB, kind: str, senders: int, users: Sequence[str]) -> Row:
    """One kind at one number of senders, on a fresh set of schemas."""
    count = int(RATES[kind, senders] * SECONDS)
    if kind == "plain":
        work: list[list[UnitOfWork]] = [[unit] for unit in transfers(users, count)]
    else:
        work = list(deposits(users, count // 4))
    prefix = f"{kind}_{senders}_"
    meter = BatchMeter()
    async with _ledger(server, prefix, meter) as ref:

        async def send(unit: UnitOfWork) -> None:
            answer = await ref.aask(CommitUnit(unit), timeout_s=30.0)
            assert type(answer) is Committed, answer

        # Every user has been here before: caches are warm, accounts exist.
        await load(server, [[unit] for unit in transfers(users, len(users))], send, senders=256)
        meter.batches = meter.units = 0
        found = await load(server, work, send, senders=senders)
    against = await _against(server, prefix, senders, users) if kind == "plain" else 0.0
    with server.connect() as connection, connection.cursor() as cursor:
        for schema in ("users", "ledger", "audit"):
            cursor.execute(f"DROP DATABASE {prefix}{schema}")
    return Row(
        kind=kind,
        senders=senders,
        units_s=found.units_s,
        p50_ms=found.p50_ms,
        p99_ms=found.p99_ms,
        batch=meter.units / max(1, meter.batches),
        python_cpu=found.python_cpu,
        database_cpu=found.database_cpu,
        against_s=against,
    )


async def _against(server: PrivateMariaDB, prefix: str, senders: int, users: Sequence[str]) -> float:
    database = Database(server.url("admin"), prefix=prefix, lanes={**LANES, GENERAL: CONNECTIONS})
    try:
        plain = RowLocks(database, shard=1)
        units = transfers(users, 400 if senders == 1 else 2_500)
        await plain.prepare(units)
        return (await load(server, [[unit] for unit in units], plain.record, senders=senders)).units_s
    finally:
        database.close()


@asynccontextmanager
async def _ledger(server: PrivateMariaDB, prefix: str, meter: BatchMeter) -> AsyncIterator[AsyncioActorRef]:
    await migrate(
        server.url("admin"), runtime_url=server.url(), prefix=prefix, shards=2, new_installation_id=fresh_id()
    )
    database = Database(server.url(), prefix=prefix)
    leases = MySqlLeaseStore(database, node="bench", boot_id=prefix)
    assert await leases.claim_node()
    assert await leases.acquire(f"shard/{SHARD}") is not None
    ref = LedgerActor.start(
        shard=SHARD,
        store=MySqlLedgerStore(database, boot_id=prefix),
        ids=FreshIds(),
        dice=random.Random(1),  # noqa: S311 - jitter
        gate=RecoveryGate(),
        meter=meter,
    )
    await ref.ready()
    try:
        yield ref
    finally:
        await ref.shutdown(10)
        leases.drop_claim()
        database.close()


def run(*, senders: Sequence[int] = SENDERS, progress: Callable[[str], None] = lambda _: None) -> list[Row]:
    """Everything, on a server of its own. Takes about a minute and a half."""
    rows = []
    with run_folders() as (sockets, data):
        server = PrivateMariaDB(data / "bench", socket_folder=sockets, name="bench", buffer_pool_mb=512, log_mb=512)
        server.start()
        try:
            gc.set_threshold(*COLLECT_AFTER)  # as a node does
            users = [fresh_id() for _ in range(USERS)]
            for kind in ("plain", "full"):
                for number in senders:
                    progress(f"{kind} units, {number} senders")
                    rows.append(asyncio.run(measure(server, kind, number, users)))
        finally:
            server.stop()
    return rows


def verdicts(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Each wanted figure and whether it was reached."""
    found: list[dict[str, object]] = []
    for row in rows:
        key = (row.kind, row.senders)
        if key in FLOORS:
            name = f"{row.kind} units at {row.senders} senders, wanted {FLOORS[key]:,}/s"
            found.append({"name": name, "value": round(row.units_s), "ok": row.units_s >= FLOORS[key]})
        if key in P99_MAX_MS:
            name = f"{row.kind} units at {row.senders} senders, p99 wanted within {P99_MAX_MS[key]:.0f} ms"
            found.append({"name": name, "value": round(row.p99_ms, 1), "ok": row.p99_ms <= P99_MAX_MS[key]})
    return found


def lines(rows: Sequence[Row]) -> list[str]:
    """The table, what limited each row, and the verdicts."""
    names = ("senders", "per s", "p50 ms", "p99 ms", "batch", "row locks/s")
    text = ["{:6} {:>7} {:>8} {:>7} {:>7} {:>6} {:>11}  limited by".format("units", *names)]
    for row in rows:
        against = f"{row.against_s:,.0f}" if row.against_s else "-"
        text.append(
            f"{row.kind:6} {row.senders:>7} {row.units_s:>8,.0f} {row.p50_ms:>7.1f} {row.p99_ms:>7.1f} "
            f"{row.batch:>6.0f} {against:>11}  {row.limit}"
        )
    text += [f"{'reached' if found['ok'] else 'MISSED '} {found['name']}: {found['value']}" for found in verdicts(rows)]
    return text


def main() -> int:
    """Run and print; 1 when a wanted figure was missed."""
    rows = run(progress=lambda step: print(step, file=sys.stderr))
    print("\n".join(lines(rows)))
    return 0 if all(found["ok"] for found in verdicts(rows)) else 1


if __name__ == "__main__":
    sys.exit(main())
