"""What a dead incarnation still does is nobody's: it reaches neither the loop nor its successor."""

import asyncio
import gc
import warnings

import pytest

from actors.base import ActorKilled, ActorSystem, AsyncioActor, Cell, EntityActor, State
from actors.runtime import cell as cells


class Notes:
    """Notes what it receives in a list that outlives it; `first_start` is awaited by the first incarnation only."""

    def __init__(self, notes, first_start=None):
        super().__init__()
        self.notes = notes
        self.first_start = first_start

    async def on_start(self):
        if self.first_start is not None and self.incarnation == 1:
            await self.first_start()

    async def on_failure(self, exception_type, exception_value, traceback):
        self.notes.append(f"failure {exception_type.__name__}")

    async def on_receive(self, message):
        if message == "boom":
            raise ValueError(message)
        if isinstance(message, tuple):
            self.spawn(message[1], name="child")
            return
        self.notes.append(message)


class Resident(Notes, AsyncioActor):
    pass


class Entity(Notes, EntityActor):
    pass


class Owner:
    """Starts again whatever broke, at once."""

    address = "house"

    def __init__(self, kind, *arguments, again=True):
        self.again = again
        self.ready = []
        self.exits = []
        self.cell = Cell(
            kind,
            system=ActorSystem(),
            loop=asyncio.get_running_loop(),
            recipe=lambda _: (kind, arguments),
            owner=self,
            name="a",
        )

    def child_ready(self, cell):
        self.ready.append(cell.incarnation)

    def child_exited(self, cell, ending):
        self.exits.append(ending.reason)
        if self.again:
            cell.launch()
        else:
            cell.finish(ending)

    async def end(self):
        self.again = False
        if self.cell.state is State.WAITING:
            self.cell.finish(self.cell.last_exit)
        await self.cell.shutdown(1.0)


@pytest.fixture(params=[Resident, Entity])
def kind(request):
    return request.param


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_nothing_that_a_child_task_raises_reaches_the_loop_and_all_of_it_crashes_the_actor(kind, error):
    notes = []

    async def child():
        await asyncio.sleep(0)
        raise error("child")

    async def scene():
        ref = kind.start(notes)
        ref.tell(("spawn", child()))
        await until(lambda: not ref.is_alive())

    asyncio.run(scene())
    assert notes == ["failure ActorCrashed"]


@pytest.mark.filterwarnings("error")
async def test_a_child_task_that_never_began_leaves_no_coroutine_behind(kind):
    async def child():
        raise AssertionError

    owner = Owner(kind, [], again=False)
    owner.cell.launch()
    await owner.cell.ready()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        task = owner.cell.actor.spawn(child(), name="child")
        task.cancel()
        await asyncio.wait([task])
        gc.collect()
    assert not caught
    await owner.end()


async def test_a_timer_set_by_a_dead_incarnation_never_fires(kind):
    notes = []
    owner = Owner(kind, notes)
    owner.cell.launch()
    await owner.cell.ready()
    dead = owner.cell.actor
    owner.cell.ref.tell("boom")
    await until(lambda: owner.cell.incarnation == 2 and owner.cell.state is State.RUNNING)
    dead.timers.once("late", 0.001, "from the dead")
    owner.cell.actor.timers.once("mine", 0.005, "from the living")
    await until(lambda: "from the living" in notes)
    assert notes == ["failure ValueError", "from the living"]
    await owner.end()


async def test_a_timer_set_between_two_incarnations_takes_none_from_the_next(kind):
    notes = []
    owner = Owner(kind, notes)
    owner.cell.launch()
    await owner.cell.ready()
    dead = owner.cell.actor
    restart = owner.child_exited

    def late(cell, ending):
        dead.timers.once("late", 60, "from the dead")
        restart(cell, ending)

    owner.child_exited = late
    owner.cell.ref.tell("boom")
    await until(lambda: owner.cell.incarnation == 2 and owner.cell.state is State.RUNNING)
    owner.cell.actor.timers.once("mine", 0.001, "from the living")
    await until(lambda: "from the living" in notes)
    await owner.end()


async def test_the_dead_neither_end_their_successor_nor_leave_it_tasks(kind):
    owner = Owner(kind, [])
    owner.cell.launch()
    await owner.cell.ready()
    dead = owner.cell.actor
    owner.cell.ref.tell("boom")
    await until(lambda: owner.cell.incarnation == 2 and owner.cell.state is State.RUNNING)
    dead.exit("normal")
    task = dead.spawn(asyncio.sleep(60), name="late")
    await asyncio.wait([task], timeout=1)
    assert task.cancelled()
    assert owner.cell.holds_nothing
    owner.cell.ref.tell("hello")
    await until(lambda: owner.cell.handled == 2)
    assert owner.cell.incarnation == 2
    await owner.end()


