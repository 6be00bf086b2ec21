"""The real clock and real identifiers: the only place that asks the operating system for either."""

import os
import time
from datetime import UTC, datetime

from penpay.domain.ids import ulid

_RANDOM_BYTES = 10
_AT_ONCE = 256


class SystemClock:
    """`Clock` of this machine."""

    def now(self) -> datetime:
        """UTC wall time."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


class RandomUlids:
    """`Ids` from wall milliseconds and 80 bits from the system, which is asked for many at once."""

    def __init__(self) -> None:
        self._drawn: list[bytes] = []

    def ulid(self) -> str:
        """A fresh identifier. From any thread: each draw is taken out of the list by exactly one caller."""
        try:
            drawn = self._drawn.pop()
        except IndexError:
            many = os.urandom(_RANDOM_BYTES * _AT_ONCE)
            self._drawn.extend(many[at : at + _RANDOM_BYTES] for at in range(_RANDOM_BYTES, len(many), _RANDOM_BYTES))
            drawn = many[:_RANDOM_BYTES]
        return ulid(time.time_ns() // 1_000_000, drawn)
