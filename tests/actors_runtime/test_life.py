"""Start, end, timers, child tasks and death watch of bare actors."""

import asyncio
from contextvars import ContextVar

import pytest

from actors.base import AsyncioActor, EntityActor, StartFailed, Terminated, Unavailable
from actors.runtime.timers import Timer
from tests.harness.rings import rings


class Recorder:
    """Notes its hooks in a list that outlives it."""

    def __init__(self, log, *, on_start=None):
        super().__init__()
        self.log = log
        self.start_with = on_start
        self.ready_gate = asyncio.Event()

    async def on_start(self):
        self.log.append("start")
        if self.start_with == "gate":
            await self.ready_gate.wait()
        elif self.start_with is not None:
            raise self.start_with

    async def on_stop(self):
        self.log.append("stop")

    async def on_failure(self, exception_type, exception_value, traceback):
        self.log.append(f"failure {exception_type.__name__}")

    def on_incarnation_over(self):
        self.log.append("over")

    async def on_receive(self, message):
        match message:
            case ("watch", ref):
                self.watch(ref)
            case ("timer", key, delay_s):
                self.timers.once(key, delay_s, f"timer {key}")
            case ("every", key, delay_s):
                self.timers.every(key, delay_s, f"tick {key}")
            case ("cancel", key):
                self.timers.cancel(key)
            case ("spawn", coro):
                self.spawn(coro, name="child")
            case ("exit", reason):
                self.exit(reason)
            case "boom":
                raise ValueError("boom")
            case "sleep":
                await asyncio.Event().wait()
            case Terminated():
                self.log.append(message)
            case str():
                self.log.append(message)
        return message


class Resident(Recorder, AsyncioActor):
    pass


class Entity(Recorder, EntityActor):
    pass


@pytest.fixture(params=[Resident, Entity])
def kind(request):
    return request.param


@pytest.fixture
def log():
    return []


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_ready_waits_for_on_start_and_messages_wait_too(kind, log):
    ref = kind.start(log, on_start="gate")
    ref.tell("early")
    waiting = asyncio.ensure_future(ref.ready())
    await until(lambda: log == ["start"])
    assert not waiting.done()
    ref._cell.actor.ready_gate.set()
    await waiting
    await until(lambda: log == ["start", "early"])
    await ref.shutdown()


async def test_a_failed_start_is_told_to_whoever_waits_and_runs_no_hook(kind, log):
    ref = kind.start(log, on_start=RuntimeError("no"))
    with pytest.raises(StartFailed) as caught:
        await ref.ready()
    assert isinstance(caught.value.cause, RuntimeError)
    assert log == ["start", "over"]
    assert not ref.is_alive()


async def test_asks_that_wait_for_a_failed_start_are_answered(kind, log):
    ref = kind.start(log, on_start=Unavailable("database"))
    with pytest.raises(Unavailable):  # ActorGone is one
        await ref.aask("x")


async def test_shutdown_finishes_the_current_message_and_runs_on_stop(kind, log):
    ref = kind.start(log)
    assert await ref.aask("one") == "one"
    await ref.shutdown()
    assert log == ["start", "one", "stop", "over"]


async def test_shutdown_kills_what_does_not_end_in_time(kind, log):
    ref = kind.start(log)
    asking = asyncio.ensure_future(ref.aask("sleep", 30))
    await until(lambda: ref._cell.busy_since_s is not None)
    await ref.shutdown(0.01)
    assert log == ["start", "over"]
    assert not ref.is_alive()
    with pytest.raises(Exception, match="#1"):
        await asking


async def test_a_crash_runs_on_failure_instead_of_on_stop(kind, log):
    ref = kind.start(log)
    ref.tell("boom")
    await until(lambda: "over" in log)
    assert log == ["start", "failure ValueError", "over"]


async def test_exit_ends_the_actor_after_the_current_message(kind, log):
    ref = kind.start(log)
    assert await ref.aask(("exit", "normal")) == ("exit", "normal")
    await until(lambda: not ref.is_alive())
    assert log == ["start", "stop", "over"]


async def test_threads_that_wait_for_the_end_of_an_actor_are_told(kind, log):
    ref = kind.start(log)
    assert not ref.actor_stopped.wait(0)
    loop = asyncio.get_running_loop()
    waiting = [loop.run_in_executor(None, ref.actor_stopped.wait, 5) for _ in range(2)]
    await ref.shutdown()
    assert await asyncio.gather(*waiting) == [True, True]
    assert ref.actor_stopped.wait(0)


async def test_a_thread_that_asks_after_the_end_of_an_actor_does_not_wait(kind, log):
    ref = kind.start(log)
    await ref.shutdown()
    assert ref.actor_stopped.wait(0)


async def test_killing_a_starting_actor_breaks_its_start_off(kind, log):
    ref = kind.start(log, on_start="gate")
    await until(lambda: log == ["start"])
    ref.kill()
    with pytest.raises(StartFailed):
        await ref.ready()
    assert log == ["start", "over"]


async def test_a_timer_fires_once(kind, log):
    ref = kind.start(log)
    await ref.aask(("timer", "a", 0.001))
    await until(lambda: "timer a" in log)
    assert len(ref._cell.actor.timers) == 0
    await ref.shutdown()


