"""When asks run out of time: one timer of the loop for all that do so in the same hundredth of a second.

A timer of its own for each ask is the dearest part of asking: nearly all are cancelled, and the loop sorts and sweeps
every one of them.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from actors.runtime.errors import AskTimeout

if TYPE_CHECKING:
    from actors.runtime.cell import Cell
    from actors.runtime.future import LoopReply

TICKS_PER_S = 100
Due = dict["LoopReply", tuple["Cell", Any, float]]
"""Those who wait for an answer: whom they asked what, and for how many seconds."""


class Deadlines:
    """Of all asks on one loop. An ask runs out of time at its deadline or up to a hundredth of a second behind it."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due: dict[int, Due] = {}

    def of(self, at_s: float, loop: asyncio.AbstractEventLoop) -> Due:
        """Where an ask with this deadline, by the loop's clock, stands until it is answered."""
        tick = int(at_s * TICKS_PER_S) + 1
        due = self._due.get(tick)
        if due is None:
            due = self._due[tick] = {}
            loop.call_at(tick / TICKS_PER_S, self._expire, tick)
        return due

    def _expire(self, tick: int) -> None:
        for reply, (cell, message, timeout_s) in self._due.pop(tick).items():
            reply.refuse(AskTimeout(f"{type(message).__name__} to {cell}: no answer in {timeout_s} s"))


_KEPT_AS = "_penpay_deadlines"


def deadlines_on(loop: asyncio.AbstractEventLoop) -> Deadlines:
    """The ones of this loop. It keeps them itself: who waits there refers to it, so a table would keep both alive."""
    found: Deadlines | None = getattr(loop, _KEPT_AS, None)
    if found is None:
        found = Deadlines()
        setattr(loop, _KEPT_AS, found)
    return found
