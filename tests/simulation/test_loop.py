"""The loop of the simulation: whose time it is, whose order, and what it keeps of asyncio's promises."""

import asyncio
import random
import subprocess
import sys

import pytest

from penpay.simulation.loop import NodeLoop, StepLimit, Universe

HASHES = """
from penpay.simulation.play import play
from penpay.simulation.world import Seed
print([play(Seed(number)).hash for number in range(300, 312)])
"""


def universe(seed: int = 1) -> tuple[Universe, NodeLoop]:
    made = Universe(random.Random(seed), steps_max=100_000)
    return made, NodeLoop(made, "node")


def finish(of: Universe, loop: NodeLoop, coro):
    """Run one coroutine to its end and answer its result."""
    task = loop.create_task(coro, name="main")
    of.run(until=task.done)
    return task.result()


def order_of_ten(seed: int) -> list[int]:
    of, loop = universe(seed)
    seen: list[int] = []

    async def all_at_once() -> None:
        await asyncio.gather(*(put(number) for number in range(10)))

    async def put(number: int) -> None:
        await asyncio.sleep(0)
        seen.append(number)

    finish(of, loop, all_at_once())
    return seen


def test_time_jumps_to_the_next_timer_and_costs_nothing():
    of, loop = universe()

    async def wait() -> float:
        await asyncio.sleep(86_400.0)
        return asyncio.get_running_loop().time()

    assert 86_400.0 <= finish(of, loop, wait()) < 86_401.0
    assert of.steps < 10


def test_the_same_dice_give_the_same_order_and_others_another():
    assert order_of_ten(5) == order_of_ten(5)
    assert len({tuple(order_of_ten(seed)) for seed in range(20)}) > 15


def test_timeouts_locks_and_events_mean_what_asyncio_says():
    of, loop = universe()

    async def main() -> list[str]:
        seen: list[str] = []
        lock, event = asyncio.Lock(), asyncio.Event()

        async def hold() -> None:
            async with lock:
                await event.wait()
                seen.append("first")

        holder = asyncio.get_running_loop().create_task(hold(), name="hold")
        await asyncio.sleep(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await lock.acquire()
        event.set()
        await holder
        async with lock:
            seen.append("second")
        return seen

    assert finish(of, loop, main()) == ["first", "second"]


def test_of_a_killed_process_nothing_runs_any_more_not_even_finally():
    of, loop = universe()
    other = NodeLoop(of, "other")
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(5)
            seen.append("worked")
        finally:
            seen.append("tidied")

    loop.create_task(work(), name="work")
    loop.call_later(3, seen.append, "timer")
    other.call_later(1, loop.kill)
    other.call_later(10, seen.append, "the world goes on")
    of.run(until=lambda: of.now_s > 20)
    assert seen == ["the world goes on"]


def test_a_paused_process_goes_on_where_it_was():
    of, loop = universe()
    other = NodeLoop(of, "other")
    seen: list[float] = []
    loop.call_later(1, lambda: seen.append(of.now_s))
    loop.pause()
    other.call_later(8, loop.resume)
    of.run(until=lambda: bool(seen))
    assert 8.0 <= seen[0] < 8.1


def test_what_nobody_caught_is_remembered_and_ends_nothing():
    of, loop = universe()
    seen: list[str] = []

    def broken() -> None:
        raise ValueError("a bug")

    loop.call_soon(broken)
    loop.call_later(1, seen.append, "later")
    of.run(until=lambda: bool(seen))
    assert [repr(error) for _, error in of.complaints] == ["ValueError('a bug')"]


def test_circles_end():
    of, loop = universe()

    def again() -> None:
        loop.call_soon(again)

    loop.call_soon(again)
    with pytest.raises(StepLimit):
        of.run(until=lambda: False)


def test_idle_means_that_only_tickers_are_armed():
    of, loop = universe()
    loop.call_later(1, print)
    assert not of.idle


def test_a_seed_leaves_the_same_trace_in_every_process():
    """Whatever the hashes of texts and the addresses of objects are there."""
    told = [
        subprocess.run(
            [sys.executable, "-c", HASHES], env={"PYTHONHASHSEED": salt}, capture_output=True, text=True, check=True
        ).stdout
        for salt in ("1", "4711")
    ]
    assert told[0] == told[1]
    assert len(set(told[0].split())) == 12