async def test_a_timer_that_fired_is_freed_without_the_collector(kind, log):
    ref = kind.start(log)
    with rings() as left:
        await ref.aask(("timer", "a", 0.001))
        await ref.aask(("every", "b", 0.001))
        await until(lambda: "timer a" in log and log.count("tick b") > 2)
        await ref.aask(("cancel", "b"))
    assert not [one for one in left if isinstance(one, Timer | asyncio.TimerHandle)]
    await ref.shutdown()


async def test_a_repeating_timer_goes_on_until_cancelled(kind, log):
    ref = kind.start(log)
    await ref.aask(("every", "a", 0.001))
    await until(lambda: log.count("tick a") >= 3)
    await ref.aask(("cancel", "a"))
    count = log.count("tick a")
    await asyncio.sleep(0.02)
    assert log.count("tick a") == count
    await ref.shutdown()


async def test_rearming_a_key_replaces_the_earlier_timer(kind, log):
    ref = kind.start(log)
    await ref.aask(("timer", "a", 60))
    await ref.aask(("timer", "a", 0.001))
    await until(lambda: "timer a" in log)
    assert log.count("timer a") == 1
    await ref.shutdown()


async def test_a_cancelled_timer_whose_message_already_waits_is_dropped(kind, log):
    ref = kind.start(log)
    await ref.aask("one")
    cell = ref._cell
    cell.actor.timers.once("a", 60, "timer a")
    timer = cell.actor.timers._armed["a"]
    cell.actor.timers._fire(timer)
    cell.actor.timers.cancel("a")
    await ref.aask("two")
    assert "timer a" not in log
    await ref.shutdown()


async def test_child_tasks_are_cancelled_and_awaited_on_stop(kind, log):
    async def child():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            log.append("child ended")

    ref = kind.start(log)
    await ref.aask(("spawn", child()))
    await asyncio.sleep(0)
    await ref.shutdown()
    assert log == ["start", "stop", "child ended", "over"]


async def test_an_exception_in_a_child_task_crashes_the_actor(kind, log):
    async def child():
        raise LookupError("child")

    ref = kind.start(log)
    await ref.aask(("spawn", child()))
    await until(lambda: not ref.is_alive())
    assert log == ["start", "failure LookupError", "over"]


async def test_a_child_task_may_ask_its_own_actor(kind, log):
    answers = []
    ref = kind.start(log)

    async def child():
        answers.append(await ref.aask("from my child"))

    await ref.aask(("spawn", child()))
    await until(lambda: answers == ["from my child"])
    await ref.shutdown()


async def test_a_watcher_is_told_of_the_end(kind, log):
    watcher = Resident.start([])
    ref = kind.start(log)
    await watcher.aask(("watch", ref))
    ref.tell("boom")
    seen = watcher._cell.actor.log
    await until(lambda: any(isinstance(each, Terminated) for each in seen))
    assert (seen[-1].ref, seen[-1].reason, seen[-1].incarnation) == (ref, "crash", 1)
    await watcher.shutdown()


async def test_watching_the_dead_tells_at_once(kind, log):
    ref = kind.start(log)
    await ref.shutdown()
    watcher = Resident.start([])
    await watcher.aask(("watch", ref))
    seen = watcher._cell.actor.log
    await until(lambda: any(isinstance(each, Terminated) for each in seen))
    assert seen[-1].reason == "shutdown"
    await watcher.shutdown()


async def test_an_idle_entity_has_no_task_and_a_resident_one_has():
    entity, resident = Entity.start([]), Resident.start([])
    await entity.aask("x")
    await resident.aask("x")
    assert entity._cell.task is None
    assert resident._cell.task is not None
    await resident.shutdown()


async def test_actors_do_not_inherit_the_context_of_whoever_woke_them():
    secret = ContextVar("secret", default="none")
    seen = []

    class Looks(EntityActor):
        async def on_receive(self, message):
            seen.append(secret.get())

    ref = Looks.start()
    secret.set("mine")
    await ref.aask("x")
    assert seen == ["none"]


async def test_a_busy_actor_lets_others_run(kind, log):
    ref = kind.start(log)
    await ref.ready()
    for number in range(64):
        ref.tell(f"m{number}")
    # Queued after 64 tells and before the rest: it must get its turn before the second 64 are through.
    witness = asyncio.get_running_loop().create_future()

    async def other():
        witness.set_result(len(log))

    task = asyncio.ensure_future(other())
    await task
    assert witness.result() <= 65
    await ref.shutdown()


async def test_a_report_overtakes_the_mailbox_even_when_it_is_full(kind, log):
    ref = kind.start(log, on_start="gate")
    await until(lambda: log == ["start"])
    for number in range(ref.actor_inbox.mailbox_max):
        ref.tell(f"m{number}")
    ref._cell.actor.report("from a child")
    ref._cell.actor.ready_gate.set()
    await until(lambda: len(log) > 2)
    assert log[1] == "from a child"
    await ref.shutdown()


async def test_a_report_of_an_ended_incarnation_is_dropped(kind, log):
    ref = kind.start(log)
    await ref.ready()
    actor = ref._cell.actor
    await ref.shutdown()
    actor.report("late")
    assert log == ["start", "stop", "over"]
