"""A tree to break: actors that do what they are told, and a journal of what they went through."""

import asyncio
import random

import pytest

from supervisors.root import SupervisionTree
from supervisors.specs import BackoffPolicy, ChildSpec, EntityHostSpec, StormPolicy, SupervisorSpec
from tests.supervisors.told import Thing, Worker

SOON = BackoffPolicy(base_s=0.001, cap_s=0.002)

CALM = StormPolicy(share_min=10_000)
"""Never a storm."""


class House:
    """Journal, faults, and a tree that is stopped at the end of the test."""

    def __init__(self):
        self.journal = []
        self.faults = {}
        self.dice = random.Random(7)
        self.tree = None

    def child(self, name, kind=Worker, **options):
        options.setdefault("backoff", SOON)
        return ChildSpec(name=name, factory=lambda: (kind, (name, self.journal, self.faults)), **options)

    def supervisor(self, name, strategy, *children, **options):
        options.setdefault("backoff", SOON)
        return SupervisorSpec(name=name, strategy=strategy, children=children, **options)

    async def start(self, spec, **options):
        self.tree = SupervisionTree(spec, randomness=self.dice, **options)
        await self.tree.start()
        return self.tree

    def take(self):
        taken, self.journal[:] = list(self.journal), []
        return taken

    def ask(self, address, message, timeout_s=5.0):
        return self.tree.registry.ask(address, message, timeout_s=timeout_s)

    def tell(self, address, message):
        self.tree.registry.tell(address, message)


@pytest.fixture
async def house():
    house = House()
    yield house
    if house.tree is not None:
        async with asyncio.timeout(10):
            await house.tree.stop()
        leftover = [task for task in house.tree.system.tasks if not task.done()]
        assert not leftover, f"the tree left tasks behind: {leftover}"


@pytest.fixture
def until():
    async def until(condition):
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.001)

    return until


@pytest.fixture
def hosted(house):
    async def hosted(kind=Thing, **options):
        options.setdefault("backoff", SOON)
        options.setdefault("storm", CALM)
        options.setdefault("sweep_s", 60.0)
        spec = EntityHostSpec(name="sagas", factory=lambda name: (kind, (name, house.journal, house.faults)), **options)
        tree = await house.start(house.supervisor("penpay", "one_for_one", spec))
        return tree.registry._hosts["sagas"]

    return hosted
