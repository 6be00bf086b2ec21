"""Order of starts and stops, who is restarted with whom, and when a supervisor gives up."""

import asyncio
from contextlib import suppress

import pykka
import pytest

from actors.base import DEFER, ActorGone, ActorKilled, NoSuchActor, StartFailed, Unavailable
from actors.runtime import cell
from tests.supervisors.told import Worker


async def test_children_start_in_order_and_stop_in_reverse(house):
    tree = await house.start(house.supervisor("penpay", "one_for_one", house.child("a"), house.child("b")))
    assert house.take() == ["+a", "+b"]
    await tree.stop()
    assert house.take() == ["-b", "-a"]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("one_for_one", ["!b", "+b"]),
        ("one_for_all", ["!b", "-c", "-a", "+a", "+b", "+c"]),
        ("rest_for_one", ["!b", "-c", "+b", "+c"]),
    ],
)
async def test_a_crash_restarts_whom_the_strategy_names_in_order(house, until, strategy, expected):
    children = [house.child(name) for name in "abc"]
    await house.start(house.supervisor("penpay", strategy, *children))
    house.take()
    house.tell("b", "boom")
    await until(lambda: len(house.journal) >= len(expected))
    assert house.take() == expected
    assert await house.ask("c", "hello") == "hello"


async def test_a_restarted_actor_keeps_reference_and_mailbox(house, until):
    tree = await house.start(house.supervisor("penpay", "one_for_one", house.child("a")))
    ref = tree.registry.cell("a").ref
    house.tell("a", "boom")
    for number in range(10):
        ref.tell(number)
    answer = await ref.aask("memory")
    assert answer == list(range(10))
    assert (ref.incarnation, tree.registry.cell("a").ref) == (2, ref)


async def test_an_ask_sent_during_the_back_off_is_answered_by_the_next_incarnation(house):
    await house.start(house.supervisor("penpay", "one_for_one", house.child("a")))
    with pytest.raises(ValueError, match="a"):
        await house.ask("a", "boom")
    assert await house.ask("a", "incarnation") == 2


async def test_more_restarts_than_the_intensity_escalate_and_end_the_root(house, until):
    spec = house.supervisor("penpay", "one_for_one", house.child("a"), max_restarts=2, within_s=60)
    tree = await house.start(spec)
    for _ in range(3):
        with pytest.raises(ValueError, match="a"):
            await house.ask("a", "boom")
    ending = await asyncio.wait_for(tree.failed, 5)
    assert ending.reason == "crash"
    with pytest.raises(NoSuchActor):
        await house.ask("a", "hello")


async def test_an_inner_supervisor_that_gives_up_is_restarted_by_its_parent(house, until):
    inner = house.supervisor("inner", "one_for_one", house.child("a"), max_restarts=1)
    tree = await house.start(house.supervisor("penpay", "one_for_one", inner, house.child("b")))
    house.take()
    for _ in range(2):
        with pytest.raises(ValueError, match="a"):
            await house.ask("inner/a", "boom")
    await until(lambda: house.journal == ["!a", "+a", "!a", "+a"])
    await until(lambda: tree.describe()["children"][0]["state"] == "running")
    assert await house.ask("inner/a", "incarnation") == 1
    assert not tree.failed.done()
    assert tree.describe()["children"][0]["restarts"] == 1


async def test_unavailable_at_a_restart_is_waited_out_and_not_counted(house, until):
    spec = house.supervisor("penpay", "one_for_one", house.child("a"), max_restarts=1)
    tree = await house.start(spec)
    house.faults["a"] = [Unavailable("database")] * 5
    house.tell("a", "boom")
    assert await house.ask("a", "incarnation") == 7
    assert not tree.failed.done()


async def test_unavailable_at_the_first_start_is_waited_out(house):
    house.faults["a"] = [Unavailable("database")] * 3
    await house.start(house.supervisor("penpay", "one_for_one", house.child("a"), house.child("b")))
    assert house.take() == ["+a", "+a", "+a", "+a", "+b"]


async def test_a_failed_first_start_stops_what_was_started_and_names_the_culprit(house):
    house.faults["b"] = [RuntimeError("no key")]
    inner = house.supervisor("inner", "one_for_one", house.child("b"))
    with pytest.raises(StartFailed) as caught:
        await house.start(house.supervisor("penpay", "one_for_one", house.child("a"), inner))
    assert caught.value.address == "inner/b"
    assert str(caught.value.cause) == "no key"
    assert house.take() == ["+a", "+b", "-a"]


