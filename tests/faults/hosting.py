"""Sagas in a host as a shard has one, with nothing else around it, that tries again at once."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from actors.saga import SagaActor, SagaParts
from supervisors.root import SupervisionTree
from supervisors.specs import BackoffPolicy, StormPolicy, SupervisorSpec
from supervisors.tree import saga_host


@asynccontextmanager
async def hosted(parts: SagaParts, saga: type[SagaActor] = SagaActor) -> AsyncIterator[SupervisionTree]:
    """Each saga lives at `sagas/<transaction>`. One that always breaks is no storm."""
    sagas = replace(
        saga_host(parts),
        factory=lambda transaction_id: (saga, (transaction_id, parts)),
        backoff=BackoffPolicy(base_s=0.001, cap_s=0.002),
        storm=StormPolicy(share_min=10_000),
    )
    tree = SupervisionTree(
        SupervisorSpec(name="penpay", strategy="one_for_one", children=[sagas], max_restarts=1, within_s=60.0),
        randomness=random.Random(92),
    )
    await tree.start()
    try:
        yield tree
    finally:
        await tree.stop()
