"""Sagas in a host that gives up soon and puts a question then, with nothing else around it."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from actors.parking import park
from actors.saga import SagaActor, SagaParts
from config.limits import SAGA_CRASHES_MAX
from supervisors.root import SupervisionTree
from supervisors.specs import BackoffPolicy, EntityHostSpec, StormPolicy, SupervisorSpec


@asynccontextmanager
async def hosted(parts: SagaParts, saga: type[SagaActor] = SagaActor) -> AsyncIterator[SupervisionTree]:
    """Each saga lives at `sagas/<transaction>`. One that always breaks is no storm."""
    sagas = EntityHostSpec(
        name="sagas",
        factory=lambda transaction_id: (saga, (transaction_id, parts)),
        on_parked=lambda transaction_id, error: park(transaction_id, error, parts),
        crashes_max=SAGA_CRASHES_MAX,
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
