"""The mailbox: a bounded lane for everybody, an unbounded one for supervision, safe to fill from any thread."""

import threading
from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from pykka.messages import _ActorStop

from actors.runtime.envelope import ForeignReply, Letter
from actors.runtime.errors import ActorGone
from actors.runtime.sending import deliver

if TYPE_CHECKING:
    from actors.runtime.cell import Cell


class Offer(IntEnum):
    """What became of a letter. A refusal is a value: the caller knows whether to raise, to answer or to count it."""

    ACCEPTED = 0
    FULL = 1
    CLOSED = 2


ACCEPTED, FULL, CLOSED = Offer
"""As in `states`: every message asks for one of them."""


def _stops(letter: Letter) -> bool:
    return type(letter.message) is _ActorStop


def _waits_there(message: Any, lane: deque[Letter]) -> bool:
    name = getattr(message, "told_once", None)
    # A copy, made in one go: the actor's loop may take from the lane meanwhile.
    return name is not None and any(
        type(one) is Letter and getattr(one.message, "told_once", None) == name for one in tuple(lane)
    )


class Mailbox:
    """FIFO per sender. Any thread offers, only the actor's loop takes.

    The lock makes "closed" and "appended" exclusive: each letter is either taken by the actor, or in the list that
    `close` returns, or refused to its sender. Lanes exist only while they hold something: an empty deque costs more
    than a whole idle entity.
    """

    __slots__ = ("_closed", "_control", "_lock", "_user", "mailbox_max", "owner")

    def __init__(self, mailbox_max: int) -> None:
        self._lock = threading.Lock()
        self._user: deque[Letter] | None = None
        self._control: deque[Letter] | None = None
        self._closed = False
        self.mailbox_max = mailbox_max
        self.owner: Cell | None = None
        """None once its actor has ended for good."""

    def offer(self, letter: Letter, *, beyond_bound: bool = False) -> Offer:
        """Queue a letter. Only stop requests and timers, which are few by construction, may go beyond the bound.

        A tell whose message has a name for it, `told_once`, is not queued while one of that name waits.
        """
        with self._lock:
            if self._closed:
                return CLOSED
            lane = self._user
            if lane is None:
                self._user = deque((letter,))
                return ACCEPTED
            if lane and type(letter) is Letter and _waits_there(letter.message, lane):
                return ACCEPTED
            if len(lane) >= self.mailbox_max and not beyond_bound:
                return FULL
            lane.append(letter)
            return ACCEPTED

    def offer_control(self, letter: Letter) -> Offer:
        """Queue a letter that overtakes all others."""
        with self._lock:
            if self._closed:
                return CLOSED
            if self._control is None:
                self._control = deque((letter,))
            else:
                self._control.append(letter)
            return ACCEPTED

    def take(self) -> Letter | None:
        """The next letter, or None. Only on the actor's loop."""
        lane = self._control
        if lane:
            return lane.popleft()
        lane = self._user
        return lane.popleft() if lane else None

    def close(self) -> list[Letter]:
        """Refuse everything from now on; what is left comes back to be answered or recorded."""
        with self._lock:
            self._closed = True
            return self._empty()

    def drain(self) -> list[Letter]:
        """Take everything out and stay open."""
        with self._lock:
            return self._empty()

    def take_questions(self) -> list[Letter]:
        """Take out whatever somebody waits for; tells and Pykka's stop stay where they are."""
        with self._lock:
            waiting = self._user or ()
            taken = [letter for letter in waiting if letter.reply_to is not None and not _stops(letter)]
            if taken:
                self._user = deque(letter for letter in waiting if letter.reply_to is None or _stops(letter))
            return taken

    def first(self) -> Any:
        """The message that waits longest in the user lane; None when none does. Only on the actor's loop."""
        return self._user[0].message if self._user else None

    def _empty(self) -> list[Letter]:
        left = [*(self._control or ()), *(self._user or ())]
        self._user = self._control = None
        return left

    def trim(self) -> None:
        """Give the empty lanes' memory back: the actor goes idle."""
        with self._lock:
            if not self._user:
                self._user = None
            if not self._control:
                self._control = None

    def __len__(self) -> int:
        return len(self._user or ()) + len(self._control or ())

    def __bool__(self) -> bool:
        return True

    def oldest_s(self, now_s: float) -> float:
        """Age in seconds of the letter that waits longest in the user lane; 0 when none does."""
        try:
            return max(0.0, now_s - self._user[0].queued_at_s) if self._user else 0.0
        except IndexError:  # another thread's view of the lane may be a moment old
            return 0.0

    # --- Pykka's names for an inbox ---

    def put(self, envelope: Any, /) -> None:
        """Deliver one of Pykka's own envelopes, made by code that knows only Pykka."""
        if self.owner is None:
            raise ActorGone("stopped")
        deliver(self.owner, envelope.message, None if envelope.reply_to is None else ForeignReply(envelope.reply_to))

    def get(self) -> Letter | None:
        """The next letter. Pykka's loop would block here; ours waits elsewhere and never calls it."""
        return self.take()

    def empty(self) -> bool:
        """True when nothing waits."""
        return not (self._user or self._control)
