"""The actor runtime's front door: everything that an actor, a supervisor or a composition root uses.

An actor is a subclass of `AsyncioActor` (a task of its own; long-lived singletons) or of `EntityActor` (no task while
idle; one per user or transaction). Both are Pykka actors made through Pykka's extension points, so `tell`, `ask`,
`stop`, proxies and `ActorRegistry` mean what Pykka says, with three deliberate differences: an exception ends the
incarnation also when it was an ask, a BaseException stays inside the one actor, and entities are not in the registry.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pykka

from actors.runtime import exits
from actors.runtime.cell import Blueprint, Cell, Recipe
from actors.runtime.childtasks import begin
from actors.runtime.context import Context, current_context, with_context
from actors.runtime.deadletters import DeadLetter, DeadLetters
from actors.runtime.deathwatch import watch
from actors.runtime.errors import (
    ActorCrashed,
    ActorGone,
    ActorKilled,
    AskCycle,
    AskTimeout,
    EntityHeld,
    EntityParked,
    MailboxFull,
    NoSuchActor,
    StartFailed,
    WouldBlockLoop,
)
from actors.runtime.exits import Exit, Owner, Terminated
from actors.runtime.future import AsyncioFuture
from actors.runtime.mailbox import Mailbox
from actors.runtime.observer import NobodyObserves, RuntimeObserver
from actors.runtime.ref import AsyncioActorRef
from actors.runtime.replies import DEFER, DeferredReply
from actors.runtime.sending import ask, tell
from actors.runtime.states import State, StoppedFlag
from actors.runtime.system import BARE, ActorSystem, home_loop, use_loop
from actors.runtime.timers import Timers
from config import limits
from penpay.domain.errors import Unavailable

__all__ = [
    "BARE",
    "DEFER",
    "ActorCrashed",
    "ActorGone",
    "ActorKilled",
    "ActorSystem",
    "AskCycle",
    "AskTimeout",
    "AsyncioActor",
    "AsyncioActorRef",
    "AsyncioFuture",
    "Blueprint",
    "Cell",
    "Context",
    "DeadLetter",
    "DeadLetters",
    "DeferredReply",
    "EntityActor",
    "EntityHeld",
    "EntityParked",
    "Exit",
    "MailboxFull",
    "NoSuchActor",
    "NobodyObserves",
    "Owner",
    "Recipe",
    "RuntimeActor",
    "RuntimeObserver",
    "StartFailed",
    "State",
    "Terminated",
    "Timers",
    "Unavailable",
    "WouldBlockLoop",
    "ask",
    "current_context",
    "exits",
    "home_loop",
    "tell",
    "use_loop",
    "with_context",
]


if TYPE_CHECKING:

    class PykkaActor:
        """Pykka's Actor without its plain-function hooks, which a type checker would hold against `async` ones."""

        @classmethod
        def start(cls, *args: Any, **kwargs: Any) -> AsyncioActorRef: ...
        def stop(self) -> None: ...
        def on_receive(self, message: Any) -> Any: ...
        def _handle_receive(self, message: Any) -> Any: ...
        def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...

else:
    PykkaActor = pykka.Actor


