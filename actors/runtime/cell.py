"""What stays of an actor while its incarnations come and go: reference, mailbox, address, and the state of its life.

    NEW ──launch──▶ STARTING ──on_start──▶ RUNNING ──▶ WAITING ──launch──▶ STARTING …
                        └──────── failed ────────────────▶ │ ──finish──▶ ENDED

Everything here happens on the loop's thread, except `post` and `notify`.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import Context as TaskContext
from math import isfinite
from typing import TYPE_CHECKING, Any

import pykka
from pykka.messages import _ActorStop

from actors.runtime import incarnation as life
from actors.runtime.context import Context
from actors.runtime.deathwatch import announce
from actors.runtime.envelope import Letter, Reply, Shutdown, Stamped
from actors.runtime.errors import ActorGone, ActorKilled, MailboxFull, StartFailed
from actors.runtime.exits import CRASH, KILLED, PASSIVATED, SHUTDOWN, START_FAILED, Exit, Owner
from actors.runtime.mailbox import ACCEPTED, FULL, Mailbox
from actors.runtime.ref import AsyncioActorRef
from actors.runtime.replies import DeferredReply
from actors.runtime.states import ENDED, NEW, RUNNING, STARTING, WAITING
from actors.runtime.system import ActorSystem, new_urn
from actors.runtime.undelivered import settle

if TYPE_CHECKING:
    from actors.base import RuntimeActor

Arguments = Sequence[Any] | Mapping[str, Any]
Blueprint = tuple[type["RuntimeActor"], Arguments]
"""Class and constructor arguments (positional, or by keyword) of one incarnation."""
Recipe = Callable[[str], Blueprint]  # by the actor's name, so that a host has one for all of its entities

KILL_GRACE_S = 5.0
"""How long a cancelled actor may take to let go before it is abandoned with an error in the log."""


class Cell:
    """One actor across its incarnations."""

    __slots__ = (
        "_ref", "_urn", "actor", "actor_class", "bound", "busy_since_s", "current", "exit_wanted", "handled",
        "incarnation", "kill_reason", "last_active_s", "last_exit", "loop", "mailbox", "name", "open_replies",
        "over_waiters", "owner", "ready_at_s", "ready_waiters", "recipe", "refusing", "state",
        "stop_event", "stop_reply", "stopped", "system", "task", "tasks", "waiter", "wake_posted", "watchers",
    )  # fmt: skip

    def __init__(
        self,
        actor_class: type["RuntimeActor"],
        *,
        system: ActorSystem,
        loop: asyncio.AbstractEventLoop,
        recipe: Recipe | None = None,
        owner: Owner | None = None,
        name: str = "",
        mailbox_max: int | None = None,
    ) -> None:
        self.actor_class = actor_class
        self.system = system
        self.loop = loop
        self.recipe = recipe
        self.owner = owner
        self.name = name
        self.mailbox: Mailbox = actor_class._create_actor_inbox()  # noqa: SLF001 - Pykka's extension point
        if mailbox_max is not None:
            self.mailbox.mailbox_max = mailbox_max
        self.mailbox.owner = self
        self.stopped = False
        self.stop_event: threading.Event | None = None
        self.actor: RuntimeActor | None = None
        self.state = NEW
        self.incarnation = 0
        self.handled = 0
        self.task: asyncio.Task[None] | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.wake_posted = False
        self.current: Letter | None = None
        self.busy_since_s: float | None = None
        self.bound: Context | None = None
        self.exit_wanted: str | None = None
        self.kill_reason: str | None = None
        self.last_exit: Exit | None = None
        self.last_active_s = self.ready_at_s = 0.0
        # Dictionaries for their order: it is the order in which these end, the same in every run.
        self.tasks: dict[asyncio.Task[Any], None] | None = None
        self.open_replies: dict[DeferredReply, None] | None = None
        self.watchers: dict[Cell, int] | None = None
        self.ready_waiters: list[asyncio.Future[None]] | None = None
        self.over_waiters: list[asyncio.Future[None]] | None = None
        self.stop_reply: Reply | None = None
        self.refusing = False
        self._urn: str | None = None
        self._ref: AsyncioActorRef | None = None

    @property
    def ref(self) -> AsyncioActorRef:
        """Made when somebody asks for it: two that hold each other wait for the collector in the end."""
        if self._ref is None:
            self._ref = AsyncioActorRef(self)
        return self._ref

    @property
    def urn(self) -> str:
        """Drawn when somebody asks for it."""
        if self._urn is None:
            self._urn = new_urn()
        return self._urn

    @property
    def address(self) -> str:
        """Tree path, empty for an actor that was started bare."""
        if self.owner is None or not self.owner.address:
            return self.name
        return f"{self.owner.address}/{self.name}"

    @property
    def crash_id(self) -> str:
        """Names this incarnation in errors and in the log."""
        return f"{self.address or self.urn}#{self.incarnation}"

    def __str__(self) -> str:
        return f"{self.actor_class.__name__} ({self.address or self.urn})"

    @property
    def idle(self) -> bool:
        """A live entity between bursts: no task, nothing queued."""
        return self.state is RUNNING and self.task is None and self.mailbox.empty()

    @property
    def holds_nothing(self) -> bool:
        """Nobody waits for this incarnation and it waits for nobody."""
        return not self.tasks and not any(reply.open for reply in self.open_replies or ())

    # --- life ---

    def launch(self) -> None:
        """Begin the next incarnation. The owner learns the result by `child_ready` or `child_exited`, later."""
        assert self.state in (NEW, WAITING), f"launch of {self} while {self.state}"
        self.incarnation += 1
        self.state = STARTING
        self.exit_wanted = self.kill_reason = None
        self.refusing = False
        if self.actor is None:  # a bare one is made, and registered, by its `start`
            if self.incarnation == 1 and self.actor_class.REGISTERED:
                pykka.ActorRegistry.register(self.ref)
            try:
                self._build()
            except Exception as error:  # noqa: BLE001 - boundary: a constructor's failure is a failed start, told to the owner
                self.actor = None
                self.loop.call_soon(self._not_built, self.incarnation, error)
                return
        if self.actor_class.RESIDENT or self.actor_class.STARTS:
            self.run(life.live(self))
        else:
            self.became_ready()
            if not self.mailbox.empty():
                self.wake()

    def _not_built(self, incarnation: int, error: Exception) -> None:
        if self.incarnation == incarnation and self.state is STARTING:
            self.over(Exit(START_FAILED, error))

    def _build(self) -> None:
        assert self.recipe is not None, "a bare actor has one incarnation"
        self.actor_class, arguments = self.recipe(self.name)
        if isinstance(arguments, Mapping):
            self.make((), arguments)
        else:
            self.make(arguments, {})

    def make(self, arguments: Sequence[Any], named: Mapping[str, Any]) -> None:
        """Make an incarnation's actor. Its constructor finds its cell instead of making one."""
        self.actor = actor = self.actor_class.__new__(self.actor_class)
        actor._cell = self  # noqa: SLF001 - as `RuntimeActor` itself would
        actor.__init__(*arguments, **named)  # type: ignore[misc]

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Give this actor its task. It starts from an empty context: it must not inherit that of whoever woke it."""
        self.bound = None
        task = self.loop.create_task(work, name=self.address or self.actor_class.__name__, context=TaskContext())
        self.task = task
        self.system.tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: "asyncio.Task[None]") -> None:
        self.system.tasks.discard(task)
        if self.task is not task:
            return
        # Cancelled before its first step, when none of its own code could run; or broken, which is our own bug.
        self.task = None
        error = None if task.cancelled() else task.exception()
        ending = Exit(CRASH, error) if error is not None else Exit(self.kill_reason or KILLED)
        life.clean_up(self, ending)
        self.over(ending)

    def became_ready(self) -> None:
        """`on_start` is done, messages are handled from now on."""
        self.state = RUNNING
        self.ready_at_s = self.last_active_s = self.loop.time()
        if self.ready_waiters is not None:
            _release(self.ready_waiters)
            self.ready_waiters = None
        if self.owner is not None:
            self.owner.child_ready(self)

    def over(self, ending: Exit) -> None:
        """The incarnation has ended and holds nothing any more."""
        if self.state in (WAITING, ENDED):
            return
        started = self.state is RUNNING
        self.state = WAITING
        self.last_exit = ending
        self.actor = None
        self.current = self.busy_since_s = None
        if not started:
            for waiter in self.ready_waiters or ():
                if not waiter.done():
                    waiter.set_exception(StartFailed(self.address or str(self), ending.error))
            self.ready_waiters = None
        announce(self, ending)
        _release(self.over_waiters)
        self.over_waiters = None
        if self.owner is None:
            self.finish(ending)
        else:
            self.owner.child_exited(self, ending)

    def mark_stopped(self) -> None:
        """Senders are refused from now on."""
        if not self.stopped:
            self.stopped = True
            if self.stop_event is not None:
                self.stop_event.set()
            if self.actor_class.REGISTERED:
                pykka.ActorRegistry.unregister(self.ref)

    def finish(self, ending: Exit, *, refusal: Exception | None = None, reason: str = "stopped") -> None:
        """For good: the reference is dead, what waited is answered (with `refusal`) or recorded. Idempotent."""
        if self.state is ENDED:
            return
        assert self.state in (WAITING, NEW), f"finish of {self} while {self.state}"
        self.state = ENDED
        self.last_exit = ending
        self.mark_stopped()
        killed = ActorKilled(self.crash_id) if ending.reason == KILLED else None
        error = refusal or killed or ActorGone(f"{self} stopped before handling the message")
        settle(self, self.mailbox.close(), lambda _: error, reason=reason)
        self.actor = self.recipe = self.mailbox.owner = None

    def abandon_mailbox(self) -> None:
        """Answer what waits, and while `refusing` what comes, with the class's `on_abandoned`; tells are recorded.

        So those who are stopped because of this crash do not wait for the one that crashed.
        """
        self.refusing = True
        settle(self, self.mailbox.drain(), self.actor_class.on_abandoned, reason="abandoned")

    def refuse_askers(self, error: BaseException) -> None:
        """Whoever waits for an answer gets `error` now; tells go on waiting."""
        settle(self, self.mailbox.take_questions(), lambda _: error, reason="unavailable")

    # --- being ended from outside ---

    async def shutdown(self, timeout_s: float | None, *, reason: str = SHUTDOWN) -> None:
        """End the current incarnation: after the current message, by force after `timeout_s` (None: wait without end).

        Returns when it is over. A start that is still going on is broken off at once.
        """
        if self.state in (WAITING, ENDED, NEW):
            return
        if self.idle and self.holds_nothing and not self.actor_class.STOPS:
            self.kill(reason)  # nothing to wait for: an entity that holds nothing is a row already
            return
        over = self._when_over()
        if self.state is STARTING or (timeout_s is not None and timeout_s <= 0):
            self.kill(reason)
        else:
            # For this incarnation only: taken by the next one, it would end that one too.
            self.mailbox.offer_control(Stamped(Shutdown(reason), self.loop.time(), self.incarnation))
            self.wake()
        done, _ = await asyncio.wait([over], timeout=timeout_s)
        if not done:
            self.kill(KILLED)
            done, _ = await asyncio.wait([over], timeout=KILL_GRACE_S)
        if not done:
            self._abandon(self.incarnation)

    def _abandon(self, incarnation: int) -> None:
        """It was cancelled and has not let go. What it still does is nobody's: it may not serve this mailbox."""
        if self.incarnation != incarnation or self.state not in (STARTING, RUNNING):
            return
        life.log.error("actor does not let go; abandoned", actor=str(self))
        self.task = None
        ending = Exit(self.kill_reason or KILLED)
        if self.current is not None:
            settle(self, [self.current], lambda _: ActorKilled(self.crash_id), reason=ending.reason)
        life.clean_up(self, ending)
        self.over(ending)

    def kill(self, reason: str = KILLED) -> None:
        """Cancel the incarnation now. Its asker and its open replies are answered; `on_stop` does not run.

        Who does not let go is abandoned after a while, so that whatever waits here gets its next incarnation.
        """
        if self.state not in (STARTING, RUNNING):
            return
        self.kill_reason = reason
        if self.task is not None:
            self.task.cancel()
        elif self.tasks or self.open_replies:
            self.run(life.end(self, Exit(reason)))
        else:
            life.clean_up(self, Exit(reason))
            self.over(Exit(reason))
            return
        if isfinite(self.actor_class.STALL_AFTER_S):  # else it may have to wait for others to end, in their own time
            self.loop.call_later(KILL_GRACE_S, self._abandon, self.incarnation)

    def passivate(self) -> None:
        """Take an idle entity out of memory: one loop step from "nothing waits" to "gone".

        With an `on_stop` of its own it takes longer, and what is sent meanwhile waits in the mailbox for the owner.
        """
        assert self.idle, f"{self} is not idle"
        ending = Exit(PASSIVATED)
        if self.actor_class.STOPS:
            self.run(life.end(self, ending))
        else:
            life.clean_up(self, ending)
            self.over(ending)

    def _when_over(self) -> asyncio.Future[None]:
        future = self.loop.create_future()
        self.over_waiters = [*(self.over_waiters or ()), future]
        return future

    async def ready(self) -> None:
        """Wait until the incarnation handles messages. Raises `StartFailed`."""
        if self.state is RUNNING:
            return
        if self.state is ENDED:
            raise StartFailed(self.address or str(self), self.last_exit.error if self.last_exit else None)
        future = self.loop.create_future()
        self.ready_waiters = [*(self.ready_waiters or ()), future]
        await future

    # --- mail ---

    def control(self, message: Any) -> None:
        """Deliver to this incarnation ahead of everything else, beyond any bound."""
        self.mailbox.offer_control(Stamped(message, self.loop.time(), self.incarnation))
        self.wake()

    def post(self, letter: Letter) -> None:
        """Queue a letter and wake the actor. Raises `MailboxFull` or `ActorGone` in the sender."""
        if self.refusing:
            settle(self, [letter], self.actor_class.on_abandoned, reason="abandoned")
            return
        offer = self.mailbox.offer(letter, beyond_bound=type(letter.message) is _ActorStop)
        if offer is ACCEPTED:
            self.notify()
        elif offer is FULL:
            if self.system.measuring:
                self.system.observer.shed(self.actor_class.KIND)
            raise MailboxFull(str(self), self.mailbox.mailbox_max)
        else:
            raise ActorGone(f"{self} not found")

    def notify(self) -> None:
        """Something was queued, perhaps by a thread: one write to the loop's pipe per wake-up, not per message."""
        if asyncio._get_running_loop() is self.loop:  # noqa: SLF001 - does not raise, unlike the public form
            self.wake()
        elif not self.wake_posted:
            self.wake_posted = True
            self.loop.call_soon_threadsafe(self._wake_from_thread)

    def _wake_from_thread(self) -> None:
        self.wake_posted = False
        self.wake()

    def wake(self) -> None:
        """Look into the mailbox. Only on the loop, so that a consumer about to sleep cannot miss it."""
        if self.waiter is not None:
            if not self.waiter.done():
                self.waiter.set_result(None)
        elif self.task is None and self.state is RUNNING:
            self.run(life.live(self))


def _release(waiters: list[asyncio.Future[None]] | None) -> None:
    for waiter in waiters or ():
        if not waiter.done():
            waiter.set_result(None)
