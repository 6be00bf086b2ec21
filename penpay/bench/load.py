"""The load generator, in a process of its own: `python -m penpay.bench.load PLAN` prints one JSON line.

Deposits or withdrawals go in over HTTP; their ends are read from the event streams, as any follower of the system
would, so that watching costs the node nothing. A closed loop keeps a number of them in flight from the request to the
end; an open loop asks at fixed times, whatever became of those before, and counts latency from the time that was due.
"""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import aiohttp
import orjson

from penpay.adapters.stream_reader import StreamReader, blocking_client
from penpay.bench.seed import PIN, Customer, restored
from penpay.bench.usage import machine_s, snapshot, used_since
from penpay.ports import OutboxRow

Mode = Literal["closed", "open", "fill"]
Kind = Literal["deposit", "withdrawal"]
FINAL = frozenset({"COMPLETED", "FAILED", "REVERSED", "IN_REVIEW"})
SETTLE_S = 30.0
"""How long the last deposits of a run may take to end."""
_TRIES_MAX = 200
_RETRY_S = 0.1
_USD_MIN_MINOR = 500
_USD_STEPS = 6200
"""Distinct amounts, all below the 10,000 KES from which Safaricom is queried before a credit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run. `fill` asks for `count` transactions and does not wait for their ends."""

    mode: Mode
    kind: Kind = "deposit"
    url: str
    control_url: str
    """Of the sandbox: where a customer's mail is read."""
    redis_url: str
    shards: int
    customers: str
    first: int
    count: int
    in_flight: int = 128
    per_s: float = 0.0
    warm_s: float = 0.0
    measure_s: float = 0.0
    pids: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a run showed. Latencies in seconds, sorted; `cpu_s` by process over the measured time."""

    took_s: float
    asked: int
    accepted: int
    ended: Mapping[str, int]
    refused: Mapping[str, int]
    unfinished: int
    used: int
    post_s: Sequence[float]
    whole_s: Sequence[float]
    cpu_s: Mapping[str, float]
    machine_s: float
    """CPU seconds of the whole machine in that time, whoever used them."""

    @property
    def completed_per_s(self) -> float:
        """Deposits that reached COMPLETED within the measured time, per second of it."""
        return self.ended.get("COMPLETED", 0) / self.took_s


def percentile(ordered: Sequence[float], share: float) -> float:
    """Value below which `share` of an ordered sequence lies; 0 of nothing."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Generator:
    """Asks for transactions and notes what comes of them."""

    def __init__(self, plan: Plan, session: aiohttp.ClientSession, customers: Sequence[Customer]) -> None:
        self._plan = plan
        self._session = session
        self._stopped = False
        self._supply = self._each(customers)
        self._used = 0
        self._measuring = False
        self._ended: dict[str, str] = {}
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._asked = self._accepted = 0
        self._ends: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._post_s: list[float] = []
        self._whole_s: list[float] = []

    def follow(self, row: OutboxRow) -> None:
        """An event of the streams: perhaps the end of one of ours."""
        if row.type != "transaction.updated":
            return
        body = orjson.loads(row.body)
        if body["status"] not in FINAL:
            return
        waiting = self._waiting.pop(body["id"], None)
        if waiting is None:
            self._ended[body["id"]] = body["status"]
        elif not waiting.done():
            waiting.set_result(body["status"])

    async def run(self) -> Measured:
        """Warm up, measure, wait for the last ones."""
        plan = self._plan
        tasks = [asyncio.create_task(work) for work in self._work()]
        await asyncio.sleep(plan.warm_s)
        self._measuring, began_s, before, machine = True, time.perf_counter(), snapshot(plan.pids), machine_s()
        if plan.measure_s:
            await asyncio.sleep(plan.measure_s)
        else:
            await asyncio.wait(tasks)
        self._measuring = False
        took_s, cpu, busy_s = time.perf_counter() - began_s, used_since(plan.pids, before), machine_s() - machine
        self._stopped = True
        _, late = await asyncio.wait(tasks, timeout=SETTLE_S)
        for task in late:
            task.cancel()
        for task in tasks:
            if task not in late:
                await task  # a bug of ours is not to be mistaken for a result
        return Measured(
            took_s=took_s,
            asked=self._asked,
            accepted=self._accepted,
            ended=dict(self._ends),
            refused=dict(self._refused),
            unfinished=len(self._waiting),
            used=self._used,
            post_s=sorted(self._post_s),
            whole_s=sorted(self._whole_s),
            cpu_s=cpu,
            machine_s=busy_s,
        )

    def _work(self) -> Iterator[Coroutine[Any, Any, None]]:
        if self._plan.mode == "open":
            yield self._timetable()
        else:
            yield from (self._one_after_the_other() for _ in range(self._plan.in_flight))

    async def _one_after_the_other(self) -> None:
        for customer in self._supply:
            await self._transact(customer, due_s=time.perf_counter())

    def _each(self, customers: Sequence[Customer]) -> Iterator[Customer]:
        """Each customer once, whoever asks for the next one, until the measured time is over."""
        for customer in customers:
            if self._stopped:
                return
            yield customer

    async def _timetable(self) -> None:
        began_s = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number, customer in enumerate(self._supply):
                due_s = began_s + number / self._plan.per_s
                await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
                group.create_task(self._transact(customer, due_s=due_s))

    async def _transact(self, customer: Customer, *, due_s: float) -> None:
        self._used += 1
        counted = self._measuring
        minor = _USD_MIN_MINOR + customer.number % _USD_STEPS
        asked: dict[str, Any] = {"amount": {"amount": f"{minor // 100}.{minor % 100:02d}", "currency": "USD"}}
        try:
            if self._plan.kind == "withdrawal":
                status, body = await self._patiently(customer, "withdrawals/code", asked)
                if status != 202:
                    self._refused[f"code: {status} {body.get('code', '')}"] += 1
                    return
                asked |= {"verification_code": await self._mailed(customer), "pin": PIN}
                began_s = time.perf_counter()
            else:
                began_s = due_s
            status, body = await self._post(customer, f"{self._plan.kind}s", asked)
        except (aiohttp.ClientError, TimeoutError) as error:
            self._refused[type(error).__name__] += 1
            return
        if counted:
            self._asked += 1
            self._post_s.append(time.perf_counter() - began_s)
        if status != 202:
            self._refused[f"{status} {body.get('code', '')}"] += 1
            return
        self._accepted += counted
        if self._plan.mode == "fill":
            return
        ended = await self._end_of(str(body["id"]))
        if self._measuring:
            self._ends[ended] += 1
            self._whole_s.append(time.perf_counter() - due_s)

    async def _post(self, customer: Customer, path: str, body: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        headers = {
            "Authorization": f"Bearer {customer.token}",
            "Idempotency-Key": f"bench-{customer.number}-{self._plan.first}",
            "Content-Type": "application/json",
        }
        url = f"{self._plan.url}/api/v1/{path}"
        async with self._session.post(url, data=orjson.dumps(body), headers=headers) as answer:
            return answer.status, orjson.loads(await answer.read())

    async def _patiently(self, customer: Customer, path: str, body: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        """What is answered 503 is asked again: few sessions of customers may be opened at once."""
        for _ in range(_TRIES_MAX):
            status, answer = await self._post(customer, path, body)
            if status != 503:
                return status, answer
            await asyncio.sleep(_RETRY_S)
        return 503, {"code": "for too long"}

    async def _mailed(self, customer: Customer) -> str:
        """The code that Deriv sent; it is there before we are told so."""
        async with self._session.get(f"{self._plan.control_url}/deriv/codes?email={customer.email}") as answer:
            codes = orjson.loads(await answer.read())["codes"]
        return str(codes[-1]["code"]) if codes else ""

    async def _end_of(self, transaction_id: str) -> str:
        known = self._ended.pop(transaction_id, None)
        if known is not None:
            return known
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[transaction_id] = waiting
        return await waiting


async def generate(plan: Plan) -> Measured:
    """Run a plan in this process."""
    customers = restored(Path(plan.customers), first=plan.first, count=plan.count)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:
        generator = Generator(plan, session, customers)
        reader = StreamReader(blocking_client(plan.redis_url), shards=plan.shards, publish=generator.follow)
        await reader.open()
        try:
            return await generator.run()
        finally:
            await reader.close()


def main(arguments: Sequence[str]) -> None:
    """Read the plan, run it, print what was measured."""
    plan = Plan(**orjson.loads(arguments[0]))
    plan = Plan(**{**asdict(plan), "pids": {**plan.pids, "generator": os.getpid()}})
    sys.stdout.buffer.write(orjson.dumps(asdict(asyncio.run(generate(plan)))) + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