async def test_the_late_readiness_of_an_abandoned_start_makes_nobody_ready(kind, monkeypatch):
    monkeypatch.setattr(cells, "KILL_GRACE_S", 0.01)
    gate, second = asyncio.Event(), asyncio.Event()
    ended = []

    async def stubborn():
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue
        ended.append("first")

    class Gated(kind):
        async def on_start(self):
            if self.incarnation == 1:
                await stubborn()
            else:
                await second.wait()

    owner = Owner(Gated, [])
    owner.cell.launch()
    await asyncio.sleep(0)
    await owner.cell.shutdown(0)
    assert owner.cell.incarnation == 2
    gate.set()
    await until(lambda: ended == ["first"])
    await asyncio.sleep(0)
    assert (owner.cell.state, owner.ready) == (State.STARTING, [])
    second.set()
    await owner.cell.ready()
    assert owner.ready == [2]
    await owner.end()


async def test_an_abandoned_handler_does_not_take_the_current_message_from_the_next(monkeypatch):
    monkeypatch.setattr(cells, "KILL_GRACE_S", 0.01)
    gate = asyncio.Event()

    class Stubborn(AsyncioActor):
        async def on_receive(self, message):
            if message == "stubborn":
                while not gate.is_set():
                    try:
                        await gate.wait()
                    except asyncio.CancelledError:
                        continue
            else:
                await asyncio.Event().wait()

    owner = Owner(Stubborn)
    owner.cell.launch()
    await owner.cell.ready()
    owner.cell.ref.tell("stubborn")
    await until(lambda: owner.cell.current is not None)
    await owner.cell.shutdown(0)
    owner.cell.ref.tell("second")
    await until(lambda: owner.cell.current is not None and owner.cell.incarnation == 2)
    gate.set()
    await asyncio.sleep(0.005)
    assert owner.cell.current.message == "second"
    owner.again = False
    owner.cell.kill()
    await until(lambda: owner.cell.state is State.ENDED)


async def test_who_does_not_let_go_when_killed_is_abandoned_also_when_nobody_waits(kind, monkeypatch):
    monkeypatch.setattr(cells, "KILL_GRACE_S", 0.01)
    gate = asyncio.Event()

    class Stubborn(kind):
        async def on_receive(self, message):
            while self.incarnation == 1 and not gate.is_set():
                try:
                    await gate.wait()
                except asyncio.CancelledError:
                    continue
            self.notes.append((self.incarnation, message))

    notes = []
    owner = Owner(Stubborn, notes)
    owner.cell.launch()
    await owner.cell.ready()
    owner.cell.ref.tell("stuck")
    await until(lambda: owner.cell.current is not None)
    owner.cell.ref.tell("next")
    owner.cell.kill("stalled")
    await until(lambda: notes == [(2, "next")])
    assert owner.exits == ["stalled"]
    gate.set()
    await owner.end()


async def test_the_child_tasks_of_an_abandoned_incarnation_end_with_it_and_its_asker_is_answered(kind, monkeypatch):
    monkeypatch.setattr(cells, "KILL_GRACE_S", 0.01)
    gate, children = asyncio.Event(), []

    class Stubborn(kind):
        async def on_receive(self, message):
            children.append(self.spawn(asyncio.sleep(60), name="child"))
            while not gate.is_set():
                try:
                    await gate.wait()
                except asyncio.CancelledError:
                    continue

    owner = Owner(Stubborn, [], again=False)
    owner.cell.launch()
    await owner.cell.ready()
    asked = asyncio.ensure_future(owner.cell.ref.aask("stuck", timeout_s=60))
    await until(lambda: children)
    owner.cell.kill()
    await until(lambda: owner.cell.state is State.ENDED)
    await asyncio.wait([*children, asked], timeout=1)
    answered = asked.done()
    gate.set()
    assert children[0].cancelled()
    assert answered
    assert isinstance(asked.exception(), ActorKilled)


async def test_the_child_tasks_of_whoever_is_killed_before_its_next_burst_begins_end_with_it():
    owner = Owner(Entity, [], again=False)
    owner.cell.launch()
    await owner.cell.ready()
    child = owner.cell.actor.spawn(asyncio.sleep(60), name="child")
    owner.cell.ref.tell("hello")
    owner.cell.kill()
    await asyncio.wait([child], timeout=1)
    assert child.cancelled()
    assert owner.cell.state is State.ENDED
