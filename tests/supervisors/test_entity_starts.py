"""Starts of entities: bounded in number and time, answered when what they need is away, counted when they break."""

import asyncio

import pytest

from actors.base import EntityParked, NobodyObserves, Unavailable
from supervisors.specs import BackoffPolicy, EntityHostSpec
from tests.supervisors.told import Quiet, Thing

LATE = BackoffPolicy(base_s=60.0, cap_s=60.0)


async def test_the_fifth_crash_parks(house, hosted, until):
    host = await hosted()
    for _ in range(4):
        house.tell("sagas/bad", "boom")
    assert await house.ask("sagas/bad", "incarnation") == 5
    house.tell("sagas/bad", "boom")
    await until(lambda: host.parked)


async def test_an_entity_that_leaves_memory_between_its_crashes_is_parked_as_well(house, hosted, until):
    host = await hosted(sweep_s=0.001)
    for number in range(5):
        house.tell("sagas/bad", "boom")
        await until(lambda number=number: house.journal.count("!bad") == number + 1)
        await until(lambda: "bad" not in host.entities)
    with pytest.raises(EntityParked):
        await house.ask("sagas/bad", "hello")


async def test_crashes_longer_ago_than_the_window_are_forgotten(house, hosted, until):
    host = await hosted(sweep_s=0.001, within_s=0.01, crashes_max=2)
    house.tell("sagas/s1", "boom")
    await until(lambda: "!s1" in house.journal and not host.entities)
    await until(lambda: host.trouble("s1") is None)
    house.tell("sagas/s1", "boom")
    await until(lambda: house.journal.count("!s1") == 2)
    assert not host.parked


async def test_a_start_that_does_not_end_is_broken_off_and_tried_again(house, hosted):
    class Hangs(Thing):
        async def on_start(self):
            if self.incarnation == 1:
                await asyncio.Event().wait()

    host = await hosted(Hangs, sweep_s=0.001, start_timeout_s=0.01, recovery_limit=1)
    assert await asyncio.gather(house.ask("sagas/s1", "incarnation"), house.ask("sagas/s2", "incarnation")) == [2, 2]
    assert host.observable_state()["recovering"] == 0


async def test_askers_of_an_entity_whose_dependency_is_away_learn_it_at_once_and_tells_wait(house, hosted, until):
    await hosted(backoff=LATE)
    house.faults["s1"] = [Unavailable("database")]
    house.tell("sagas/s1", "told")
    with pytest.raises(Unavailable, match="database"):
        await house.ask("sagas/s1", "asked", timeout_s=5.0)
    house.tell("sagas/s1", "told later")  # whoever is sent something looks whether it is back
    assert await house.ask("sagas/s1", "memory") == ["told", "told later"]
    assert house.take() == ["+s1", "+s1"]


async def test_a_message_does_not_shorten_the_pause_after_a_crash(house, hosted, until):
    host = await hosted(backoff=LATE)
    house.tell("sagas/s1", "boom")
    await until(lambda: "!s1" in house.journal)
    house.tell("sagas/s1", "hello")
    await asyncio.sleep(0.005)
    assert (host.entities["s1"].incarnation, house.take()) == (1, ["+s1", "!s1"])


async def test_a_start_may_look_at_what_it_is_for(house, hosted):
    class Looks(Thing):
        async def on_start(self):
            self.journal.append(self.first_waiting)

    await hosted(Looks)
    house.tell("sagas/s1", "first")
    assert await house.ask("sagas/s1", "memory") == ["first"]
    await house.tree.restart("sagas/s1")
    assert house.take() == ["first", "-s1", None]


async def test_the_time_of_a_start_is_measured(house):
    class Notes(NobodyObserves):
        def __init__(self):
            self.activations = []

        def activated(self, kind, seconds):
            self.activations.append((kind, seconds))

    class Reads(Thing):
        KIND = "reads"

        async def on_start(self):
            await asyncio.sleep(0.01)

    notes = Notes()
    spec = EntityHostSpec(name="sagas", factory=lambda name: (Reads, (name, house.journal, house.faults)))
    await house.start(house.supervisor("penpay", "one_for_one", spec), observer=notes)
    await house.ask("sagas/s1", "hello")
    ((kind, seconds),) = notes.activations
    assert kind == "reads"
    assert seconds >= 0.009


async def test_a_full_host_puts_away_whoever_was_reached_longest_ago(house, hosted):
    host = await hosted(Quiet, max_children=3)
    for name in ("s1", "s2", "s3", "s1"):
        await house.ask(f"sagas/{name}", "hello")
    await house.ask("sagas/s4", "hello")
    assert set(host.entities) == {"s1", "s3", "s4"}


async def test_many_that_are_at_work_do_not_hide_the_one_that_is_not(house, hosted, until):
    host = await hosted(Quiet, max_children=101, shutdown_s=0.01)
    for number in range(100):
        house.tell(f"sagas/{number}", "sleep")
    await until(lambda: all(cell.busy_since_s is not None for cell in host.entities.values()))
    await house.ask("sagas/idle", "hello")
    assert await house.ask("sagas/new", "hello") == "hello"
    assert "idle" not in host.entities


async def test_nobody_who_waits_for_a_place_is_started_while_the_host_stops(house, hosted, until):
    class Slow(Thing):
        async def on_start(self):
            await super().on_start()
            await asyncio.Event().wait()

    await hosted(Slow, recovery_limit=1)
    house.tell("sagas/s1", "hello")
    house.tell("sagas/s2", "hello")
    await until(lambda: house.journal == ["+s1"])
    await house.tree.stop()
    assert "+s2" not in house.journal
