"""The one connection of the payment agent to Deriv. Everything that moves the agent's dollars passes through it.

    DISCONNECTED → CONNECTING → AUTHORIZING → READY ⇄ DRAINING → DISCONNECTED …

Every call ends: with its reply, or as not sent, or unknown when the socket broke or time ran out after it was written.
Nothing survives a socket, so each new one is authorized, verified and subscribed before money is taken.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from actors.base import DEFER, AsyncioActor, DeferredReply, MailboxFull
from actors.deriv_calls import NO_SOCKET, Call, CallEnd, LateReply, SessionReady, call_end
from actors.deriv_greeting import Greeting, Verdict
from actors.deriv_session_parts import (
    Connected,
    Heard,
    Lost,
    OpenCall,
    OpenCalls,
    Phase,
    SessionParts,
    StillWaiting,
    Time,
    TooLate,
)
from penpay.domain import deriv_protocol as deriv
from penpay.domain.board import NOT_OURS, RailHealth
from penpay.domain.deriv_protocol import Frame, Request
from penpay.domain.errors import BadInput, NotSent
from penpay.domain.rail_end import DISCONNECTED, Outcome
from penpay.messages_rails import DERIV_TRANSFERS
from penpay.ports import ConnectionLost
from penpay.ports_rails import DerivSocket

log = structlog.get_logger("penpay.rails")

RAIL = "deriv"
_AUTHORIZATION_LOST = frozenset({"AuthorizationRequired", "InvalidToken"})
_BACKOFF_STEPS_MAX = 16


class DerivSessionActor(AsyncioActor):
    """Owns the agent's socket. Constructor: `parts: SessionParts`."""

    LEVEL = 1
    MAILBOX_MAX = 4096

    def __init__(self, parts: SessionParts) -> None:
        super().__init__()
        self._parts = parts
        self._settings = parts.settings
        self._phase = Phase.DISCONNECTED
        self._reason = "not started"
        self._socket: DerivSocket | None = None
        self._open = OpenCalls(self._settings.late_kept)
        self._reads: dict[int, tuple[Call, DeferredReply]] = {}
        self._read_number = 0
        self._failures = 0
        self._authorized = False
        self._up_since_s = 0.0
        self._greeting = Greeting(parts.witness)
        self._reader: asyncio.Task[None] | None = None

    async def on_start(self) -> None:
        """The first connection is tried at once, and only while the lease is ours."""
        self._publish("connecting")
        self.timers.every("lease", self._settings.lease_look_s, Time.LEASE)
        self.timers.every("ping", self._settings.ping_s, Time.PING)
        self.timers.once("connect", 0.0, Time.CONNECT)

    async def on_stop(self) -> None:
        """The transfers' actor stops before this one and has waited for its replies."""
        socket = self._socket
        self._drop("stopping")
        if socket is not None:
            await socket.close()

    async def on_failure(self, *_: object) -> None:
        """Nothing is trusted any more, the socket neither."""
        if self._socket is not None:
            await self._socket.close()

    def on_incarnation_over(self) -> None:
        """In every case: nobody takes money calls now."""
        self._phase = Phase.DISCONNECTED
        self._publish("restarting")

    def on_open_replies(self, replies: Sequence[DeferredReply], error: BaseException) -> None:
        """What was written may have been executed, whatever ended this incarnation."""
        del error
        for reply in replies:
            reply.set(CallEnd(outcome=Outcome.UNKNOWN, code=DISCONNECTED))

    async def on_receive(self, message: Any) -> Any:
        """Calls, frames, and what becomes of the socket."""
        match message:
            case Call():
                return await self._call(message)
            case Heard(number, text):
                if number == self._open.connection and self._socket is not None:
                    await self._heard(text)
            case TooLate(req_id):
                await self._too_late(req_id)
            case StillWaiting(number):
                waiting = self._reads.pop(number, None)
                if waiting is not None:
                    waiting[1].set(NO_SOCKET)
            case Time.CONNECT:
                self._connect()
            case Connected(socket, code):
                await self._connected(socket, code)
            case Lost(number):
                if number == self._open.connection and self._socket is not None:
                    self._drop("connection lost")
            case Time.LEASE:
                self._look_at_lease()
            case Time.PING:
                await self._ping()
            case Time.AGAIN:
                await self._ask_again()
            case _:
                raise AssertionError(f"the session does not take {type(message).__name__}")
        return None

    def observable_state(self) -> Mapping[str, object]:
        """Phase, reason, calls in flight."""
        state = {"phase": self._phase.value, "reason": self._reason, "connections": self._open.connection}
        return {**state, "in_flight": len(self._open), "waiting_reads": len(self._reads)}

    # --- calls ---

    async def _call(self, call: Call) -> Any:
        reply = self.defer()
        closed = call.money and (self._phase is not Phase.READY or self._parts.lease.current() is None)
        if self._phase in {Phase.READY, Phase.DRAINING} and not closed:
            await self._write(call.request, OpenCall(call, reply), timeout_s=call.timeout_s)
        elif call.money or len(self._reads) >= self._settings.waiting_reads_max:
            reply.set(NO_SOCKET)
        else:
            self._read_number += 1
            self._reads[self._read_number] = (call, reply)
            self.timers.once(("read", self._read_number), call.timeout_s, StillWaiting(self._read_number))
        return DEFER

    async def _write(self, request: Request, opened: OpenCall, *, timeout_s: float) -> None:
        """Register first, then write: whatever happens from here on, the request has an end."""
        assert self._socket is not None
        req_id = self._open.add(opened)
        self.timers.once(("late", req_id), timeout_s, TooLate(req_id))
        try:
            async with asyncio.timeout(self._settings.send_s):
                await self._socket.send(deriv.encode(request, req_id))
        except NotSent:
            self._take(req_id)
            if opened.reply is not None:
                opened.reply.set(NO_SOCKET)
            self._drop("connection closed")
        except (ConnectionLost, TimeoutError):
            self._drop("connection broke while writing")

    async def _too_late(self, req_id: int) -> None:
        opened = self._open.too_late(req_id)
        if opened is None or opened.then is None:
            return
        name, asking = opened.does_without, self._phase is Phase.AUTHORIZING
        if name and not asking:
            self._open.take(req_id)
            self._greeting.lacks(name, "no answer", for_now=True)
            self._told_again()
        elif name and self._greeting.is_silent(name, self._open.unanswered()):
            self._open.take(req_id)
            await self._step()
        else:
            log.warning("deriv did not answer the session itself", rail=RAIL)
            self.timers.once("lost", 0.0, Lost(self._open.connection))

    def _take(self, req_id: int) -> OpenCall | None:
        self.timers.cancel(("late", req_id))
        return self._open.take(req_id)

    # --- frames ---

    async def _heard(self, text: str) -> None:
        try:
            frame = deriv.decode(text)
        except BadInput as error:
            log.warning("unreadable frame of deriv", rail=RAIL, field=error.field)
            return
        opened = self._take(frame.req_id) if frame.req_id is not None else None
        if opened is None:
            self._streamed(frame)
        elif opened.then is not None:
            await self._answered(frame, opened.then, opened.does_without)
        else:
            self._replied(frame, opened)

    def _replied(self, frame: Frame, opened: OpenCall) -> None:
        end = call_end(frame)
        witness = self._parts.witness
        if frame.msg_type == "balance" and end.outcome is Outcome.CONFIRMED and "balance" not in witness.missing:
            self._streamed(frame)  # here, between the pushes: later it might be older than what was pushed since
        if opened.reply is not None:
            opened.reply.set(end)
        elif opened.call is not None and opened.call.late_to:
            try:
                self._parts.addresses.tell(opened.call.late_to, LateReply(opened.call.reference, end))
            except MailboxFull:
                log.warning("late reply not delivered, the statement will tell", rail=RAIL)
        if end.code in _AUTHORIZATION_LOST:
            self._drop("authorization lost")

    async def _answered(self, frame: Frame, then: Callable[[Frame], None], does_without: str) -> None:
        """The answer to one of the session's own requests; all of them together make it ready."""
        # Whoever refuses the agent's token, or shows another identity, will do so again: no hurry.
        patient = frame.msg_type == "authorize"
        problem = f"{frame.msg_type} refused: {frame.error_code}" if frame.error_code else ""
        if not problem or frame.msg_type == "ping":
            try:
                then(frame)
            except BadInput as error:
                problem = error.field
        if problem and does_without and frame.error_code not in _AUTHORIZATION_LOST:
            passes = bool(frame.error_code) and frame.error_code not in deriv.NOT_SHOWN
            self._greeting.lacks(does_without, problem, for_now=passes)
        elif problem and frame.msg_type != "ping":
            self._drop(problem, patient=patient)
            return
        elif does_without:
            self._parts.witness.has(does_without)
        if self._phase is Phase.AUTHORIZING:
            await self._step()
        elif does_without:
            self._told_again()

    def _streamed(self, frame: Frame) -> None:
        """A message of a stream. An unreadable one is skipped: the statement is read for proof anyway."""
        try:
            match frame.msg_type:
                case "transaction":
                    self._parts.witness.on_transaction(frame)
                case "balance":
                    self._parts.witness.on_balance(frame)
                case "website_status":
                    self._parts.witness.on_site_status(frame)
                    self._see_site()
        except BadInput as error:
            log.warning("unreadable message of deriv", rail=RAIL, field=error.field)

    # --- the life of a socket ---

    def _connect(self) -> None:
        if self._phase is not Phase.DISCONNECTED or self._parts.lease.current() is None:
            return
        self._phase = Phase.CONNECTING
        self.spawn(self._dial(), name="dial")

    async def _dial(self) -> None:
        try:
            connected = Connected(await self._parts.dialer.connect())
        except NotSent as error:
            connected = Connected(None, error.code)
        self.timers.once("connected", 0.0, connected)

    async def _connected(self, socket: DerivSocket | None, code: str) -> None:
        if socket is None:
            self._drop(f"no connection: {code}")
            return
        number = self._open.connected()
        self._socket = socket
        self._phase = Phase.AUTHORIZING
        self._reader = self.spawn(self._read(socket, number), name="read")
        await self._own(deriv.authorize(self._parts.agent.token), self._parts.witness.on_identity)

    async def _read(self, socket: DerivSocket, number: int) -> None:
        while True:
            try:
                heard: Heard | Lost = Heard(number, await socket.receive())
            except ConnectionLost:
                heard = Lost(number)
            try:
                self.actor_ref.tell(heard)
            except MailboxFull:
                # A frame that cannot be taken may be a money reply: better a known break than a silent hole.
                self.timers.once("lost", 0.0, Lost(number))
                return
            if isinstance(heard, Lost):
                return

    async def _own(self, request: Request, then: Callable[[Frame], None], *, does_without: str = "") -> None:
        if self._socket is not None:
            opened = OpenCall(None, None, then, does_without)
            await self._write(request, opened, timeout_s=self._settings.call_s)

    async def _step(self) -> None:
        """After `authorize` come streams and watermark; after those the socket is ready, if the site is up."""
        if not self._authorized:
            self._authorized = True
            self._up_since_s = self._parts.clock.monotonic_s()
            for name, request, take in self._greeting.begin():
                await self._own(request, take, does_without=name)
            return
        match self._greeting.step():
            case Verdict.DONE:
                await self._ready()
            case Verdict.DOUBTFUL:
                await self._own(deriv.ping(), lambda _: None)

    async def _ready(self) -> None:
        witness = self._parts.witness
        self._phase = Phase.READY if witness.site_status == "up" else Phase.DRAINING
        self._publish("" if self._phase is Phase.READY else f"site is {witness.site_status}")
        self._plan_again()
        reads, self._reads = self._reads, {}
        for number, (call, reply) in reads.items():
            self.timers.cancel(("read", number))
            if self._socket is not None:
                await self._write(call.request, OpenCall(call, reply), timeout_s=call.timeout_s)
            else:
                reply.set(NO_SOCKET)

    def _plan_again(self) -> None:
        """A socket may live for days: what was only refused for now is asked for once more, with patience."""
        if self._greeting.again() and "again" not in self.timers:
            longest_s = self._greeting.patience_s(self._settings.again_first_s, self._settings.again_max_s)
            self.timers.once("again", longest_s * self._parts.dice.uniform(0.5, 1.0), Time.AGAIN)

    async def _ask_again(self) -> None:
        for name, request, take in self._greeting.again():
            await self._own(request, take, does_without=name)

    def _told_again(self) -> None:
        self._see_site()
        if self._phase is Phase.READY:
            self._publish("")
        self._plan_again()

    def _drop(self, reason: str, *, patient: bool = False) -> None:
        """Give the socket up: every written call is unknown now (reads are just asked again), then try anew."""
        socket, self._socket = self._socket, None
        was_up_s = self._parts.clock.monotonic_s() - self._up_since_s if self._authorized else 0.0
        self._phase, self._authorized = Phase.DISCONNECTED, False
        self._publish(reason)
        lost = self._open.broken()
        for req_id in lost:
            self.timers.cancel(("late", req_id))
        self.timers.cancel("pong")
        self.timers.cancel("again")
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None
        self._failures = 1 if was_up_s >= self._settings.min_uptime_s else self._failures + 1
        longest = self._settings.backoff_max_s
        steps = min(self._failures - 1, _BACKOFF_STEPS_MAX)
        delay_s = longest if patient else min(longest, self._settings.backoff_first_s * 2**steps)
        self.timers.once("connect", delay_s * self._parts.dice.uniform(0.5, 1.0), Time.CONNECT)
        log.warning("deriv session down", rail=RAIL, reason=reason, in_flight=len(lost))
        if socket is not None:
            self.spawn(socket.close(), name="close")

    def _look_at_lease(self) -> None:
        if self._parts.lease.current() is not None:
            if self._phase is Phase.DISCONNECTED and "connect" not in self.timers:
                self._connect()
        elif self._socket is not None and not self._parts.lease.held:
            self._drop(NOT_OURS)
        elif self._phase is Phase.DISCONNECTED and self._reason != NOT_OURS:
            self._publish(NOT_OURS)

    async def _ping(self) -> None:
        if self._socket is not None and self._phase in {Phase.READY, Phase.DRAINING}:
            self.timers.once("pong", self._settings.pong_s, Lost(self._open.connection))
            await self._own(deriv.ping(), lambda _: self.timers.cancel("pong"))

    def _see_site(self) -> None:
        """On `updating` Deriv drops every socket within a minute: no new money, replies in flight may still come."""
        status = self._parts.witness.site_status
        if self._phase is Phase.READY and status != "up":
            self._phase = Phase.DRAINING
            self._publish(f"site is {status}")
        elif self._phase is Phase.DRAINING and status == "up":
            self._phase = Phase.READY
            self._publish("")

    def _publish(self, reason: str) -> None:
        missing, up = sorted(self._parts.witness.missing), self._phase is Phase.READY
        self._reason = f"without {', '.join(missing)}" if up and missing else reason
        self._parts.witness.ready = up
        self._parts.board.rails[RAIL] = RailHealth(up=up, reason=self._reason)
        if up:
            try:
                self._parts.addresses.tell(DERIV_TRANSFERS, SessionReady())
            except MailboxFull:
                log.debug("transfers are busy, they look by themselves", rail=RAIL)
