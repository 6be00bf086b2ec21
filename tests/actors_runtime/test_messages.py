"""What happens to a message: delivered, refused, expired, dropped — never lost unseen."""

import asyncio
import threading

import pykka
import pytest

from actors.base import (
    BARE,
    DEFER,
    ActorCrashed,
    ActorGone,
    ActorKilled,
    AskCycle,
    AskTimeout,
    AsyncioActor,
    Context,
    EntityActor,
    MailboxFull,
    Unavailable,
    WouldBlockLoop,
    current_context,
    use_loop,
    with_context,
)


class Behaviour:
    """What the actors below do, by the name of the message."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.gate = asyncio.Event()

    async def on_receive(self, message):
        self.seen.append(message)
        match message:
            case "boom":
                raise ValueError("boom")
            case "base":
                raise KeyboardInterrupt
            case "leak":
                cancelled = asyncio.get_running_loop().create_future()
                cancelled.cancel()
                await cancelled
            case "away":
                raise Unavailable("database", 2.0)
            case "wait":
                await self.gate.wait()
            case "seen":
                return list(self.seen)
            case "open":
                self.gate.set()
            case "context":
                return current_context()
            case "future":
                return self.actor_ref.ask("seen", block=False)
            case ("forward", ref, inner):
                return await ref.aask(inner, 2.0)
            case ("later", _):
                self.reply = self.defer()
                return DEFER
            case ("answer", value):
                self.reply.set(value)
        return message


class Resident(Behaviour, AsyncioActor):
    pass


class Entity(Behaviour, EntityActor):
    pass


@pytest.fixture(params=[Resident, Entity])
async def ref(request):
    ref = request.param.start()
    await ref.ready()
    yield ref
    if ref.is_alive():
        ref.kill()
        await ref.shutdown(1.0)


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_messages_of_one_sender_arrive_in_order(ref):
    for number in range(50):
        ref.tell(number)
    assert await ref.aask("seen") == [*range(50), "seen"]


async def test_an_exception_under_ask_reaches_the_asker_and_ends_the_actor(ref):
    with pytest.raises(ValueError, match="boom"):
        await ref.aask("boom")
    await ref.shutdown(1.0)
    assert not ref.is_alive()


async def test_a_base_exception_stays_inside_its_actor(ref):
    bystander = Resident.start()
    with pytest.raises(ActorCrashed) as caught:
        await ref.aask("base")
    assert isinstance(caught.value.cause, KeyboardInterrupt)
    assert await bystander.aask("still here") == "still here"
    await bystander.shutdown()


async def test_a_leaked_cancellation_is_an_ordinary_crash(ref):
    with pytest.raises(ActorCrashed) as caught:
        await ref.aask("leak")
    assert isinstance(caught.value.cause, asyncio.CancelledError)
    assert not asyncio.current_task().cancelling()


async def test_an_unavailable_dependency_is_answered_and_the_actor_lives_on(ref):
    with pytest.raises(Unavailable):
        await ref.aask("away")
    ref.tell("away")
    assert await ref.aask("seen") == ["away", "away", "seen"]
    assert BARE.dead_letters.ring[-1].reason == "unavailable"


async def test_a_full_mailbox_refuses_at_once_but_lets_a_stop_in(ref):
    ref.tell("wait")
    await turns()
    bound = ref.actor_inbox.mailbox_max
    for number in range(bound):
        ref.tell(number)
    with pytest.raises(MailboxFull):
        ref.tell("one more")
    with pytest.raises(MailboxFull):
        await ref.aask("one more")
    stopping = ref.stop(block=False)
    ref._cell.actor.gate.set()
    assert await stopping is True


async def test_an_ask_past_its_deadline_is_not_executed(ref):
    ref.tell("wait")
    await turns()
    with pytest.raises(AskTimeout):
        await ref.aask("too late", 0.01)
    ref._cell.actor.gate.set()
    assert "too late" not in await ref.aask("seen")


async def test_an_ask_time_out_is_pykkas_timeout(ref):
    ref.tell("wait")
    with pytest.raises(pykka.Timeout):
        await ref.aask("x", 0.01)


async def test_asking_in_a_circle_is_refused_instead_of_waited_for(ref):
    other = Resident.start()
    with pytest.raises(AskCycle):
        await ref.aask(("forward", other, ("forward", ref, "x")))
    assert not other.is_alive()  # the bug is the asker's: it crashed
    await other.shutdown()


async def test_asking_oneself_is_refused(ref):
    with pytest.raises(AskCycle):
        await ref.aask(("forward", ref, "x"))


async def test_an_actor_asks_only_downwards():
    class Low(Resident):
        LEVEL = 2

    class High(Resident):
        LEVEL = 4

    low, high = Low.start(), High.start()
    assert await high.aask(("forward", low, "x")) == "x"
    with pytest.raises(AskCycle):
        await low.aask(("forward", high, "x"))
    await high.shutdown()


async def test_a_blocking_call_on_the_loop_is_refused_and_sends_nothing(ref):
    with pytest.raises(WouldBlockLoop):
        ref.ask("x")
    with pytest.raises(WouldBlockLoop):
        ref.stop()
    assert await ref.aask("seen") == ["seen"]
    with pytest.raises(WouldBlockLoop):
        ref.ask("later", block=False).get()


async def test_a_handler_may_answer_with_a_future_of_its_own(ref):
    inner = await ref.aask("future")
    assert "future" in await inner


async def test_other_threads_tell_and_ask_blockingly(ref):
    loop = asyncio.get_running_loop()
    answers = []

    def thread():
        for number in range(20):
            ref.tell(number)
        answers.append(ref.ask("seen", timeout=5))

    await loop.run_in_executor(None, thread)
    assert answers == [[*range(20), "seen"]]


@pytest.mark.parametrize("kind", [Resident, Entity])
async def test_an_actor_started_from_a_thread_runs_on_the_named_loop(kind):
    loop = asyncio.get_running_loop()
    use_loop(loop)
    try:
        ref = await loop.run_in_executor(None, kind.start)
        assert await ref.aask("hello") == "hello"
        await ref.shutdown()
    finally:
        use_loop(None)


async def test_the_context_travels_with_the_message_and_no_further(ref):
    about = Context(transaction_id="T1", request_id="R1")
    with with_context(about):
        assert await ref.aask("context") == about
    assert current_context() is None
    assert await ref.aask("context") is None


async def test_the_context_goes_on_to_the_next_actor(ref):
    second = Resident.start()
    about = Context(user_id="U1")
    with with_context(about):
        assert await ref.aask(("forward", second, "context")) == about
    await second.shutdown()


async def test_a_deferred_reply_lets_the_actor_go_on(ref):
    later = asyncio.ensure_future(ref.aask(("later", 1)))
    await turns()
    assert await ref.aask(("answer", 42)) == ("answer", 42)
    assert await later == 42


async def test_open_replies_are_answered_when_the_actor_crashes(ref):
    later = asyncio.ensure_future(ref.aask(("later", 1)))
    await turns()
    ref.tell("boom")
    with pytest.raises(ActorCrashed):
        await later


async def test_open_replies_are_answered_when_the_actor_is_killed(ref):
    later = asyncio.ensure_future(ref.aask(("later", 1)))
    await turns()
    ref.kill()
    with pytest.raises(ActorKilled):
        await later


async def test_the_asker_of_a_killed_actor_is_answered(ref):
    asking = asyncio.ensure_future(ref.aask("wait"))
    queued = asyncio.ensure_future(ref.aask("never begun"))
    await turns()
    ref.kill()
    with pytest.raises(ActorKilled):
        await asking
    with pytest.raises(ActorKilled):
        await queued


async def test_what_a_stop_leaves_in_the_mailbox_is_answered_or_recorded(ref):
    ref.tell("wait")
    await turns()
    stopping = ref.stop(block=False)
    queued = asyncio.ensure_future(ref.aask("after the stop"))
    ref.tell("told after the stop")
    await turns()
    ref._cell.actor.gate.set()
    assert await stopping
    with pytest.raises(pykka.ActorDeadError):
        await queued
    assert BARE.dead_letters.ring[-1].message == "told after the stop"


async def test_a_dead_reference_refuses_at_once(ref):
    await ref.shutdown()
    with pytest.raises(ActorGone):
        ref.tell("x")
    with pytest.raises(ActorGone):
        await ref.aask("x")
    assert await ref.stop(block=False) is False


async def test_a_crashed_tell_becomes_a_dead_letter(ref):
    ref.tell("boom")
    while ref.is_alive():
        await asyncio.sleep(0)
    assert (BARE.dead_letters.ring[-1].message, BARE.dead_letters.ring[-1].reason) == ("boom", "crash")


async def test_racing_asks_and_stops_from_threads_all_end():
    """The check-then-put race of plain Pykka: an ask put after the teardown would never be answered."""
    loop = asyncio.get_running_loop()
    ends = []

    def hammer(ref, start):
        start.wait()
        for _ in range(200):
            try:
                ends.append(ref.ask("x", timeout=10))
            except pykka.ActorDeadError:
                ends.append("dead")
                return

    for _ in range(10):
        ref = Resident.start()
        start = threading.Event()
        threads = [loop.run_in_executor(None, hammer, ref, start) for _ in range(3)]
        start.set()
        await asyncio.sleep(0.001)
        await ref.shutdown()
        await asyncio.wait_for(asyncio.gather(*threads), 10)
    assert ends.count("dead") == 30


async def test_the_mailbox_keeps_all_letters_of_many_threads(ref):
    loop = asyncio.get_running_loop()
    ref.actor_inbox.mailbox_max = 10_000

    def send(sender):
        for number in range(1000):
            ref.tell((sender, number))

    await asyncio.gather(*(loop.run_in_executor(None, send, sender) for sender in range(4)))
    seen = await ref.aask("seen")
    for sender in range(4):
        assert [number for who, number in seen[:-1] if who == sender] == list(range(1000))