async def test_a_start_that_takes_too_long_fails(house):
    class Hangs(Worker):
        async def on_start(self):
            await asyncio.Event().wait()

    spec = house.child("a", kind=Hangs, start_timeout_s=0.01)
    with pytest.raises(StartFailed, match="a did not start"):
        await house.start(house.supervisor("penpay", "one_for_one", spec))


async def test_a_transient_child_stays_away_after_a_clean_end_and_returns_after_a_crash(house, until):
    tree = await house.start(house.supervisor("penpay", "one_for_one", house.child("a", restart="transient")))
    house.tell("a", "boom")
    assert await house.ask("a", "incarnation") == 2
    house.tell("a", ("exit", "normal"))
    await until(lambda: tree.describe()["children"][0]["state"] == "done")
    with pytest.raises(ActorGone):
        await house.ask("a", "hello")


async def test_a_permanent_child_returns_after_a_clean_end_too(house):
    await house.start(house.supervisor("penpay", "one_for_one", house.child("a")))
    house.tell("a", ("exit", "normal"))
    assert await house.ask("a", "incarnation") == 2


async def test_a_temporary_child_is_never_restarted_not_even_with_its_siblings(house, until):
    children = [house.child("a"), house.child("b", restart="temporary"), house.child("c")]
    await house.start(house.supervisor("penpay", "rest_for_one", *children))
    house.take()
    house.tell("a", "boom")
    await until(lambda: "+c" in house.journal)
    assert house.take() == ["!a", "-c", "-b", "+a", "+c"]


async def test_a_significant_child_takes_its_supervisor_along(house, until):
    lease = house.child("lease", restart="transient", significant=True)
    inner = house.supervisor("inner", "rest_for_one", lease, house.child("b"), restart="transient")
    tree = await house.start(house.supervisor("penpay", "one_for_one", inner, house.child("c")))
    house.take()
    house.tell("inner/lease", ("exit", "lease_lost"))
    await until(lambda: tree.describe()["children"][0]["state"] == "done")
    assert house.take() == ["-lease", "-b"]
    assert await house.ask("c", "hello") == "hello"


async def test_a_child_that_does_not_stop_in_time_is_killed_and_its_asker_answered(house):
    tree = await house.start(house.supervisor("penpay", "one_for_one", house.child("a", shutdown_s=0.01)))
    asking = asyncio.ensure_future(house.ask("a", "sleep", timeout_s=60))
    await asyncio.sleep(0.001)
    await tree.stop()
    with pytest.raises(Exception, match="a#1"):
        await asking
    assert house.take() == ["+a"]


@pytest.mark.parametrize("last", ["boom", "sleep"])
async def test_a_stop_that_an_incarnation_did_not_live_to_see_ends_no_other(house, last):
    class Slow(Worker):
        async def on_receive(self, message):
            if message == "boom":
                await asyncio.sleep(0.01)
            return await super().on_receive(message)

    spec = house.child("a", kind=Slow, restart="transient", shutdown_s=0.05)
    tree = await house.start(house.supervisor("penpay", "one_for_one", spec))
    house.tell("a", last)
    await asyncio.sleep(0.001)
    await tree.restart("a")
    assert await house.ask("a", "incarnation") == 2
    assert await house.ask("a", "incarnation") == 2
    assert "-a" not in house.take()


async def test_an_abandoned_incarnation_serves_nobody_any_more(house, until, monkeypatch):
    monkeypatch.setattr(cell, "KILL_GRACE_S", 0.01)
    lets_go = asyncio.Event()

    class Stubborn(Worker):
        async def on_receive(self, message):
            if message == "hold":
                while not lets_go.is_set():
                    with suppress(asyncio.CancelledError):
                        await lets_go.wait()
                self.journal.append("let go")
            elif message == "defer":
                self.defer()
                return DEFER
            return await super().on_receive(message)

    spec = house.child("a", kind=Stubborn, shutdown_s=0.01)
    tree = await house.start(house.supervisor("penpay", "one_for_one", spec))
    deferred = asyncio.ensure_future(house.ask("a", "defer", timeout_s=60))
    await asyncio.sleep(0.001)
    house.tell("a", "hold")
    await asyncio.sleep(0.001)
    await tree.restart("a")
    with pytest.raises(ActorKilled):
        await deferred
    lets_go.set()
    await until(lambda: "let go" in house.journal)
    assert [await house.ask("a", "incarnation") for _ in range(3)] == [2, 2, 2]
    assert tree.describe()["children"][0]["state"] == "running"


