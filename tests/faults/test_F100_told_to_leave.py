"""F100: SIGTERM in the middle of everything."""

import asyncio
import signal

from tests.faults.stage import WAITS, Stage
from tests.harness.wire import Wire


async def test_it_leaves_in_time_and_what_was_parked_goes_on(stage: Stage) -> None:
    crowd = [stage.customer() for _ in range(10)]
    delays = [{"answer_delay_s": 0.2 + place / 5} for place, _ in enumerate(crowd)]
    deposits = await asyncio.gather(
        *(stage.deposit(who, phone=delay) for who, delay in zip(crowd, delays, strict=True))
    )
    await stage.reaches(deposits[2], "DERIV_SENDING", "COMPLETED")
    # Not killed for taking too long: that would not be 0.
    assert await stage.installation.node.stop_async() == 0
    free = stage.rows("SELECT COUNT(*) FROM {ledger}.leases WHERE state = 'OWNED'")
    assert free == [(0,)]
    await stage.installation.node.start_async()
    for who, deposit in zip(crowd, deposits, strict=True):
        await stage.reaches(deposit, "COMPLETED")
        assert (await stage.told(who)).counts == (1, 1, 1)


async def test_it_leaves_while_it_is_still_coming_up_and_keeps_nothing(stage: Stage) -> None:
    who = stage.customer()
    node = stage.installation.node
    deposit = await stage.deposit(who, phone=WAITS)
    await stage.reaches(deposit, "AWAITING_PAYER")
    node.kill()
    ((killed,),) = stage.rows("SELECT DISTINCT owner FROM {ledger}.leases WHERE name LIKE 'shard/%%'")
    try:
        with stage.installation.mariadb.connect() as connection, connection.cursor() as cursor:
            connection.begin()
            # One of its shards cannot be taken over yet, so it cannot be ready.
            cursor.execute("SELECT epoch FROM penpay_ledger.fences WHERE name = 'shard/3' FOR UPDATE")
            node.spawn()
            async with asyncio.timeout(60):
                while not {"rail/deriv", "shard/2"} <= owned(stage, killed):
                    await asyncio.sleep(0.02)
            assert (await stage.operator.ready())["ready"] is False
            # Not killed for taking too long: that would not be 0.
            node.send(signal.SIGTERM)
            connection.rollback()
            # Not told twice: a second word would meet a process that listens no more.
            async with asyncio.timeout(60):
                while node.is_running():
                    await asyncio.sleep(0.02)
            assert node.exit_code == 0
            assert owned(stage, killed) == set()
    finally:
        node.kill()
        await node.start_async()
    await stage.answers(who)
    await stage.reaches(deposit, "COMPLETED")
    assert (await stage.told(who)).counts == (1, 1, 1)


async def test_what_it_took_before_the_answer_came_is_given_back_too(wired: tuple[Stage, Wire]) -> None:
    stage, wire = wired
    node = stage.installation.node
    node.kill()
    ((killed,),) = stage.rows("SELECT DISTINCT owner FROM {ledger}.leases WHERE name LIKE 'shard/%%'")
    try:
        with stage.installation.mariadb.connect() as connection, connection.cursor() as cursor:
            connection.begin()
            cursor.execute("SELECT epoch FROM penpay_ledger.fences WHERE name = 'shard/3' FOR UPDATE")
            node.spawn()
            async with asyncio.timeout(60):
                while "shard/2" not in owned(stage, killed):
                    await asyncio.sleep(0.02)
                # The last shard is taken over a line on which every answer is late.
                wire.delay_s = 0.3
                connection.rollback()
                while "shard/3" not in owned(stage, killed):
                    await asyncio.sleep(0.02)
            assert await node.stop_async() == 0
            assert owned(stage, killed) == set()
    finally:
        wire.delay_s = 0.0
        node.kill()
        await node.start_async()


def owned(stage: Stage, killed: str) -> set[str]:
    """What a node other than the one that was killed owns."""
    found = stage.rows("SELECT name FROM {ledger}.leases WHERE state = 'OWNED' AND owner <> %s", killed)
    return {str(name) for (name,) in found}
