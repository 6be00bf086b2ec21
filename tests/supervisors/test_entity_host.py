"""Entities: started by their first message, restarted each on its own account, parked, held back in a storm, let go."""

import asyncio
import gc

import pytest

from actors.base import (
    Cell,
    Context,
    EntityHeld,
    EntityParked,
    MailboxFull,
    NoSuchActor,
    Unavailable,
    with_context,
)
from supervisors.specs import StormPolicy
from tests.supervisors.told import Quiet, Thing


async def test_a_message_starts_the_entity_and_waits_for_its_start(house, hosted):
    await hosted()
    assert await house.ask("sagas/s1", "hello") == "hello"
    assert await house.ask("sagas/s1", "memory") == ["hello"]
    assert house.take() == ["+s1"]


async def test_the_address_of_the_host_itself_is_no_entity(house, hosted):
    await hosted()
    with pytest.raises(NoSuchActor):
        await house.ask("sagas/", "hello")


async def test_a_crash_restarts_only_that_entity_on_the_same_mailbox(house, hosted):
    await hosted()
    await house.ask("sagas/s2", "hello")
    house.tell("sagas/s1", "boom")
    house.tell("sagas/s1", "kept")
    assert await house.ask("sagas/s1", "memory") == ["kept"]
    assert await house.ask("sagas/s1", "incarnation") == 2
    assert await house.ask("sagas/s2", "incarnation") == 1


async def test_an_entity_that_keeps_crashing_is_parked_once_and_alone(house, hosted, until):
    parked = []

    async def on_parked(entity_id, error):
        parked.append((entity_id, repr(error)))

    host = await hosted(on_parked=on_parked, crashes_max=4)
    await house.ask("sagas/good", "hello")
    for _ in range(4):
        house.tell("sagas/bad", "boom")
    asking = asyncio.ensure_future(house.ask("sagas/bad", "hello"))
    with pytest.raises(EntityParked):
        await asking
    await until(lambda: parked)
    assert parked == [("bad", "ValueError('bad')")]
    house.tell("sagas/bad", "lost")
    with pytest.raises(EntityParked):
        await house.ask("sagas/bad", "hello")
    reasons = [letter.reason for letter in house.tree.system.dead_letters.ring]
    assert reasons == ["crash"] * 4 + ["parked"]
    assert [(name, error.__traceback__) for name, error in host.parked.items()] == [("bad", None)]
    assert await house.ask("sagas/good", "memory") == ["hello"]


async def test_a_parking_that_cannot_be_written_is_tried_again(house, hosted, until, monkeypatch):
    monkeypatch.setattr("supervisors.entity_host.PARK_RETRY_S", 0.001)
    calls = []

    async def on_parked(entity_id, error):
        calls.append(entity_id)
        if len(calls) < 3:
            raise Unavailable("database")

    await hosted(on_parked=on_parked, crashes_max=1)
    await house.ask("sagas/good", "hello")
    house.tell("sagas/bad", "boom")
    await until(lambda: len(calls) == 3)
    assert await house.ask("sagas/good", "incarnation") == 1


class Decided(str):
    """What people decided about it."""

    __slots__ = ()
    FREES_PARKED = True


async def test_an_error_that_no_restart_cures_parks_at_its_first_crash(house, hosted, until):
    host = await hosted(hopeless=(ValueError,))
    house.tree.registry.tell("sagas/bad", "boom")
    await until(lambda: host.parked)
    assert (list(host.parked), house.journal.count("+bad")) == (["bad"], 1)


async def test_a_parked_entity_that_people_decided_about_runs_again(house, hosted, until):
    host = await hosted(crashes_max=1)
    house.tell("sagas/bad", "boom")
    await until(lambda: host.parked)
    assert await house.ask("sagas/bad", Decided("hello")) == "hello"
    assert not host.parked
    assert await house.ask("sagas/bad", "memory") == ["hello"]


async def test_a_decision_does_not_start_what_a_person_stopped(house, hosted):
    await hosted()
    await house.ask("sagas/s1", "hello")
    await house.tree.stop_child("sagas/s1")
    with pytest.raises(EntityHeld):
        await house.ask("sagas/s1", Decided("hello"))


async def test_an_operator_starts_a_parked_entity_again(house, hosted, until):
    host = await hosted(crashes_max=1)
    house.tell("sagas/bad", "boom")
    await until(lambda: host.parked)
    await house.tree.start_child("sagas/bad")
    assert await house.ask("sagas/bad", "hello") == "hello"
    assert not host.parked


async def test_an_operator_restarts_one_entity(house, hosted):
    await hosted()
    await house.ask("sagas/s1", "hello")
    await house.tree.restart("sagas/s1")
    assert house.take() == ["+s1", "-s1", "+s1"]


