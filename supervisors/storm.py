"""Recognises that many entities crash for one reason, so that they are not all restarted into it."""

from collections import Counter, deque

import structlog

from actors.base import Cell, Exit, State, Timers
from supervisors.entity_news import Probe, ProbeHeld
from supervisors.recoveries import Recoveries
from supervisors.specs import StormPolicy

log = structlog.get_logger("penpay.supervision")


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


class Storm:
    """Restarts are held back until one probe has lived for a while. `recoveries.held` says that it rages."""

    def __init__(self, policy: StormPolicy, recoveries: Recoveries, timers: Timers, *, host: str) -> None:
        self._policy = policy
        self._guard = StormGuard(policy)
        self._recoveries = recoveries
        self._timers = timers
        self._host = host
        self._delay_s = policy.base_s
        self._probe: Cell | None = None

    def begins(self, error: BaseException, *, now_s: float, active: int) -> bool:
        """Count a crash. True when it begins a storm: then nobody else is started."""
        if not self._guard.crashed(type(error), now_s=now_s, active=active) or self._recoveries.held:
            return False
        log.critical("storm: restarts are held back", host=self._host, error=repr(error), active=active)
        self._recoveries.held = True
        self._delay_s = self._policy.base_s
        self._timers.once("storm", self._delay_s, Probe())
        return True

    def ready(self, cell: Cell) -> None:
        """An entity is ready: if it is the probe, it has to live for a while now."""
        if cell is self._probe:
            self._timers.once("storm", self._policy.probe_s, ProbeHeld(cell, cell.incarnation))

    def ended(self, cell: Cell, ending: Exit) -> None:
        """An entity's incarnation is over: if it was the probe's, another one tries later, unless it was content."""
        if cell is not self._probe:
            return
        self._probe = None
        if ending.clean:
            self.end()
        else:
            self._delay_s = min(self._policy.cap_s, 2 * self._delay_s)
            self._timers.once("storm", self._delay_s, Probe())

    def send_probe(self) -> None:
        """Let the one that waits longest try."""
        self._probe = self._recoveries.next()
        if self._probe is None:
            self.end()
        else:
            self._recoveries.launch(self._probe)

    def held(self, news: ProbeHeld) -> None:
        """The probe has had its time: if it lives, so may the others."""
        if news.cell.state is State.RUNNING and news.cell.incarnation == news.incarnation:
            self.end()

    def end(self) -> None:
        """Everybody may start again."""
        self._recoveries.held = False
        self._probe = None
        self._timers.cancel("storm")
        self._guard.clear()
        log.warning("storm is over", host=self._host, waiting=self._recoveries.waiting)
        self._recoveries.pump()