async def test_an_emptied_mailbox_answers_as_the_class_says(house, until):
    class Ledger(Worker):
        @classmethod
        def on_abandoned(cls, message):
            return LookupError(f"unknown outcome of {message}")

    spec = house.child("a", kind=Ledger, keep_mailbox=False)
    tree = await house.start(house.supervisor("penpay", "one_for_one", spec))
    house.tell("a", "boom")
    asking = asyncio.ensure_future(house.ask("a", "unit 1"))
    house.tell("a", "told")
    with pytest.raises(LookupError, match="unit 1"):
        await asking
    assert await house.ask("a", "memory") == []
    assert [letter.message for letter in tree.system.dead_letters.ring] == ["boom", "told"]


async def test_a_stuck_actor_is_killed_and_restarted(house, until):
    class Sticks(Worker):
        STALL_AFTER_S = 0.01

    spec = house.child("a", kind=Sticks)
    tree = await house.start(house.supervisor("penpay", "one_for_one", spec), stall_check_s=0.005)
    house.tell("a", "sleep")
    assert await house.ask("a", "incarnation") == 2
    assert "stalled" in tree.describe()["children"][0]["last_failure"]


async def test_who_asks_an_abandoned_actor_while_it_is_stopped_for_it_is_answered_at_once(house, until):
    class Ledger(Worker):
        @classmethod
        def on_abandoned(cls, message):
            return LookupError(f"unknown outcome of {message}")

    class User(Worker):
        async def on_stop(self):
            try:
                await house.ask("ledger", "unit 2", timeout_s=60)
            except LookupError as error:
                house.journal.append(str(error))

    ledger = house.child("ledger", kind=Ledger, keep_mailbox=False)
    user = house.child("user", kind=User, shutdown_s=None)
    await house.start(house.supervisor("penpay", "rest_for_one", ledger, user))
    house.take()
    house.tell("ledger", "boom")
    await until(lambda: "+user" in house.journal)
    assert house.take() == ["!ledger", "unknown outcome of unit 2", "+ledger", "+user"]


async def test_supervised_singletons_are_in_pykkas_registry_while_they_live(house):
    tree = await house.start(house.supervisor("penpay", "one_for_one", house.child("a")))
    ref = tree.registry.cell("a").ref
    assert pykka.ActorRegistry.get_by_class(Worker) == [ref]
    await tree.stop()
    assert pykka.ActorRegistry.get_all() == []


class LostAtOnce(Worker):
    """Notices on its start that what it is for is gone."""

    async def on_start(self):
        await super().on_start()
        if self.incarnation == 1:
            self.exit("lease_lost")


async def test_a_child_that_is_ready_and_over_in_one_breath_is_not_taken_for_a_living_one(house, until):
    lease = house.child("lease", kind=LostAtOnce, restart="transient", significant=True)
    shard = house.supervisor("shard", "rest_for_one", lease, house.child("writer"), restart="permanent")
    tree = await house.start(house.supervisor("penpay", "one_for_one", shard))
    await until(lambda: tree.registry.cell("shard/writer") is None)
    assert tree.registry.cell("shard/lease") is None


async def test_the_readiness_of_an_earlier_incarnation_does_not_stop_the_clock_of_a_start(house, until):
    ready, stopped = asyncio.Event(), asyncio.Event()

    class Slow(Worker):
        async def on_start(self):
            await super().on_start()
            if self.name == "a" and self.incarnation == 2:
                await ready.wait()
            if self.name == "a" and self.incarnation == 3:
                await asyncio.Event().wait()

        async def on_stop(self):
            await super().on_stop()
            if self.name == "b":
                await stopped.wait()

    children = [house.child(name, Slow, start_timeout_s=0.1) for name in ("a", "b")]
    tree = await house.start(house.supervisor("penpay", "one_for_one", *children))
    house.tell("a", "boom")
    await until(lambda: house.journal[-1] == "+a")
    restarting = asyncio.ensure_future(tree.restart("penpay"))
    await until(lambda: house.journal[-1] == "-b")
    ready.set()  # the supervisor hears of it when it has started the next incarnation
    await tree.registry.cell("a").ready()
    stopped.set()
    async with asyncio.timeout(5):
        await restarting
    assert await house.ask("a", "incarnation") == 4
