"""Customers' own Deriv sessions, for their balance on the screen: short-lived sockets, one per customer who looks.

Authorization is per connection, so these cannot share the agent's socket, and no money passes through them.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from actors.base import DEFER, AsyncioActor, DeferredReply
from config import limits
from penpay.domain import deriv_protocol as deriv
from penpay.domain.errors import BadInput, NotSent
from penpay.domain.money import Money
from penpay.messages import Refusal
from penpay.messages_rails import CloseCustomer, DerivBalance, GetBalance
from penpay.ports import Clock, ConnectionLost
from penpay.ports_rails import DerivDialer, DerivSocket

log = structlog.get_logger("penpay.rails")

_LAST_KNOWN_MAX = 10_000
_AUTHORIZE, _BALANCE, _PING = 1, 2, 3
_UNREACHABLE = Refusal("rail_down", "Deriv cannot be reached now.", retry_after_s=10)
_RELINK = Refusal("deriv_not_linked", "Deriv no longer accepts the stored authorization: link the account again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomersSettings:
    """Bounds and times of the customers' sessions."""

    sessions_max: int = limits.DERIV_USER_SESSIONS_MAX
    idle_s: float = limits.DERIV_USER_IDLE_S
    answer_s: float = 5.0
    ping_s: float = 30.0
    pong_s: float = 5.0
    look_s: float = 10.0
    backoff_first_s: float = 1.0
    backoff_max_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomersParts:
    """`publish` learns of every new balance (events to the customer's screen); `dice` spreads reconnects."""

    dialer: DerivDialer
    clock: Clock
    dice: random.Random
    publish: Callable[[str, DerivBalance], None]
    settings: CustomersSettings = CustomersSettings()


@dataclass(slots=True)
class _Session:
    """One customer's socket, as the actor sees it."""

    number: int
    loginid: str
    task: asyncio.Task[None]
    used_s: float
    balance: DerivBalance | None = None
    waiting: list[DeferredReply] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Told:
    """Deriv told a balance."""

    user_id: str
    number: int
    balance: Money


@dataclass(frozen=True, slots=True)
class _Over:
    """A session ended: `refusal` when it makes no sense to try again, else it reconnects by itself."""

    user_id: str
    number: int
    refusal: Refusal | None


@dataclass(frozen=True, slots=True)
class _GiveUp:
    """Whoever waits for this customer's balance has waited long enough."""

    user_id: str


@dataclass(frozen=True, slots=True)
class _LookForIdle:
    """Time to close what nobody looks at."""


class _TokenRefusedError(Exception):
    """Deriv, or our own check of the identity, says that this token does not open this account."""


