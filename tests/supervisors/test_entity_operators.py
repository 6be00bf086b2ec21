"""Stop and start of one entity by path."""

import pytest

from actors.base import EntityHeld, EntityParked, NoSuchActor
from supervisors.specs import BackoffPolicy

LATE = BackoffPolicy(base_s=60.0, cap_s=60.0)


async def test_a_stopped_entity_stays_away_until_it_is_started(house, hosted):
    host = await hosted()
    await house.ask("sagas/s1", "hello")
    await house.tree.stop_child("sagas/s1")
    with pytest.raises(EntityHeld):
        await house.ask("sagas/s1", "hello")
    house.tell("sagas/s1", "hello")
    assert house.tree.system.dead_letters.ring[-1].reason == "held"
    assert not host.entities
    (node,) = house.tree.describe()["children"][0]["children"]
    assert (node["path"], node["state"]) == ("sagas/s1", "held")
    await house.tree.start_child("sagas/s1")
    assert await house.ask("sagas/s1", "hello") == "hello"
    assert not host.held


async def test_an_entity_out_of_memory_can_be_stopped_too(house, hosted):
    await hosted()
    await house.tree.stop_child("sagas/s1")
    with pytest.raises(EntityHeld):
        await house.ask("sagas/s1", "hello")


async def test_a_restart_starts_a_stopped_entity(house, hosted):
    await hosted()
    await house.tree.stop_child("sagas/s1")
    await house.tree.restart("sagas/s1")
    assert await house.ask("sagas/s1", "hello") == "hello"


async def test_a_stop_frees_no_parked_entity(house, hosted, until):
    host = await hosted(crashes_max=1)
    house.tell("sagas/bad", "boom")
    await until(lambda: host.parked)
    await house.tree.stop_child("sagas/bad")
    with pytest.raises(EntityParked):
        await house.ask("sagas/bad", "hello")
    await house.tree.start_child("sagas/bad")
    assert await house.ask("sagas/bad", "hello") == "hello"


async def test_an_entity_that_waits_for_its_restart_can_be_stopped(house, hosted, until):
    host = await hosted(backoff=LATE)
    house.tell("sagas/s1", "boom")
    await until(lambda: "!s1" in house.journal)
    await until(lambda: host.entities["s1"].last_exit is not None)
    await house.tree.stop_child("sagas/s1")
    assert not host.entities
    assert house.take() == ["+s1", "!s1"]


async def test_nobody_is_restarted_who_is_not_there(house, hosted):
    await hosted()
    for command in (house.tree.restart, house.tree.start_child):
        with pytest.raises(NoSuchActor):
            await command("sagas/s1")


async def test_the_pause_of_an_entity_that_was_stopped_takes_nothing_from_its_successor(house, hosted, until):
    host = await hosted(backoff=BackoffPolicy(base_s=0.02, cap_s=0.04))
    for number in range(2):
        house.tell("sagas/s1", "boom")
        await until(lambda number=number: house.journal.count("!s1") == number + 1)
        if not number:
            await until(lambda: host.entities["s1"].last_exit is not None)
            await house.tree.stop_child("sagas/s1")
            await house.tree.start_child("sagas/s1")
    assert await house.ask("sagas/s1", "incarnation") == 2
