"""Text messages: tried a few times, never in the way of money."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from actors.base import AsyncioActor
from penpay.domain.errors import Refused, Unavailable
from penpay.messages_rails import SendSms
from penpay.ports_rails import SmsGateway

log = structlog.get_logger("penpay.rails")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsSettings:
    """Bounds. The wait doubles from `retry_s` with every try."""

    queue_max: int = 1000
    in_flight_max: int = 4
    tries: int = 5
    retry_s: float = 2.0


@dataclass(frozen=True, slots=True)
class _Tried:
    """One try ended; `again` when the provider was away."""

    sms: SendSms
    tries: int
    again: bool


@dataclass(frozen=True, slots=True)
class _Retry:
    """Time for another try."""

    sms: SendSms
    tries: int


class SmsActor(AsyncioActor):
    """Sends `SendSms`. Constructor: `gateway: SmsGateway`, `settings: SmsSettings`."""

    LEVEL = 1

    def __init__(self, gateway: SmsGateway, settings: SmsSettings | None = None) -> None:
        super().__init__()
        self._gateway = gateway
        self._settings = settings or SmsSettings()
        self._queue: deque[_Retry] = deque()
        self._running = 0
        self._waiting = 0
        self._numbered = 0
        self._done = 0
        self._given_up = 0

    async def on_receive(self, message: Any) -> Any:
        """Messages to send, and the ends of tries."""
        match message:
            case SendSms():
                self._enqueue(_Retry(message, 0))
            case _Tried():
                self._running -= 1
                self._tried(message)
            case _Retry():
                self._waiting -= 1
                self._enqueue(message)
            case _:
                raise AssertionError(f"sms does not take {type(message).__name__}")
        while self._queue and self._running < self._settings.in_flight_max:
            self._running += 1
            self.spawn(self._send(self._queue.popleft()), name="send")

    def observable_state(self) -> Mapping[str, object]:
        """Counts only."""
        return {
            "queued": len(self._queue),
            "waiting": self._waiting,
            "done": self._done,
            "given_up": self._given_up,
        }

    def _enqueue(self, retry: _Retry) -> None:
        if len(self._queue) + self._waiting >= self._settings.queue_max:
            self._give_up("too many messages wait")
        else:
            self._queue.append(retry)

    async def _send(self, retry: _Retry) -> None:
        again = False
        try:
            await self._gateway.send(to=retry.sms.to, text=retry.sms.text)
        except Unavailable:
            again = True
        except Refused as error:
            log.warning("sms refused", code=error.code)
        self._note(0.0, _Tried(retry.sms, retry.tries + 1, again))

    def _tried(self, tried: _Tried) -> None:
        if not tried.again:
            self._done += 1
        elif tried.tries >= self._settings.tries:
            self._give_up("the provider stays away")
        else:
            self._waiting += 1
            self._note(self._settings.retry_s * 2 ** (tried.tries - 1), _Retry(tried.sms, tried.tries))

    def _give_up(self, reason: str) -> None:
        self._given_up += 1
        log.error("sms given up", reason=reason)

    def _note(self, delay_s: float, message: _Tried | _Retry) -> None:
        self._numbered += 1
        self.timers.once(self._numbered, delay_s, message)
