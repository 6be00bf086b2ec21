"""The real clock and real identifiers: the only place that asks the operating system for either."""

import secrets
import time
from datetime import UTC, datetime

from penpay.domain.ids import ulid


class SystemClock:
    """`Clock` of this machine."""

    def now(self) -> datetime:
        """UTC wall time."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


class RandomUlids:
    """`Ids` from wall milliseconds and 80 random bits."""

    def ulid(self) -> str:
        """A fresh identifier."""
        return ulid(time.time_ns() // 1_000_000, secrets.token_bytes(10))