class RuntimeActor(PykkaActor):
    """What both kinds of actors share. Everything here runs on the loop, one message at a time.

    `await` inside a handler keeps the mailbox closed: the next message waits. Expected refusals are return values;
    `Unavailable` is a state that the asker learns; any other exception ends this incarnation.
    """

    KIND: ClassVar[str] = ""
    """Label in metrics and in the tree; the class name when empty."""
    LEVEL: ClassVar[int] = 0
    """An actor asks only actors of a lower level (edge 5, saga 4, ledger 2, provider 1). 0: not checked."""
    MAILBOX_MAX: ClassVar[int] = limits.MAILBOX_MAX
    STALL_AFTER_S: ClassVar[float] = 30.0
    """A supervisor kills and restarts an actor that has been at one message for longer."""
    IDLE_S: ClassVar[float] = 120.0
    """Entities: how long without a message before the host takes it out of memory."""
    RESIDENT: ClassVar[bool]
    REGISTERED: ClassVar[bool]
    STARTS: ClassVar[bool] = False
    """Set by the runtime: the class has an `on_start` of its own."""
    STOPS: ClassVar[bool] = False
    """Set by the runtime: the class has an `on_stop` of its own."""

    _cell: Cell
    _timers: Timers | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "KIND" not in cls.__dict__:
            cls.KIND = cls.__name__
        cls.STARTS = cls.on_start is not RuntimeActor.on_start
        cls.STOPS = cls.on_stop is not RuntimeActor.on_stop

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        # Pykka's constructor would make an inbox, an Event and a ref of its own; here they belong to the cell.
        if not hasattr(self, "_cell"):  # looking into `__dict__` would make one, for each entity
            self._cell = Cell(type(self), system=BARE, loop=home_loop())
            self._cell.actor = self

    # --- what an actor overrides ---

    async def on_start(self) -> None:
        """Prepare before the first message. An exception is a failed start; messages wait meanwhile."""

    async def on_stop(self) -> None:
        """Let go after the last message. Not called after a crash or a kill."""

    async def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go after a crash, instead of `on_stop`. State must not be trusted any more."""

    async def on_receive(self, message: Any) -> Any:
        """Handle a message. What it returns answers an ask."""
        return super().on_receive(message)

    def observable_state(self) -> Mapping[str, object]:
        """What operators and tests may see. No secrets, no personal data."""
        return {}

    @classmethod
    def on_abandoned(cls, message: Any) -> Exception:
        """The answer to an ask that waited in the mailbox when a crash emptied it (`keep_mailbox=False`).

        On the class: the incarnation is gone. The ledger answers `OutcomeUnknown` with the unit's id.
        """
        return ActorCrashed(f"{cls.__name__} dropped {type(message).__name__}")

    def on_open_replies(self, replies: Sequence[DeferredReply], error: BaseException) -> None:
        """The incarnation ends with these deferred replies open. Those still open afterwards fail with `error`."""

    def on_incarnation_over(self) -> None:
        """Called in every case, also when killed: release what only a plain call can. Must not raise."""

    # --- what an actor uses ---

    @property
    def actor_ref(self) -> AsyncioActorRef:
        """Reference to this actor; the same one after a restart."""
        return self._cell.ref

    @property
    def address(self) -> str:
        """Tree path, empty for an actor that was started bare."""
        return self._cell.address

    @property
    def incarnation(self) -> int:
        """1 for the first, one more after each restart."""
        return self._cell.incarnation

    @property
    def timers(self) -> Timers:
        """Messages to oneself, later; see `Timers`."""
        if self._timers is None:
            self._timers = Timers(self._cell)
            if self._cell.actor is not self:
                self._timers.end()
        return self._timers

    def end_timers(self) -> None:
        """For the runtime: the incarnation is over."""
        if self._timers is not None:
            self._timers.end()

    def spawn(self, coro: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Run a child task. It only waits and reads; it is cancelled and awaited when the incarnation ends.

        An exception that it does not handle itself crashes the incarnation, also one that would end the process.
        """
        return begin(self, coro, name=name)

    def report(self, message: Any) -> None:
        """Receive `message` oneself, ahead of the mailbox and beyond its bound: how child tasks hand in their finds.

        Dropped when this incarnation has ended meanwhile.
        """
        if self._cell.actor is self:
            self._cell.control(message)

    def defer(self) -> DeferredReply:
        """Take the reply to the current message along; the handler then returns `DEFER`."""
        cell = self._cell
        letter = cell.current if cell.actor is self else None
        assert letter is not None, "defer() outside of a handler"
        reply = DeferredReply(cell, letter.reply_to, letter.message)
        if cell.open_replies is None:
            cell.open_replies = {}
        if letter.reply_to is not None:
            cell.open_replies[reply] = None
        return reply

    def exit(self, reason: str = "normal") -> None:
        """End this incarnation after the current message. A transient child stays away for a clean reason."""
        if self._cell.actor is self and self._cell.exit_wanted is None:
            self._cell.exit_wanted = reason

    def watch(self, ref: AsyncioActorRef) -> None:
        """Receive `Terminated` whenever an incarnation of `ref` ends; at once if it is dead for good."""
        watch(ref._cell, self._cell)  # noqa: SLF001 - the runtime's own inside

    # --- Pykka's fields and extension points ---

    @property
    def _actor_ref(self) -> AsyncioActorRef:
        return self._cell.ref

    @property
    def actor_urn(self) -> str:
        """See pykka.Actor."""
        return self._cell.urn

    @property
    def actor_inbox(self) -> Mailbox:
        """See pykka.Actor."""
        return self._cell.mailbox

    @property
    def actor_stopped(self) -> Any:
        """See pykka.Actor."""
        return StoppedFlag(self._cell)

    def __str__(self) -> str:
        return str(self._cell)

    @classmethod
    def _create_actor_inbox(cls) -> Mailbox:
        return Mailbox(cls.MAILBOX_MAX)

    @staticmethod
    def _create_future() -> AsyncioFuture:
        return AsyncioFuture()

    def _start_actor_loop(self) -> None:
        cell = self._cell
        if asyncio._get_running_loop() is cell.loop:  # noqa: SLF001 - does not raise, unlike the public form
            cell.launch()
        else:
            cell.loop.call_soon_threadsafe(cell.launch)


class AsyncioActor(RuntimeActor):
    """An actor with an asyncio task of its own: few, long-lived."""

    RESIDENT = True
    REGISTERED = True


class EntityActor(RuntimeActor):
    """An actor without a task while it is idle: thousands, one per user or transaction.

    A burst of messages gets a task that ends with the burst. Its host takes it out of memory after `IDLE_S` without
    messages if `can_passivate()`; the next message to its address starts it again, from its rows.
    """

    RESIDENT = False
    REGISTERED = False
    MAILBOX_MAX = limits.ENTITY_MAILBOX_MAX

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> AsyncioActorRef:
        """Start a bare entity. Entities live in their host, not in Pykka's registry, whose removal is linear."""
        running = asyncio._get_running_loop()  # noqa: SLF001 - as above; asked once, since it costs a system call
        cell = Cell(cls, system=BARE, loop=running or home_loop())
        cell.make(args, kwargs)
        if running is not None:
            cell.launch()
        else:
            cell.loop.call_soon_threadsafe(cell.launch)
        return cell.ref

    @property
    def first_waiting(self) -> Any:
        """For `on_start`: the message that it is for, None when none waits. Some bring what must be read otherwise."""
        return self._cell.mailbox.first()

    def can_passivate(self) -> bool:
        """May it be taken out of memory now? Asked only when nothing waits: no message, open reply or child task."""
        return True
