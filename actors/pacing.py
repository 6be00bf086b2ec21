"""Token buckets for calls to a provider: below its limits by our own count, slower after it complained."""

_SLOWEST = 1 / 16
_SLOWER = 0.5
_FASTER = 1.02


class TokenBucket:
    """At most `per_s` calls a second, with a burst of one second's worth. 0 means unpaced.

    `slower` after a rate-limit answer halves the rate, every success brings back two percent of it.
    """

    def __init__(self, per_s: float) -> None:
        self._nominal_per_s = per_s
        self._share = 1.0
        self._burst = max(1.0, per_s)
        self._tokens = self._burst
        self._filled_s = 0.0

    @property
    def per_s(self) -> float:
        """The rate in force now."""
        return self._nominal_per_s * self._share

    def wait_s(self, now_s: float) -> float:
        """How long until a call may start: 0 when it may now."""
        if not self._nominal_per_s:
            return 0.0
        self._fill(now_s)
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self.per_s

    def seconds_for(self, calls: int) -> float:
        """How long so many calls take at the rate in force; nothing when unpaced."""
        return calls / self.per_s if self._nominal_per_s else 0.0

    def take(self, now_s: float) -> None:
        """Count one call."""
        self._fill(now_s)
        self._tokens -= 1.0

    def slower(self) -> None:
        """The provider said: too many."""
        self._share = max(_SLOWEST, self._share * _SLOWER)
        self._tokens = min(self._tokens, 0.0)

    def succeeded(self) -> None:
        """A call went through."""
        self._share = min(1.0, self._share * _FASTER)

    def _fill(self, now_s: float) -> None:
        self._tokens = min(self._burst, self._tokens + max(0.0, now_s - self._filled_s) * self.per_s)
        self._filled_s = now_s
