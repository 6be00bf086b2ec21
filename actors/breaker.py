"""Circuit breaker of one provider operation: stop asking what does not answer, and find out with one question."""

from collections import deque
from enum import StrEnum

CONSECUTIVE = 5
WINDOW_S = 30.0
WINDOW_CALLS = 20
"""From this many calls in the window on, half of them failing opens it too."""
OPEN_S = 5.0
OPEN_MAX_S = 60.0
_REMEMBERED = 400


class BreakerState(StrEnum):
    """Closed lets calls through, open none; half-open waits for the answer of one harmless probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Fed with the ends of calls. A money call is never the probe: the owner asks something harmless."""

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self._calls: deque[tuple[float, bool]] = deque()
        self._failed = 0
        self._consecutive = 0
        self._open_s = OPEN_S
        self._until_s = 0.0

    @property
    def closed(self) -> bool:
        """Calls may start."""
        return self.state is BreakerState.CLOSED

    def wait_s(self, now_s: float) -> float:
        """How long until a probe is due; 0 when it is."""
        return max(0.0, self._until_s - now_s)

    def ended(self, *, ok: bool, now_s: float) -> None:
        """One call ended. Ends of calls that began before it opened change nothing."""
        if self.state is not BreakerState.CLOSED:
            return
        calls = self._calls
        calls.append((now_s, ok))
        self._failed += not ok
        self._consecutive = 0 if ok else self._consecutive + 1
        while calls[0][0] < now_s - WINDOW_S or len(calls) > _REMEMBERED:
            self._failed -= not calls.popleft()[1]
        if self._consecutive >= CONSECUTIVE or (len(calls) >= WINDOW_CALLS and self._failed * 2 >= len(calls)):
            self._open(now_s)

    def probe(self) -> None:
        """The owner sends its one question now."""
        assert self.state is BreakerState.OPEN
        self.state = BreakerState.HALF_OPEN

    def probed(self, *, ok: bool, now_s: float) -> None:
        """The answer of the probe: close, or stay open twice as long."""
        assert self.state is BreakerState.HALF_OPEN
        if not ok:
            self._open_s = min(OPEN_MAX_S, self._open_s * 2)
            self._open(now_s)
            return
        self.state = BreakerState.CLOSED
        self._calls.clear()
        self._failed = 0
        self._consecutive = 0
        self._open_s = OPEN_S

    def _open(self, now_s: float) -> None:
        self.state = BreakerState.OPEN
        self._until_s = now_s + self._open_s
