"""Everything that is under way in the simulated world, and may be hurried when it heals."""

import random
from collections.abc import Callable
from typing import Any

from penpay.simulation.loop import NodeLoop


class Parcel:
    """Something that will happen, unless it is hurried."""

    __slots__ = ("args", "call", "timer")

    def __init__(self, call: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.call = call
        self.args = args
        self.timer: Any = None


class Post:
    """Delays on the world's own loop: what nodes do or suffer does not touch them."""

    def __init__(self, loop: NodeLoop, dice: random.Random) -> None:
        self._loop = loop
        self._dice = dice
        self._parcels: dict[Parcel, None] = {}

    def after(self, delay_s: float, call: Callable[..., Any], *args: Any) -> None:
        """Call it later; nothing hurries it."""
        self._loop.call_later(delay_s, call, *args)

    def send(self, delay_s: float, call: Callable[..., Any], *args: Any) -> None:
        """Call it later, or at once when everything delayed is flushed."""
        parcel = Parcel(call, args)
        self._parcels[parcel] = None
        parcel.timer = self._loop.call_later(delay_s, self._deliver, parcel)

    def flush(self) -> None:
        """Healing: what was delayed arrives now, in whatever order."""
        for parcel in list(self._parcels):
            parcel.timer.cancel()
            parcel.timer = self._loop.call_later(self._dice.random(), self._deliver, parcel)

    def __len__(self) -> int:
        return len(self._parcels)

    def travel_s(self) -> float:
        """One way through the network."""
        return 0.001 + 0.02 * self._dice.random()

    def _deliver(self, parcel: Parcel) -> None:
        del self._parcels[parcel]
        parcel.call(*parcel.args)
