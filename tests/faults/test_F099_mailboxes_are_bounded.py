"""F99: more arrives than is worked off, and much lives that only waits."""

import asyncio
import random
from typing import Any

import pytest

from actors.base import AsyncioActor, EntityActor, MailboxFull
from actors.saga import SagaActor
from config.limits import ENTITY_MAILBOX_MAX
from penpay.domain.ids import shard_of
from supervisors.root import SupervisionTree
from supervisors.specs import EntityHostSpec, SupervisorSpec
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, paid_body, parts_of, row_of
from tests.faults.stage import Reply, Stage
from tests.faults.withdrawing import tree as tree_command
from tests.supervisors.conftest import SOON

SHARDS = 4
EAGER = ENTITY_MAILBOX_MAX + 26
"""Below what our own client opens at once."""


class _Slow:
    MAILBOX_MAX = 8

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def on_receive(self, message: Any) -> Any:
        if message == "wait":
            await self.gate.wait()
        return message


class Resident(_Slow, AsyncioActor):
    """A singleton."""


class Entity(_Slow, EntityActor):
    """One of many."""


@pytest.mark.parametrize("kind", [Resident, Entity])
async def test_over_the_bound_the_sender_is_refused_at_once(kind: type[Any]) -> None:
    ref = kind.start()
    ref.tell("wait")
    while len(ref.actor_inbox):
        await asyncio.sleep(0)
    for number in range(8):
        ref.tell(number)
    with pytest.raises(MailboxFull):
        ref.tell("one too many")
    with pytest.raises(MailboxFull):
        await ref.aask("one too many")
    ref.kill()
    await ref.shutdown(1)


async def test_a_full_mailbox_is_a_503_that_says_when_and_hurts_nobody_else(stage: Stage) -> None:
    who = stage.customer()
    shard = shard_of(who.user_id, SHARDS)
    other = next(one for one in iter(stage.customer, None) if shard_of(one.user_id, SHARDS) != shard)
    # Their first deposit is open for as long as it takes to refuse all others.
    await stage.control.script_phone(who.msisdn, {"outcome": "wait"})
    restarts = {path: member["restarts"] for path, member in (await stage.operator.members()).items()}
    with stage.installation.mariadb.connect() as connection, connection.cursor() as cursor:
        connection.begin()
        # The shard commits nothing: its customer's actor waits, and what is asked of it piles up.
        cursor.execute("SELECT epoch FROM penpay_ledger.fences WHERE name = %s FOR UPDATE", (f"shard/{shard}",))
        assert cursor.rowcount == 1
        asking = [asyncio.create_task(stage.ask(who)) for _ in range(EAGER)]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        assert (await stage.ask(other)).status == 202
        connection.rollback()
    replies: list[Reply] = await asyncio.gather(*asking)
    refused = [reply for reply in replies if reply.code == "overloaded"]
    # One is being worked on, unless the rest came while the actor was still reading.
    taken = EAGER - len(refused)
    assert taken in {ENTITY_MAILBOX_MAX, ENTITY_MAILBOX_MAX + 1}
    assert {reply.status for reply in refused} == {503}
    assert all(int(reply.headers["Retry-After"]) > 0 for reply in refused)
    assert {reply.status for reply in replies if reply not in refused} == {202, 409}
    # On a busy machine the others wait longer than a prompt counts as open: M-Pesa then refuses theirs, as one is.
    first, *later = sorted(str(reply.body["id"]) for reply in replies if reply.status == 202)
    assert stage.transactions_of(who) == 1 + len(later)
    for one in later:
        await stage.reaches(one, "FAILED")
    push = await stage.push_of(who)
    await stage.control.post(f"/pushes/{push['checkout_id']}/answer", {})
    await stage.reaches(first, "COMPLETED")
    after = {path: member["restarts"] for path, member in (await stage.operator.members()).items()}
    assert after == restarts


async def test_whose_actor_a_person_stopped_is_told_that_it_is_away_and_not_that_there_is_too_much(
    stage: Stage,
) -> None:
    who = stage.customer()
    actor = f"shards/{shard_of(who.user_id, SHARDS)}/users/{who.user_id}"
    await tree_command(stage, actor, "stop")
    refused = await stage.ask(who)
    assert (refused.status, refused.code, refused.headers["Retry-After"]) == (503, "unavailable", "30")
    await tree_command(stage, actor, "start")
    await stage.reaches(await stage.deposit(who), "COMPLETED")


async def test_sagas_that_only_wait_are_rows_and_no_actors(admitted: House) -> None:
    class Impatient(SagaActor):
        IDLE_S = 0.0

    host = EntityHostSpec(
        name="sagas", factory=lambda name: (Impatient, (name, parts_of(admitted))), backoff=SOON, sweep_s=0.001
    )
    tree = SupervisionTree(
        SupervisorSpec(name="penpay", strategy="one_for_one", children=[host]), randomness=random.Random(1)
    )
    await tree.start()
    saga = f"sagas/{row_of(admitted).id}"
    for told, state in (
        (accepted(admitted), "AWAITING_PAYER"),
        (evidence(admitted, "stk", paid_body(admitted.clock.now())), "DERIV_SENDING"),
    ):
        await tree.registry.ask(saga, told, timeout_s=5.0)
        assert row_of(admitted).state == state
        # It is gone, and what it knows is read again by the one that the next message starts.
        async with asyncio.timeout(60):
            while saga in {cell.address for cell in tree.living()}:
                await asyncio.sleep(0.001)
    await tree.stop()
