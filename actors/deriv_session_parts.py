"""What the agent's session is made of: its phases, bounds and times, and the calls that are open on its socket.

And what it tells itself, for nothing of a socket is handled outside of its mailbox.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from actors.base import DeferredReply
from actors.deriv_agent import Agent, AgentWitness
from actors.deriv_calls import Call, CallEnd
from actors.rail_lease import LeaseHolder
from penpay.domain.board import Board
from penpay.domain.deriv_protocol import Frame
from penpay.domain.rail_end import DISCONNECTED, TIMED_OUT, Outcome
from penpay.ports import Addresses, Clock
from penpay.ports_rails import DerivDialer, DerivSocket


class Phase(StrEnum):
    """Where the socket is in its life. Money is taken in READY only."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    AUTHORIZING = "authorizing"
    READY = "ready"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """Bounds and times. A back-off starts over only after the socket was up for `min_uptime_s`."""

    ping_s: float = 30.0
    pong_s: float = 5.0
    call_s: float = 15.0
    send_s: float = 5.0
    backoff_first_s: float = 0.5
    backoff_max_s: float = 60.0
    min_uptime_s: float = 30.0
    again_first_s: float = 5.0
    again_max_s: float = 300.0
    lease_look_s: float = 1.0
    waiting_reads_max: int = 256
    late_kept: int = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParts:
    """What the session works with. `dice` spreads the back-off."""

    dialer: DerivDialer
    agent: Agent
    lease: LeaseHolder
    witness: AgentWitness
    board: Board
    addresses: Addresses
    clock: Clock
    dice: random.Random
    settings: SessionSettings = SessionSettings()


class Time(Enum):
    """What it is time for: to connect, to see whether the rail is still ours, to ask for a sign of life.

    AGAIN: to ask once more what was refused for now.
    """

    CONNECT = auto()
    LEASE = auto()
    PING = auto()
    AGAIN = auto()


@dataclass(frozen=True, slots=True)
class Connected:
    """The dialer's answer; `socket` is None when there is no connection."""

    socket: DerivSocket | None
    code: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """A text frame of connection `number`."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Connection `number` is gone."""

    number: int


@dataclass(frozen=True, slots=True)
class TooLate:
    """No reply to this request in time."""

    req_id: int


@dataclass(frozen=True, slots=True)
class StillWaiting:
    """This read waited long enough for a socket."""

    number: int


@dataclass(slots=True)
class OpenCall:
    """A written request. `then` is for the session's own; `reply` for a caller's, None once it was answered.

    `does_without`: the name of a call of the session's own that it can do without.
    """

    call: Call | None
    reply: DeferredReply | None
    then: Callable[[Frame], None] | None = None
    does_without: str = ""


class OpenCalls:
    """Requests of one socket without a reply, by `req_id`.

    The connection's number is the upper half of it, so that no reply is taken for another socket's.
    """

    def __init__(self, late_max: int) -> None:
        self._late_max = late_max
        self._by_id: dict[int, OpenCall] = {}
        self._number = 0
        self._requests = 0

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def connection(self) -> int:
        """Number of the newest connection."""
        return self._number

    def connected(self) -> int:
        """A new socket: number of its connection."""
        assert not self._by_id
        self._number += 1
        self._requests = 0
        return self._number

    def add(self, opened: OpenCall) -> int:
        """Register a request before it is written."""
        self._requests += 1
        req_id = self._number << 32 | self._requests
        self._by_id[req_id] = opened
        return req_id

    def take(self, req_id: int) -> OpenCall | None:
        """The request that a reply belongs to, now closed."""
        return self._by_id.pop(req_id, None)

    def unanswered(self) -> set[str]:
        """Names of the session's own calls that are still open."""
        return {opened.does_without for opened in self._by_id.values() if opened.does_without}

    def too_late(self, req_id: int) -> OpenCall | None:
        """Tell the caller that nobody knows. The request stays known, for its reply may still come."""
        opened = self._by_id.get(req_id)
        if opened is not None and opened.reply is not None:
            opened.reply.set(CallEnd(outcome=Outcome.UNKNOWN, code=TIMED_OUT))
            opened.reply = None
        oldest = next(iter(self._by_id), req_id)
        if len(self._by_id) > self._late_max and self._by_id[oldest].reply is None:
            del self._by_id[oldest]
        return opened

    def broken(self) -> list[int]:
        """The socket is gone: what was written is unknown. The ids, for whoever keeps timers by them."""
        lost, self._by_id = self._by_id, {}
        for opened in lost.values():
            if opened.reply is not None:
                opened.reply.set(CallEnd(outcome=Outcome.UNKNOWN, code=DISCONNECTED))
        return list(lost)
