"""F97: an exception under an ask."""

import random

import pytest

from supervisors.root import SupervisionTree
from supervisors.specs import ChildSpec, SupervisorSpec
from tests.supervisors.conftest import SOON
from tests.supervisors.told import Worker


async def test_what_was_remembered_before_it_is_gone_and_the_mailbox_is_kept() -> None:
    child = ChildSpec(name="a", factory=lambda: (Worker, ("a", [], {})), backoff=SOON)
    spec = SupervisorSpec(name="penpay", strategy="one_for_one", children=[child])
    tree = SupervisionTree(spec, randomness=random.Random(1))
    await tree.start()
    assert await tree.registry.ask("a", "remember this", timeout_s=5.0) == "remember this"
    with pytest.raises(ValueError, match="a"):
        await tree.registry.ask("a", "boom", timeout_s=5.0)
    assert await tree.registry.ask("a", "memory", timeout_s=5.0) == []
    assert await tree.registry.ask("a", "incarnation", timeout_s=5.0) == 2
    await tree.stop()
