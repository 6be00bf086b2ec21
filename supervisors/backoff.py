"""How long to wait before a restart, and when there were too many."""

import random
from collections import deque

from supervisors.specs import BackoffPolicy


class Backoff:
    """Delays of one child. They grow with failures in a row; a child that stayed healthy starts over."""

    __slots__ = ("_policy", "_random", "failures")

    def __init__(self, policy: BackoffPolicy, randomness: random.Random) -> None:
        self._policy = policy
        self._random = randomness
        self.failures = 0

    def next_delay_s(self, *, healthy_s: float = 0.0) -> float:
        """Delay after the failure of an incarnation that had been ready for `healthy_s`."""
        if healthy_s >= self._policy.reset_after_s:
            self.failures = 0
        # 2**32 times any base is beyond any cap; the exponent itself must stay small.
        ceiling_s = min(self._policy.cap_s, self._policy.base_s * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return ceiling_s * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Forget the failures: a person decided to try again."""
        self.failures = 0


class Intensity:
    """OTP's restart intensity: at most `max_restarts` in any `within_s`."""

    __slots__ = ("_at_s", "_max", "_within_s")

    def __init__(self, max_restarts: int, within_s: float) -> None:
        self._max = max_restarts
        self._within_s = within_s
        self._at_s: deque[float] = deque(maxlen=max_restarts + 1)

    def exceeded(self, now_s: float) -> bool:
        """Count one restart; True when it was one too many."""
        self._at_s.append(now_s)
        return len(self._at_s) > self._max and now_s - self._at_s[0] <= self._within_s
