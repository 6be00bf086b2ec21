"""Actors side by side with Pykka's threads: how fast they start, what one costs, how fast they talk and end.

Each measurement runs in a process of its own (`python -m penpay.bench.actors KIND COUNT`), so that the memory of one
kind is never counted for another.
"""

import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pykka

from actors.base import AsyncioActor, EntityActor

THREADS = "ThreadingActor"
RESIDENT = "AsyncioActor"
ENTITY = "EntityActor"
FLOORS = {RESIDENT: (8.0, 4.0), ENTITY: (30.0, 15.0)}
"""Times faster to start, times less memory, compared to a ThreadingActor of the same run."""
MESSAGES = 20_000
FAN_OUT = 1_000
PROCESS_MAX_S = 300


@dataclass(frozen=True, slots=True)
class Row:
    """One kind at one count. Rates per second; memory is growth of the resident set."""

    kind: str
    count: int
    start_s: float
    rss_bytes: float
    tell_s: float
    ask_s: float
    fan_out_s: float
    stop_s: float
    cpu_share: float
    """CPU time of the process over wall time while starting: 1.0 is one core, fully used."""


class EchoThread(pykka.ThreadingActor):
    """Pykka's concrete actor: a thread each."""

    use_daemon_thread = True

    def on_receive(self, message: Any) -> Any:
        """Echo."""
        return message


class EchoResident(AsyncioActor):
    """A task each."""

    async def on_receive(self, message: Any) -> Any:
        """Echo."""
        return message


class EchoEntity(EntityActor):
    """No task while idle."""

    async def on_receive(self, message: Any) -> Any:
        """Echo."""
        return message


def run(
    counts: Sequence[int] = (1_000, 10_000),
    *,
    alone: int | None = 100_000,
    repeats: int = 3,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Row]:
    """Measure all kinds at each count, ours also at `alone`, where threads cannot follow. Medians of `repeats`.

    The kinds take turns within a repeat, so that a busy moment of the machine does not hit one of them alone.
    """
    plan = [(kind, count) for count in counts for kind in (THREADS, RESIDENT, ENTITY)]
    samples: dict[tuple[str, int], list[Row]] = {}
    for repeat in range(repeats):
        for kind, count in plan:
            progress(f"{kind} × {count:,} ({repeat + 1}/{repeats})")
            samples.setdefault((kind, count), []).append(_measure_apart(kind, count))
    for kind in (RESIDENT, ENTITY) if alone is not None else ():
        progress(f"{kind} × {alone:,}")
        samples[kind, alone or 0] = [_measure_apart(kind, alone or 0)]
    return [_median(rows) for rows in samples.values()]


def lines(rows: Sequence[Row]) -> list[str]:
    """The table, the comparisons and what limited it."""
    head = "kind               count    start/s  KiB each     tell/s     ask/s  fan-out/s    stop/s"
    text = [head]
    text += [
        f"{row.kind:<15}{row.count:>9,}{row.start_s:>11,.0f}{row.rss_bytes / 1024:>10.2f}{row.tell_s:>11,.0f}"
        f"{row.ask_s:>10,.0f}{row.fan_out_s:>11,.0f}{row.stop_s:>10,.0f}"
        for row in rows
    ]
    for verdict in verdicts(rows):
        mark = "ok" if verdict["ok"] else "MISSED"
        text.append(
            f"{verdict['kind']} at {verdict['count']:,}: starts {verdict['start']:.1f}× as fast (floor "
            f"{verdict['start_floor']:.0f}×), needs {verdict['memory']:.1f}× less memory (floor "
            f"{verdict['memory_floor']:.0f}×) — {mark}"
        )
    return [*text, limit(rows)]