async def test_an_entity_never_lives_twice_while_it_is_restarted(house, hosted):
    alive = []
    gate = asyncio.Event()

    class Lingers(Thing):
        async def on_start(self):
            alive.append(self.name)
            assert alive == [self.name]

        async def on_stop(self):
            await gate.wait()
            alive.remove(self.name)

    await hosted(Lingers)
    await house.ask("sagas/s1", "hello")
    restarting = asyncio.ensure_future(house.tree.restart("sagas/s1"))
    await asyncio.sleep(0.001)
    asking = asyncio.ensure_future(house.ask("sagas/s1", "incarnation"))
    await asyncio.sleep(0.001)
    gate.set()
    await restarting
    assert await asking == 2


async def test_a_dependency_that_is_away_at_the_start_parks_nobody(house, hosted, until):
    host = await hosted(crashes_max=2)
    house.faults["s1"] = [Unavailable("database")] * 10
    house.tell("sagas/s1", "hello")
    await until(lambda: not house.faults["s1"])
    assert await house.ask("sagas/s1", "memory") == ["hello"]
    assert not host.parked


async def test_no_more_than_the_limit_recover_at_once(house, hosted, until):
    gate = asyncio.Event()
    running = []
    most = []

    class Loads(Thing):
        async def on_start(self):
            running.append(self.name)
            most.append(len(running))
            await gate.wait()
            running.remove(self.name)

    host = await hosted(Loads, recovery_limit=3)
    asks = [asyncio.ensure_future(house.ask(f"sagas/{number}", "hello")) for number in range(10)]
    await until(lambda: len(running) == 3)
    assert host.observable_state()["queued"] == 7
    gate.set()
    assert await asyncio.gather(*asks) == ["hello"] * 10
    assert max(most) == 3


async def test_idle_entities_leave_memory_and_come_back_with_a_message(house, hosted, until):
    host = await hosted(sweep_s=0.001)
    await house.ask("sagas/s1", "hello")
    await until(lambda: not host.entities)
    assert await house.ask("sagas/s1", "memory") == []
    assert house.take()[:3] == ["+s1", "-s1", "+s1"]


async def test_who_left_memory_leaves_nothing_for_the_collector(house, hosted, until):
    """It looks at the young often and at the old hardly ever: thousands of dead cells had waited for it."""
    host = await hosted(sweep_s=0.001)
    gc.collect()
    gc.disable()
    try:
        for number in range(20):
            await house.ask(f"sagas/s{number}", "hello")
            house.tell(f"sagas/s{number}", "hello")
        await until(lambda: not host.entities)
        assert [one for one in gc.get_objects() if type(one) is Cell and one.owner is host] == []
    finally:
        gc.enable()


async def test_an_idle_entity_holds_no_context_of_what_it_did(house, hosted):
    host = await hosted()
    with with_context(Context(transaction_id="t1")):
        await house.ask("sagas/s1", "hello")
    await asyncio.sleep(0)
    assert host.entities["s1"].idle
    assert host.entities["s1"].bound is None


async def test_an_entity_that_has_work_is_not_passivated(house, hosted, until):
    class Works(Thing):
        def can_passivate(self):
            return not self.memory

    host = await hosted(Works, sweep_s=0.001)
    await house.ask("sagas/s1", "hello")
    await house.ask("sagas/s2", "incarnation")
    await until(lambda: "s2" not in host.entities)
    assert "s1" in host.entities


async def test_a_message_that_slips_into_a_passivation_starts_the_next_incarnation(house, hosted, until):
    gate = asyncio.Event()

    class Lingers(Thing):
        async def on_stop(self):
            house.journal.append(f"-{self.name}")
            await gate.wait()

    host = await hosted(Lingers, sweep_s=0.001)
    await house.ask("sagas/s1", "hello")
    await until(lambda: "-s1" in house.journal)
    asking = asyncio.ensure_future(house.ask("sagas/s1", "incarnation"))
    await asyncio.sleep(0)
    gate.set()
    assert await asking == 2
    assert not house.tree.system.dead_letters.ring
    assert host is not None


async def test_messages_during_constant_passivation_are_all_handled(house, hosted):
    handled = []

    class Counts(Thing):
        async def on_receive(self, message):
            handled.append(message)
            await asyncio.sleep(0)
            return message

    await hosted(Counts, sweep_s=0.0005)
    for number in range(2000):
        house.tell(f"sagas/s{number % 7}", number)
        if number % 10 == 0:
            await asyncio.sleep(0.0003)
    await asyncio.gather(*(house.ask(f"sagas/s{number}", "end") for number in range(7)))
    numbers = [message for message in handled if message != "end"]
    assert sorted(numbers) == list(range(2000))
    for entity in range(7):
        own = [number for number in numbers if number % 7 == entity]
        assert own == sorted(own)


