"""How a message travels. Three forms, because most messages are plain tells and every slot is paid 100,000 times."""

from typing import TYPE_CHECKING, Any, Protocol

import pykka

from actors.runtime.context import Context
from actors.runtime.errors import presentable

if TYPE_CHECKING:
    from actors.runtime.cell import Cell
    from actors.runtime.timers import Timer


class Reply(Protocol):
    """Where an answer goes. The first end counts; later ones are ignored (the asker may have given up)."""

    def done(self) -> bool: ...
    def answer(self, value: Any) -> None: ...
    def refuse(self, error: BaseException) -> None: ...


class ForeignReply:
    """One of Pykka's own futures (a ThreadingFuture, say) in the role of a reply."""

    __slots__ = ("_done", "_future")

    def __init__(self, future: pykka.Future[Any]) -> None:
        self._future = future
        self._done = False

    def done(self) -> bool:
        """True once it was set by us."""
        return self._done

    def answer(self, value: Any) -> None:
        """Set it once."""
        if not self._done:
            self._done = True
            self._future.set(value)

    def refuse(self, error: BaseException) -> None:
        """Set an exception once."""
        if not self._done:
            self._done = True
            error = presentable(error)
            self._future.set_exception((type(error), error, error.__traceback__))


class Letter:
    """A tell. `queued_at_s` is the loop's time."""

    __slots__ = ("context", "message", "queued_at_s")

    reply_to: Reply | None = None
    deadline_s: float | None = None
    chain: "tuple[Cell, ...]" = ()
    incarnation: int = 0
    timer: "Timer | None" = None

    def __init__(self, message: Any, context: Context | None, queued_at_s: float) -> None:
        self.message = message
        self.context = context
        self.queued_at_s = queued_at_s


class Question(Letter):
    """An ask: past `deadline_s` it is answered with a time-out, unexecuted. `chain` are the actors that wait for it."""

    __slots__ = ("chain", "deadline_s", "reply_to")

    def __init__(
        self,
        message: Any,
        context: Context | None,
        queued_at_s: float,
        reply_to: Reply,
        deadline_s: float | None,
        chain: "tuple[Cell, ...]" = (),
    ) -> None:
        self.message = message
        self.context = context
        self.queued_at_s = queued_at_s
        self.reply_to = reply_to
        self.deadline_s = deadline_s
        self.chain = chain


class Stamped(Letter):
    """A message meant for one incarnation only: a timer's, a death notice, a child's end. Stale ones are dropped."""

    __slots__ = ("incarnation", "timer")

    def __init__(self, message: Any, queued_at_s: float, incarnation: int, timer: "Timer | None" = None) -> None:
        self.message = message
        self.context = None
        self.queued_at_s = queued_at_s
        self.incarnation = incarnation
        self.timer = timer


class Shutdown:
    """Control message: end this incarnation after the current message."""

    __slots__ = ("reason",)

    def __init__(self, reason: str = "shutdown") -> None:
        self.reason = reason


class Broken:
    """Control message: a child task of this incarnation ended with an exception nobody expected."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error
