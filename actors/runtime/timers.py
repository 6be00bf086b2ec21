"""Timers of one incarnation. They only make things prompt: a deadline that must hold is a row in the database."""

import asyncio
from typing import TYPE_CHECKING, Any

from actors.runtime.envelope import Stamped

if TYPE_CHECKING:
    from actors.runtime.cell import Cell


class Timer:
    """One armed message. `period_s` is None for a single shot."""

    __slots__ = ("handle", "key", "message", "period_s")

    def __init__(self, key: object, message: Any, period_s: float | None) -> None:
        self.key = key
        self.message = message
        self.period_s = period_s
        self.handle: asyncio.TimerHandle | None = None


class Timers:
    """Messages to oneself, later. One per key: arming a key again replaces the earlier timer.

    All end with the incarnation; a message that was already on its way is dropped then, and what a dead incarnation
    arms never fires. Timers may exceed the mailbox's bound: there are never more of them in it than keys.
    """

    __slots__ = ("_armed", "_cell", "_incarnation", "_over")

    def __init__(self, cell: "Cell") -> None:
        self._cell = cell
        self._incarnation = cell.incarnation
        self._armed: dict[object, Timer] = {}
        self._over = False

    def __len__(self) -> int:
        return len(self._armed)

    def __contains__(self, key: object) -> bool:
        return key in self._armed

    def once(self, key: object, delay_s: float, message: Any) -> None:
        """Receive `message` after `delay_s`."""
        self._arm(Timer(key, message, None), delay_s)

    def every(self, key: object, delay_s: float, message: Any) -> None:
        """Receive `message` again and again, `delay_s` after it was last handled.

        Fixed delay, not fixed rate: a busy actor is not flooded with the ticks that it missed.
        """
        self._arm(Timer(key, message, delay_s), delay_s)

    def cancel(self, key: object) -> None:
        """Forget the timer of this key, also when its message already waits in the mailbox. Idempotent."""
        timer = self._armed.pop(key, None)
        if timer is not None and timer.handle is not None:
            timer.handle.cancel()

    def end(self) -> None:
        """Their incarnation is over: forget all of them, and arm none any more."""
        self._over = True
        for key in list(self._armed):
            self.cancel(key)

    def claim(self, timer: Timer) -> bool:
        """The actor is about to handle this timer's message: False when it was cancelled or replaced meanwhile."""
        if self._armed.get(timer.key) is not timer:
            return False
        if timer.period_s is None:
            del self._armed[timer.key]
        return True

    def handled(self, timer: Timer) -> None:
        """The message was handled: the next delay of a repeating timer begins now."""
        if timer.period_s is not None and self._armed.get(timer.key) is timer:
            timer.handle = self._cell.loop.call_later(timer.period_s, self._fire, timer)

    def _arm(self, timer: Timer, delay_s: float) -> None:
        if self._over:
            return
        self.cancel(timer.key)
        self._armed[timer.key] = timer
        timer.handle = self._cell.loop.call_later(delay_s, self._fire, timer)

    def _fire(self, timer: Timer) -> None:
        timer.handle = None  # it holds the timer: a ring, which only the collector would free
        if self._armed.get(timer.key) is timer:
            cell = self._cell
            letter = Stamped(timer.message, cell.loop.time(), self._incarnation, timer)
            cell.mailbox.offer(letter, beyond_bound=True)
            cell.wake()