async def test_a_full_host_lets_an_idle_entity_go_or_sheds(house, hosted, until):
    host = await hosted(Quiet, max_children=2, shutdown_s=0.01)
    await house.ask("sagas/s1", "hello")
    await house.ask("sagas/s2", "hello")
    await house.ask("sagas/s3", "hello")
    assert set(host.entities) == {"s2", "s3"}
    house.tell("sagas/s2", "sleep")
    house.tell("sagas/s3", "sleep")
    await until(lambda: all(cell.busy_since_s is not None for cell in host.entities.values()))
    with pytest.raises(MailboxFull):
        await house.ask("sagas/s4", "hello")


async def test_a_final_entity_leaves_memory(house, hosted, until):
    host = await hosted()
    await house.ask("sagas/s1", ("exit", "normal"))
    await until(lambda: not host.entities)
    assert house.take() == ["+s1", "-s1"]


async def test_a_storm_holds_restarts_back_until_a_probe_lives(house, hosted, until):
    broken = True

    class Shaky(Thing):
        async def on_start(self):
            self.journal.append(f"+{self.name}")
            if broken:
                raise OSError("disk")

    storm = StormPolicy(crashes=3, within_s=10, share_min=10_000, base_s=0.005, cap_s=0.01, probe_s=0.005)
    host = await hosted(Shaky, storm=storm, crashes_max=101)
    asks = [asyncio.ensure_future(house.ask(f"sagas/{number}", "hello")) for number in range(20)]
    await until(lambda: host.observable_state()["storm"])
    starts = len(house.journal)
    await until(lambda: len(house.journal) >= starts + 2)  # probes, one at a time
    broken = False
    assert await asyncio.gather(*asks) == ["hello"] * 20
    await until(lambda: not host.observable_state()["storm"])
    assert not host.parked


async def test_a_storm_over_more_entities_than_the_stack_is_deep_ends_as_well(house, hosted, until):
    class Brief(Quiet):
        async def on_receive(self, message):
            if message == "boom":
                raise ValueError(message)
            return message

    host = await hosted(Brief, storm=StormPolicy(base_s=0.01, probe_s=0.01))
    for number in range(1500):
        house.tell(f"sagas/{number}", "boom")
    await until(lambda: host.observable_state()["storm"])
    await until(lambda: not host.observable_state()["storm"])
    assert await house.ask("sagas/1499", "hello") == "hello"
    assert host.incarnation == 1


@pytest.mark.parametrize("ends", ["exit", "away"])
async def test_a_storm_goes_on_past_a_probe_that_does_not_break(house, hosted, until, ends):
    away = False

    class Fleeting(Thing):
        async def on_start(self):
            if away:
                raise Unavailable("database")

    host = await hosted(Fleeting, storm=StormPolicy(base_s=0.01, cap_s=0.02, probe_s=0.01))
    for number in range(60):
        await house.ask(f"sagas/{number}", "hello")
    for number in range(60):
        house.tell(f"sagas/{number}", "boom")
        if ends == "exit":
            house.tell(f"sagas/{number}", ("exit", "normal"))
    await until(lambda: host.observable_state()["storm"])
    if ends == "away":
        away = True
        await asyncio.sleep(0.05)
        away = False
    await until(lambda: not host.observable_state()["storm"])
    assert await house.ask("sagas/new", "hello") == "hello"


async def test_stopping_the_host_stops_its_entities_and_answers_their_askers(house, hosted, until):
    host = await hosted(shutdown_s=0.01)
    await house.ask("sagas/s1", "hello")
    asking = asyncio.ensure_future(house.ask("sagas/s2", "sleep", timeout_s=60))
    await until(lambda: "+s2" in house.journal and host.entities["s2"].busy_since_s is not None)
    await house.tree.stop()
    with pytest.raises(Exception, match="sagas/s2#1"):
        await asking
    assert "-s1" in house.journal


async def test_a_restarted_host_starts_its_entities_on_demand_again(house, hosted):
    await hosted()
    await house.ask("sagas/s1", "hello")
    await house.tree.restart("sagas")
    assert await house.ask("sagas/s1", "memory") == []


async def test_the_tree_shows_entities_and_counts(house, hosted, until):
    host = await hosted(crashes_max=1)
    await house.ask("sagas/s1", "hello")
    house.tell("sagas/bad", "boom")
    await until(lambda: host.parked)
    node = house.tree.describe()["children"][0]
    assert (node["kind"], node["active"], node["parked"]) == ("entity host", 1, 1)
    assert {child["path"]: child["state"] for child in node["children"]} == {
        "sagas/bad": "parked",
        "sagas/s1": "running",
    }
