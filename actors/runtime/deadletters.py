"""Messages that nobody handled. Losing one is legal (rows bring work back); losing one unseen is not."""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

import structlog

from actors.runtime.observer import RuntimeObserver
from config import limits

LOG_EVERY_S = 10.0

log = structlog.get_logger("penpay.runtime")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message, where it went, and why it was not handled (`crash`, `stopped`, `unavailable`, `abandoned`, …)."""

    address: str
    kind: str
    reason: str
    message: Any


class DeadLetters:
    """The newest dead letters, a count by (kind, message, reason), and one log line per such key in ten seconds."""

    def __init__(self, observer: RuntimeObserver) -> None:
        self._observer = observer
        self._silent_until_s: dict[tuple[str, str, str], float] = {}
        self.ring: deque[DeadLetter] = deque(maxlen=limits.DEAD_LETTERS_KEPT)
        self.counts: Counter[tuple[str, str, str]] = Counter()

    def record(self, letter: DeadLetter, *, now_s: float) -> None:
        """Keep, count and log one letter. The message itself is not logged: it may carry a phone or a name."""
        key = (letter.kind, type(letter.message).__name__, letter.reason)
        self.ring.append(letter)
        self.counts[key] += 1
        self._observer.dead_letter(letter.kind, letter.reason)
        if now_s >= self._silent_until_s.get(key, 0.0):
            self._silent_until_s[key] = now_s + LOG_EVERY_S
            log.warning(
                "dead letter", address=letter.address, message=key[1], reason=letter.reason, so_far=self.counts[key]
            )
