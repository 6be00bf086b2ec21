"""Jobs that run again and again: what becomes of one that takes long."""

import asyncio

import pytest
from pykka import ActorDeadError

from actors.periodic import PeriodicActor, ReadingActor
from penpay.domain.errors import Unavailable

HOUR_S = 3600.0


class Reading:
    """A job that goes on until it is let go."""

    def __init__(self):
        self.begun = self.cancelled = 0
        self.let_go = asyncio.Event()
        self.failure: Exception | None = None

    async def __call__(self) -> str:
        self.begun += 1
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure is not None:
            raise self.failure
        return "read"


@pytest.fixture
async def house():
    job = Reading()
    ref = ReadingActor.start("books", job, HOUR_S)
    yield job, ref
    if ref.is_alive():
        await ref.shutdown(5)


async def said(ref, expected: str) -> None:
    while await ref.aask("run") != expected:
        await asyncio.sleep(0)


async def begun(job) -> None:
    while not job.begun:
        await asyncio.sleep(0)


async def test_whoever_stops_it_does_not_wait_for_what_it_reads(house):
    job, ref = house
    ref.tell("run")
    await begun(job)
    await ref.shutdown(None)  # without end: a job that is waited for would hang here
    assert job.cancelled == 1


async def test_it_reads_one_thing_at_a_time_and_tells_how_it_went(house):
    job, ref = house
    assert await ref.aask("run") == "not run yet"
    assert await ref.aask("run") == "not run yet"
    await begun(job)
    assert job.begun == 1
    job.let_go.set()
    await said(ref, "read")


async def test_a_dependency_that_is_away_postpones_what_it_reads(house):
    job, ref = house
    job.failure = Unavailable("database")
    job.let_go.set()
    await said(ref, "postponed: database")


async def test_a_bug_in_what_it_reads_ends_it(house):
    job, ref = house
    job.failure = ZeroDivisionError()
    job.let_go.set()
    with pytest.raises(ActorDeadError):
        await said(ref, "never")


def test_each_is_a_job_in_the_tree_and_in_the_metrics():
    assert {kind.KIND for kind in (PeriodicActor, ReadingActor)} == {"job"}


async def test_one_that_writes_is_waited_for():
    job = Reading()
    ref = PeriodicActor.start("writing", job, HOUR_S)
    ref.tell("run")
    await begun(job)
    asyncio.get_running_loop().call_later(0.05, job.let_go.set)
    await ref.shutdown(5)
    assert (job.begun, job.cancelled) == (1, 0)
