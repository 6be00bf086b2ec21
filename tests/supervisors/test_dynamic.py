"""Children that a plan names: started, kept, stopped, and back after a lost lease."""

import asyncio

import pytest

from actors.base import NoSuchActor, Unavailable
from supervisors.specs import DynamicSpec
from tests.supervisors.conftest import SOON


class Plan:
    """What the next question is answered with."""

    def __init__(self, house):
        self.house = house
        self.names = []
        self.away = 0
        self.asked = 0

    async def __call__(self):
        self.asked += 1
        if self.away:
            self.away -= 1
            raise Unavailable("database")
        return [self.shard(name) for name in self.names]

    def shard(self, name):
        house = self.house
        lease = house.child(f"lease{name}", restart="transient", significant=True)
        return house.supervisor(name, "rest_for_one", lease, house.child(f"ledger{name}"))


@pytest.fixture
def plan(house):
    return Plan(house)


@pytest.fixture
def shards(house, plan):
    async def shards(*names, away=0):
        plan.names = list(names)
        plan.away = away
        spec = DynamicSpec(name="shards", plan=plan, replan_s=0.002, backoff=SOON)
        return await house.start(house.supervisor("penpay", "one_for_one", spec, house.child("edge")))

    return shards


async def test_the_plans_children_are_ready_before_later_siblings_start(house, shards):
    await shards("0", "1")
    assert house.journal[-1] == "+edge"
    assert set(house.journal) == {"+lease0", "+ledger0", "+lease1", "+ledger1", "+edge"}
    assert await house.ask("shards/1/ledger1", "hello") == "hello"


async def test_a_plan_that_is_not_available_at_the_start_is_waited_for(house, plan, shards):
    await shards("0", away=3)
    assert plan.asked >= 4
    assert await house.ask("shards/0/ledger0", "hello") == "hello"


async def test_a_plan_that_goes_away_later_keeps_what_there_is(house, plan, shards, until):
    await shards("0")
    plan.away = 3
    plan.names = ["0", "1"]
    asked = plan.asked
    await until(lambda: plan.asked > asked + 2)
    assert await house.ask("shards/0/ledger0", "incarnation") == 1
    await until(lambda: "+ledger1" in house.journal)


async def test_names_that_the_plan_drops_are_stopped(house, plan, shards, until):
    await shards("0", "1")
    plan.names = ["1"]
    await until(lambda: "-lease0" in house.journal)
    with pytest.raises(NoSuchActor):
        await house.ask("shards/0/ledger0", "hello")
    assert await house.ask("shards/1/ledger1", "incarnation") == 1


async def test_a_lost_lease_removes_the_shard_until_the_plan_names_it_again(house, plan, shards, until):
    tree = await shards("0", "1")
    plan.names = ["1"]
    house.take()
    house.tell("shards/0/lease0", ("exit", "lease_lost"))
    await until(lambda: [node["path"] for node in tree.describe()["children"][0]["children"]] == ["shards/1"])
    assert house.take() == ["-lease0", "-ledger0"]
    plan.names = ["0", "1"]
    await until(lambda: "+ledger0" in house.journal)
    assert not tree.failed.done()


async def test_a_crash_in_a_shard_restarts_that_shard_only(house, plan, shards, until):
    await shards("0", "1")
    house.take()
    house.tell("shards/0/lease0", "boom")
    await until(lambda: "+ledger0" in house.journal)
    assert house.take() == ["!lease0", "-ledger0", "+lease0", "+ledger0"]


async def test_a_shard_that_breaks_at_its_start_does_not_keep_the_others_away(house, plan, shards, until):
    house.faults["ledger0"] = [RuntimeError("corrupt"), RuntimeError("corrupt")]
    await shards("0", "1")
    assert await house.ask("shards/1/ledger1", "hello") == "hello"
    await until(lambda: house.journal.count("+ledger0") == 3)
    await asyncio.sleep(0)
    assert await house.ask("shards/0/ledger0", "hello") == "hello"