def verdicts(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Each of our kinds against the threads of the same count, with the floors that it must reach."""
    threads = {row.count: row for row in rows if row.kind == THREADS}
    found = []
    for row in rows:
        base = threads.get(row.count)
        if base is None or row.kind not in FLOORS:
            continue
        start_floor, memory_floor = FLOORS[row.kind]
        start, memory = row.start_s / base.start_s, base.rss_bytes / max(row.rss_bytes, 1.0)
        found.append(
            {
                "kind": row.kind,
                "count": row.count,
                "start": start,
                "start_floor": start_floor,
                "memory": memory,
                "memory_floor": memory_floor,
                "ok": start >= start_floor and memory >= memory_floor,
            }
        )
    return found


def limit(rows: Sequence[Row]) -> str:
    """What limited the rates, read off the CPU use while starting."""
    ours = [row.cpu_share for row in rows if row.kind != THREADS]
    theirs = [row.cpu_share for row in rows if row.kind == THREADS]
    cores = os.cpu_count() or 1
    sentence = f"limited by one core running Python ({statistics.mean(ours):.0%} of a core; the machine has {cores})"
    if theirs:
        sentence += (
            f"; threads use {statistics.mean(theirs):.0%} of a core and wait for the interpreter's lock and the kernel"
        )
    return sentence


def _median(rows: Sequence[Row]) -> Row:
    first = rows[0]
    numbers = {
        name: statistics.median(getattr(row, name) for row in rows)
        for name in asdict(first)
        if name not in ("kind", "count")
    }
    return Row(kind=first.kind, count=first.count, **numbers)


def _measure_apart(kind: str, count: int) -> Row:
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(  # noqa: S603 - ourselves, with two plain words
        [sys.executable, "-m", "penpay.bench.actors", kind, str(count)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=PROCESS_MAX_S,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{kind} × {count} failed: {done.stderr.strip().splitlines()[-1:]}")
    return Row(**json.loads(done.stdout))


# --- inside the measuring process ---


def _rss_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


class _Timer:
    wall_s = 0.0
    cpu_s = 0.0


@contextmanager
def _timed() -> Iterator[_Timer]:
    timer = _Timer()
    wall, cpu = time.perf_counter(), time.process_time()
    yield timer
    timer.wall_s, timer.cpu_s = time.perf_counter() - wall, time.process_time() - cpu


def measure_threads(count: int) -> Row:
    """Pykka's way: everything blocks."""
    warm = [EchoThread.start() for _ in range(8)]
    for ref in warm:
        ref.stop()
    gc.collect()
    before = _rss_bytes()
    with _timed() as start:
        refs = [EchoThread.start() for _ in range(count)]
    refs[-1].ask(0)
    rss = (_rss_bytes() - before) / count
    one = refs[0]
    with _timed() as tell:
        for number in range(MESSAGES):
            one.tell(number)
        one.ask(0)
    with _timed() as ask:
        for number in range(MESSAGES // 10):
            one.ask(number)
    chosen = refs[:FAN_OUT]
    with _timed() as fan_out:
        pykka.get_all([ref.ask(0, block=False) for ref in chosen])
    with _timed() as stop:
        pykka.get_all([ref.stop(block=False) for ref in refs])
    return _row(THREADS, count, rss, (start, tell, ask, fan_out, stop), asked=MESSAGES // 10, fanned=len(chosen))


async def measure_ours(kind: str, count: int) -> Row:
    """Ours: nothing blocks. Ready means `on_start` is done."""
    actor = EchoResident if kind == RESIDENT else EchoEntity
    warm = [actor.start() for _ in range(8)]
    for ref in warm:
        await ref.aask(0)
        await ref.shutdown()
    gc.collect()
    before = _rss_bytes()
    with _timed() as start:
        refs = [actor.start() for _ in range(count)]
        await refs[-1].ready()
    rss = (_rss_bytes() - before) / count
    one = refs[0]
    with _timed() as tell:
        for number in range(MESSAGES):
            one.tell(number)
            if number % 60 == 0:  # below the smallest bound; a full mailbox would refuse
                await asyncio.sleep(0)
        await one.aask(0)
    with _timed() as ask:
        for number in range(MESSAGES):
            await one.aask(number)
    chosen = refs[:FAN_OUT]
    with _timed() as fan_out:
        await asyncio.gather(*(ref.aask(0) for ref in chosen))
    with _timed() as stop:
        await asyncio.gather(*(ref.shutdown(60) for ref in refs))
    return _row(kind, count, rss, (start, tell, ask, fan_out, stop), asked=MESSAGES, fanned=len(chosen))


def _row(kind: str, count: int, rss: float, timers: tuple[_Timer, ...], *, asked: int, fanned: int) -> Row:
    start, tell, ask, fan_out, stop = timers
    return Row(
        kind=kind,
        count=count,
        start_s=count / start.wall_s,
        rss_bytes=rss,
        tell_s=MESSAGES / tell.wall_s,
        ask_s=asked / ask.wall_s,
        fan_out_s=fanned / fan_out.wall_s,
        stop_s=count / stop.wall_s,
        cpu_share=start.cpu_s / start.wall_s,
    )


def main(arguments: Sequence[str]) -> int:
    """With KIND and COUNT measure that and print JSON; without, run everything and print the table."""
    if arguments:
        kind, count = arguments[0], int(arguments[1])
        row = measure_threads(count) if kind == THREADS else asyncio.run(measure_ours(kind, count))
        print(json.dumps(asdict(row)))
        return 0
    rows = run(progress=lambda step: print(step, file=sys.stderr))
    print("\n".join(lines(rows)))
    return 0 if all(verdict["ok"] for verdict in verdicts(rows)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
