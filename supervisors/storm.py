"""Recognises that many entities crash for one reason, so that they are not all restarted into it."""

from collections import Counter, deque

from supervisors.specs import StormPolicy


class StormGuard:
    """Counts crashes of a host's entities within the policy's window."""

    def __init__(self, policy: StormPolicy) -> None:
        self._policy = policy
        self._crashes: deque[tuple[float, type[BaseException]]] = deque()
        self._by_class: Counter[type[BaseException]] = Counter()

    def crashed(self, error: type[BaseException], *, now_s: float, active: int) -> bool:
        """Count one crash among `active` entities; True when this is a storm."""
        policy = self._policy
        self._crashes.append((now_s, error))
        self._by_class[error] += 1
        while self._crashes and now_s - self._crashes[0][0] > policy.within_s:
            _, old = self._crashes.popleft()
            self._by_class[old] -= 1
        if len(self._crashes) > policy.crashes:
            return True
        same = self._by_class[error]
        return same >= policy.share_min and same > policy.share * active

    def clear(self) -> None:
        """The storm is over: its crashes count no more."""
        self._crashes.clear()
        self._by_class.clear()