class DerivCustomersActor(AsyncioActor):
    """Answers `GetBalance` from live sessions. Constructor: `parts: CustomersParts`."""

    LEVEL = 1

    def __init__(self, parts: CustomersParts) -> None:
        super().__init__()
        self._parts = parts
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._last_known: OrderedDict[str, tuple[str, DerivBalance]] = OrderedDict()
        """Customer → account, and what it held when it was last told."""
        self._opened = 0

    async def on_start(self) -> None:
        """Sessions are opened when somebody asks."""
        self.timers.every("idle", self._parts.settings.look_s, _LookForIdle())

    async def on_receive(self, message: Any) -> Any:
        """Questions, and what the sessions tell."""
        match message:
            case GetBalance():
                return self._get(message)
            case _Told():
                self._told(message)
            case _Over():
                self._over(message)
            case _GiveUp(user_id):
                session = self._sessions.get(user_id)
                if session is not None:
                    self._answer(user_id, session, self._stale(user_id, session, _UNREACHABLE))
            case _LookForIdle():
                self._close_idle()
            case CloseCustomer(user_id):
                self._last_known.pop(user_id, None)
                if user_id in self._sessions:
                    self._close(user_id)
            case _:
                raise AssertionError(f"customers' sessions do not take {type(message).__name__}")
        return None

    def observable_state(self) -> Mapping[str, object]:
        """How many sockets are open."""
        return {"sessions": len(self._sessions), "opened": self._opened}

    def _get(self, asked: GetBalance) -> Any:
        session = self._sessions.get(asked.user_id)
        if session is not None and session.loginid != asked.loginid:
            self._close(asked.user_id)
            session = None
        if session is None:
            session = self._open(asked)
        session.used_s = self._parts.clock.monotonic_s()
        self._sessions.move_to_end(asked.user_id)
        if session.balance is not None:
            return session.balance
        session.waiting.append(self.defer())
        self.timers.once(("answer", asked.user_id), self._parts.settings.answer_s, _GiveUp(asked.user_id))
        return DEFER

    def _open(self, asked: GetBalance) -> _Session:
        while len(self._sessions) >= self._parts.settings.sessions_max:
            self._close(next(iter(self._sessions)))
        self._opened += 1
        task = self.spawn(self._run(asked, self._opened), name=f"session:{self._opened}")
        session = _Session(self._opened, asked.loginid, task, self._parts.clock.monotonic_s())
        self._sessions[asked.user_id] = session
        return session

    def _close(self, user_id: str) -> None:
        session = self._sessions.pop(user_id)
        session.task.cancel()
        self._answer(user_id, session, self._stale(user_id, session, _UNREACHABLE))

    def _close_idle(self) -> None:
        long_ago_s = self._parts.clock.monotonic_s() - self._parts.settings.idle_s
        for user_id in [user_id for user_id, session in self._sessions.items() if session.used_s < long_ago_s]:
            self._close(user_id)

    def _stale(self, user_id: str, session: _Session, otherwise: Refusal) -> DerivBalance | Refusal:
        """The last known balance of this very account with its time, never a guess."""
        loginid, known = self._last_known.get(user_id, ("", None))
        return replace(known, live=False) if known is not None and loginid == session.loginid else otherwise

    def _answer(self, user_id: str, session: _Session, answer: DerivBalance | Refusal) -> None:
        self.timers.cancel(("answer", user_id))
        waiting, session.waiting = session.waiting, []
        for reply in waiting:
            reply.set(answer)

    def _told(self, told: _Told) -> None:
        session = self._sessions.get(told.user_id)
        if session is None or session.number != told.number:
            return
        session.balance = DerivBalance(balance=told.balance, as_of_at=self._parts.clock.now(), live=True)
        self._last_known[told.user_id] = session.loginid, session.balance
        self._last_known.move_to_end(told.user_id)
        if len(self._last_known) > _LAST_KNOWN_MAX:
            self._last_known.popitem(last=False)
        self._answer(told.user_id, session, session.balance)
        self._parts.publish(told.user_id, session.balance)

    def _over(self, over: _Over) -> None:
        session = self._sessions.get(over.user_id)
        if session is None or session.number != over.number:
            return
        session.balance = None
        if over.refusal is not None:
            del self._sessions[over.user_id]
            self._answer(over.user_id, session, self._stale(over.user_id, session, over.refusal))

    # --- one customer's socket, in a child task ---

    async def _run(self, asked: GetBalance, number: int) -> None:
        settings = self._parts.settings
        delay_s = settings.backoff_first_s
        while True:
            began_s = self._parts.clock.monotonic_s()
            try:
                socket = await self._parts.dialer.connect()
                try:
                    await self._follow(socket, asked, number)
                finally:
                    await socket.close()
            except _TokenRefusedError:
                self._note(number, _Over(asked.user_id, number, _RELINK))
                return
            except (NotSent, ConnectionLost, TimeoutError, BadInput) as error:
                log.info("customer's deriv session lost", error=type(error).__name__)
            self._note(number, _Over(asked.user_id, number, None))
            if self._parts.clock.monotonic_s() - began_s > settings.backoff_max_s:
                delay_s = settings.backoff_first_s
            await asyncio.sleep(delay_s * self._parts.dice.uniform(0.5, 1.0))
            delay_s = min(settings.backoff_max_s, delay_s * 2)

    async def _follow(self, socket: DerivSocket, asked: GetBalance, number: int) -> None:
        """Authorize, subscribe, and pass balances on until the socket is gone."""
        settings = self._parts.settings
        await socket.send(deriv.encode(deriv.authorize(asked.token), _AUTHORIZE))
        pinged = False
        while True:
            try:
                async with asyncio.timeout(settings.pong_s if pinged else settings.ping_s):
                    text = await socket.receive()
            except TimeoutError:
                if pinged:
                    raise
                pinged = True
                await socket.send(deriv.encode(deriv.ping(), _PING))
                continue
            pinged = False
            frame = deriv.decode(text)
            if frame.msg_type in {"authorize", "balance"}:
                _no_error(frame)
            if frame.msg_type == "authorize":
                if deriv.identity(frame).loginid != asked.loginid:
                    raise _TokenRefusedError
                await socket.send(deriv.encode(deriv.balance_stream(), _BALANCE))
            elif frame.msg_type == "balance":
                loginid, balance = deriv.balance(frame)
                if loginid == asked.loginid:
                    self._note(number, _Told(asked.user_id, number, balance))

    def _note(self, number: int, message: _Told | _Over) -> None:
        """Into the mailbox also when it is full; of one session only the newest news of a kind counts."""
        self.timers.once((type(message), number), 0.0, message)


def _no_error(frame: deriv.Frame) -> None:
    """A session without its balance is of no use: what Deriv refuses now is asked anew on another socket, later."""
    if frame.error_code in deriv.TOKEN_REFUSED:
        raise _TokenRefusedError
    if frame.error_code:
        raise NotSent(frame.error_code)
