"""Restart, stop and start by path, and what the tree shows."""

import asyncio

import pytest

from actors.base import NobodyObserves, NoSuchActor, Unavailable
from supervisors.root import CommandRefused


@pytest.fixture
async def tree(house):
    inner = house.supervisor("rails", "rest_for_one", house.child("lease"), house.child("session"))
    return await house.start(house.supervisor("penpay", "one_for_one", inner, house.child("edge"), max_restarts=1))


async def test_restart_answers_when_the_actor_is_ready_again(house, tree):
    await tree.restart("edge")
    assert house.take()[-2:] == ["-edge", "+edge"]
    assert await house.ask("edge", "incarnation") == 2


async def test_restart_takes_dependents_along(house, tree):
    house.take()
    await tree.restart("rails/lease")
    assert house.take() == ["-session", "-lease", "+lease", "+session"]


async def test_restart_of_a_supervisor_restarts_all_below_it(house, tree):
    house.take()
    await tree.restart("rails")
    assert house.take() == ["-session", "-lease", "+lease", "+session"]


@pytest.mark.parametrize("path", ["penpay", "", "/penpay/"])
async def test_restart_of_the_root_restarts_everything(house, tree, path):
    house.take()
    await tree.restart(path)
    assert house.take() == ["-edge", "-session", "-lease", "+lease", "+session", "+edge"]


async def test_an_operators_restarts_are_not_counted(house, tree):
    for _ in range(5):
        await tree.restart("edge")
    assert not tree.failed.done()


async def test_a_restart_under_way_refuses_another_of_the_same_path(house, tree):
    first = asyncio.ensure_future(tree.restart("rails"))
    await asyncio.sleep(0)
    with pytest.raises(CommandRefused):
        await tree.restart("rails")
    await first
    await tree.restart("rails")


async def test_a_stopped_actor_stays_away_until_started(house, tree):
    await tree.stop_child("edge")
    assert tree.describe()["children"][1]["state"] == "held"
    with pytest.raises(NoSuchActor):
        await house.ask("edge", "hello")
    await tree.start_child("edge")
    assert await house.ask("edge", "hello") == "hello"


async def test_stopping_an_actor_stops_its_dependents(house, tree):
    house.take()
    await tree.stop_child("rails/lease")
    assert house.take() == ["-session", "-lease"]
    await tree.start_child("rails/lease")
    assert house.take() == ["+lease", "+session"]


async def test_nobody_waits_for_what_stands_behind_one_that_a_person_stopped(house):
    rails = house.supervisor("rails", "rest_for_one", *(house.child(name) for name in ("lease", "session", "sender")))
    tree = await house.start(house.supervisor("penpay", "one_for_one", rails))
    await tree.stop_child("rails/session")
    house.take()
    await tree.restart("rails/lease", timeout_s=5.0)
    assert house.take() == ["-lease", "+lease"]
    for command in (tree.start_child, tree.restart):
        with pytest.raises(Unavailable, match="rails/session"):
            await command("rails/sender", timeout_s=5.0)
    await tree.start_child("rails/session", timeout_s=5.0)
    assert house.take() == ["+session", "+sender"]


async def test_a_path_that_nobody_has_is_named(house, tree):
    for path in ("nowhere", "rails/nobody", "no/such/path"):
        with pytest.raises(NoSuchActor):
            await tree.restart(path)


async def test_describe_shows_every_node_with_the_fields_of_the_contract(house, tree):
    house.tell("edge", "boom")
    assert await house.ask("edge", "incarnation") == 2
    root = tree.describe()
    assert root["path"] == "penpay"
    nodes = {}

    def walk(node):
        nodes[node["path"]] = node
        for child in node["children"]:
            walk(child)

    walk(root)
    assert set(nodes) == {"penpay", "rails", "rails/lease", "rails/session", "edge"}
    fields = {"path", "kind", "state", "restarts", "mailbox_depth", "oldest_message_s", "last_failure", "children"}
    assert all(fields <= set(node) for node in nodes.values())
    assert all(node["state"] == "running" for node in nodes.values())
    assert nodes["edge"]["restarts"] == 1
    assert "ValueError" in nodes["edge"]["last_failure"]
    assert nodes["edge"]["kind"] == "worker"


