"""Messages to people: tried a few times, bounded, never in the way of money. Text messages and mail are its kinds."""

from abc import abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import structlog

from actors.base import DEFER, AsyncioActor, DeferredReply
from penpay.domain.errors import Refused, Unavailable

log = structlog.get_logger("penpay.rails")

SENT, REFUSED, GIVEN_UP = "sent", "refused", "given_up"
"""What an asker hears in the end; who only tells hears nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierSettings:
    """Bounds. The wait doubles from `retry_s` with every try."""

    queue_max: int = 1000
    in_flight_max: int = 4
    tries: int = 5
    retry_s: float = 2.0


@dataclass(frozen=True, slots=True)
class _Errand:
    """One message, how often it was tried, and who waits for its end."""

    message: Any
    reply: DeferredReply
    tries: int = 0


@dataclass(frozen=True, slots=True)
class _Tried:
    """One try ended; `outcome` is empty when the provider was away."""

    errand: _Errand
    outcome: str


class CourierActor(AsyncioActor):
    """Sends what it is told. Constructor: `gateway`, `settings: CourierSettings`."""

    LEVEL = 1
    TAKES: ClassVar[type]
    NAME: ClassVar[str]

    def __init__(self, gateway: Any, settings: CourierSettings | None = None) -> None:
        super().__init__()
        self._gateway = gateway
        self._settings = settings or CourierSettings()
        self._queue: deque[_Errand] = deque()
        self._running = 0
        self._waiting = 0
        self._numbered = 0
        self._done = 0
        self._given_up = 0

    @abstractmethod
    async def deliver(self, message: Any) -> None:
        """Hand one message to the gateway. Raises `Unavailable` (try later) or `Refused`."""

    async def on_receive(self, message: Any) -> Any:
        """Messages to send, and the ends of tries."""
        match message:
            case _Tried():
                self._running -= 1
                self._tried(message.errand, message.outcome)
            case _Errand():
                self._waiting -= 1
                self._enqueue(message)
            case _ if isinstance(message, self.TAKES):
                self._enqueue(_Errand(message, self.defer()))
            case _:
                raise AssertionError(f"{self.NAME} does not take {type(message).__name__}")
        while self._queue and self._running < self._settings.in_flight_max:
            self._running += 1
            self.spawn(self._send(self._queue.popleft()), name="send")
        return DEFER

    def observable_state(self) -> Mapping[str, object]:
        """Counts only."""
        return {
            "queued": len(self._queue),
            "waiting": self._waiting,
            "done": self._done,
            "given_up": self._given_up,
        }

    def _enqueue(self, errand: _Errand) -> None:
        if len(self._queue) + self._waiting >= self._settings.queue_max:
            self._give_up(errand, "too many messages wait")
        else:
            self._queue.append(errand)

    async def _send(self, errand: _Errand) -> None:
        outcome = SENT
        try:
            await self.deliver(errand.message)
        except Unavailable:
            outcome = ""
        except Refused as error:
            outcome = REFUSED
            log.warning("message_refused", courier=self.NAME, code=error.code)
        self._note(0.0, _Tried(errand, outcome))

    def _tried(self, errand: _Errand, outcome: str) -> None:
        tries = errand.tries + 1
        if outcome:
            self._done += 1
            errand.reply.set(outcome)
        elif tries >= self._settings.tries:
            self._give_up(errand, "the provider stays away")
        else:
            self._waiting += 1
            again = _Errand(errand.message, errand.reply, tries)
            self._note(self._settings.retry_s * 2 ** (tries - 1), again)

    def _give_up(self, errand: _Errand, reason: str) -> None:
        self._given_up += 1
        log.error("message_given_up", courier=self.NAME, reason=reason)
        errand.reply.set(GIVEN_UP)

    def _note(self, delay_s: float, message: _Tried | _Errand) -> None:
        self._numbered += 1
        self.timers.once(self._numbered, delay_s, message)
