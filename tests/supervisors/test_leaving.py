"""A node that is told to leave before everything has started."""

import asyncio

import pytest

from actors.base import StartFailed
from penpay.app.node import started_or_leaving
from supervisors.root import SupervisionTree
from tests.supervisors.told import Worker


class Waits(Worker):
    """As a ledger does whose database is away."""

    async def on_start(self):
        self.journal.append(f"+{self.name}")
        await asyncio.Event().wait()


async def test_whoever_is_told_to_leave_does_not_wait_for_the_start(house, until):
    children = house.child("a"), house.child("b", kind=Waits, start_timeout_s=None)
    house.tree = SupervisionTree(house.supervisor("penpay", "one_for_one", *children), randomness=house.dice)
    leaving = asyncio.Event()
    starting = asyncio.ensure_future(started_or_leaving(house.tree, leaving))
    await until(lambda: "+b" in house.journal)
    assert not starting.done()
    leaving.set()
    async with asyncio.timeout(5):
        await starting
        await house.tree.stop()
    assert house.take() == ["+a", "+b", "-b", "-a"]


async def test_a_start_that_fails_is_told(house):
    house.faults["a"] = [OSError("disk")]
    house.tree = SupervisionTree(house.supervisor("penpay", "one_for_one", house.child("a")), randomness=house.dice)
    with pytest.raises(StartFailed):
        await started_or_leaving(house.tree, asyncio.Event())


async def test_what_has_started_goes_on(house):
    house.tree = SupervisionTree(house.supervisor("penpay", "one_for_one", house.child("a")), randomness=house.dice)
    await started_or_leaving(house.tree, asyncio.Event())
    assert await house.ask("a", "incarnation") == 1
