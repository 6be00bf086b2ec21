"""F57: the end is recorded, and nobody was told yet."""

import json

from actors.base import AsyncioActorRef
from penpay.domain.rail_end import Outcome
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, paid_body, rail, row_of, settle
from tests.faults.stage import Stage


async def test_the_notice_is_part_of_the_unit_with_an_id_of_its_own(admitted: House, saga: AsyncioActorRef) -> None:
    house = admitted
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now())))
    await settle(saga, rail(house, "DERIV_TRANSFER", Outcome.CONFIRMED, provider_ref="991"))
    events = [event for unit in house.units.values() for event in unit.outbox]
    assert len({event.event_id for event in events}) == len(events)
    last = events[-1]
    assert last.event_id == f"{row_of(house).id}:{row_of(house).version}"
    assert json.loads(last.body)["status"] == "COMPLETED"


async def test_a_relay_that_died_sends_it_later(stage: Stage) -> None:
    who = stage.customer()
    redis = stage.installation.redis
    redis.kill()
    try:
        deposit = await stage.deposit(who)
        await stage.reaches(deposit, "COMPLETED")
        for shard in range(4):
            assert await stage.operator.restart(f"shards/{shard}/outbox") == 200
    finally:
        await stage.redis_again()
    # Server-sent events replay what was committed, however it came to the streams.
    headers = {"Authorization": f"Bearer {who.token}", "Last-Event-ID": f"{_shard(stage, deposit)}-0"}
    url = f"{stage.installation.node.public_url}/api/v1/events"
    notices: list[str] = []
    async with stage.session.get(url, headers=headers) as stream:
        async for line in stream.content:
            if line.startswith(b"data:") and deposit.encode() in line:
                notices.append(json.loads(line[5:])["status"])
                if notices[-1] == "COMPLETED":
                    break
    assert notices.count("COMPLETED") == 1


def _shard(stage: Stage, deposit: str) -> int:
    ((shard,),) = stage.rows("SELECT shard FROM {ledger}.transactions WHERE id = %s", deposit)
    return int(shard)