async def test_describe_shows_what_an_actor_says_of_itself_while_there_is_one(house, tree):
    assert tree.describe()["children"][1]["observed"] == {"remembers": 0}
    await tree.stop_child("edge")
    assert tree.describe()["children"][1]["observed"] == {}


async def test_the_mailbox_of_a_busy_actor_is_visible(house, tree, until):
    house.tell("edge", "sleep")
    await until(lambda: tree.registry.cell("edge").busy_since_s is not None)
    house.tell("edge", "waits")
    await until(lambda: tree.describe()["children"][1]["oldest_message_s"] > 0)
    assert tree.describe()["children"][1]["mailbox_depth"] == 1
    tree.registry.cell("edge").ref.kill()


async def test_a_tell_to_nobody_is_a_dead_letter(house, tree):
    house.tell("nowhere", "hello")
    letter = tree.system.dead_letters.ring[-1]
    assert (letter.address, letter.reason, letter.message) == ("nowhere", "no_such_actor", "hello")


async def test_the_census_counts_living_actors_and_waiting_messages(house, tree, until):
    house.tell("edge", "sleep")
    await until(lambda: tree.registry.cell("edge").busy_since_s is not None)
    house.tell("edge", "waits")
    counted = tree.census()
    assert (counted["worker"].alive, counted["worker"].mailbox_depth) == (3, 1)
    assert counted["supervisor"].alive == 2
    tree.registry.cell("edge").ref.kill()


async def test_the_observer_hears_what_happens(house, until):
    class Notes(NobodyObserves):
        def __init__(self):
            self.notes = []

        def handled(self, kind, message, seconds):
            self.notes.append(("handled", kind, message, seconds >= 0))

        def failed(self, kind, message):
            self.notes.append(("failed", kind, message))

        def restarted(self, supervisor, reason):
            self.notes.append(("restarted", supervisor, reason))

        def dead_letter(self, kind, reason):
            self.notes.append(("dead_letter", kind, reason))

        def escalated(self, supervisor):
            self.notes.append(("escalated", supervisor))

    notes = Notes()
    spec = house.supervisor("penpay", "one_for_one", house.child("a"), max_restarts=1)
    tree = await house.start(spec, observer=notes)
    house.tell("a", "hello")
    house.tell("a", "boom")
    assert await house.ask("a", "incarnation") == 2
    house.tell("a", "boom")
    await asyncio.wait_for(tree.failed, 5)
    heard = [note for note in notes.notes if note[1] in ("worker", "")]
    assert heard == [
        ("handled", "worker", "str", True),
        ("failed", "worker", "str"),
        ("dead_letter", "worker", "crash"),
        ("handled", "worker", "str", True),
        ("restarted", "", "crash"),
        ("handled", "worker", "str", True),
        ("failed", "worker", "str"),
        ("dead_letter", "worker", "crash"),
        ("handled", "worker", "str", True),
        ("escalated", ""),
    ]


async def test_an_ordered_restart_is_counted_where_the_tree_counts_it(house):
    class Notes(NobodyObserves):
        def __init__(self):
            self.restarts = []

        def restarted(self, supervisor, reason):
            self.restarts.append((supervisor, reason))

    notes = Notes()
    edge = house.supervisor("edge", "rest_for_one", house.child("a"), house.child("b"))
    tree = await house.start(house.supervisor("penpay", "one_for_one", edge), observer=notes)
    await tree.restart("edge/a")
    assert [child["restarts"] for child in tree.describe()["children"][0]["children"]] == [1, 1]
    assert notes.restarts == [("edge", "ordered"), ("edge", "ordered")]
