"""F95: a child crashes at once at every start."""

import asyncio
import random

import pytest

from actors.base import EntityParked
from supervisors.root import SupervisionTree
from supervisors.specs import ChildSpec, EntityHostSpec, StormPolicy, SupervisorSpec
from tests.supervisors.conftest import SOON
from tests.supervisors.told import Thing, Worker

CALM = StormPolicy(share_min=10_000)


async def test_a_singleton_that_cannot_start_ends_its_root(tmp_path: object) -> None:
    journal: list[str] = []
    faults: dict[str, list[Exception | None]] = {"a": [None, *[ValueError("bad start")] * 10]}
    child = ChildSpec(name="a", factory=lambda: (Worker, ("a", journal, faults)), backoff=SOON)
    spec = SupervisorSpec(name="penpay", strategy="one_for_one", children=[child], max_restarts=5, within_s=60)
    tree = SupervisionTree(spec, randomness=random.Random(1))
    await tree.start()
    tree.registry.tell("a", "boom")
    await asyncio.wait_for(tree.failed, 5)
    # The first start, five restarts, and no more.
    assert journal.count("+a") == 6


async def test_an_entity_that_cannot_start_is_parked_and_the_others_live(tmp_path: object) -> None:
    journal: list[str] = []
    faults: dict[str, list[Exception | None]] = {"bad": [ValueError("bad start")] * 20}
    parked: list[str] = []

    async def on_parked(entity_id: str, _error: BaseException) -> None:
        parked.append(entity_id)

    host = EntityHostSpec(
        name="sagas",
        factory=lambda name: (Thing, (name, journal, faults)),
        backoff=SOON,
        storm=CALM,
        on_parked=on_parked,
    )
    spec = SupervisorSpec(name="penpay", strategy="one_for_one", children=[host])
    tree = SupervisionTree(spec, randomness=random.Random(1))
    await tree.start()
    with pytest.raises(EntityParked):
        await tree.registry.ask("sagas/bad", "hello", timeout_s=5.0)
    assert await tree.registry.ask("sagas/good", "hello", timeout_s=5.0) == "hello"
    async with asyncio.timeout(60):
        while not parked:
            await asyncio.sleep(0.001)
    assert parked == ["bad"]
    assert not tree.failed.done()
    await tree.stop()
