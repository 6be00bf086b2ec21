"""Debits customers' Deriv accounts, each on a socket that acts as that customer, and has the codes for it mailed.

The agent's account must be watched while a debit runs, for its side is the witness: with the agent's socket down
nothing is debited. What the accounts of both looked like just before is stored with the attempt.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from actors.base import DEFER, DeferredReply
from actors.deriv_agent import Agent, AgentWitness
from actors.deriv_customer_session import CustomerSession, NotShown, Secrets, customer_session
from actors.deriv_equals import Equals, unresolved_rows
from actors.rail_call import CallResult, result_of, submit_of, unsealed
from actors.rail_parts import SenderParts
from actors.rail_sender import RailSender
from penpay.domain import deriv_protocol as deriv
from penpay.domain.debit_proof import both_marks
from penpay.domain.errors import BadInput, GatewayError, NotSent, Refused, StoreError
from penpay.domain.rail_end import EXPIRED, RATE_LIMITED, UNREADABLE, Outcome
from penpay.domain.statement import Watermark, description
from penpay.domain.unit import OperationKind, OperationState
from penpay.messages import Refusal
from penpay.messages_rails import CodeSent, SendWithdrawalCode, Submit
from penpay.ports import Attempt, OperationRow, Sealer
from penpay.ports_rails import DerivDialer, RailReads

log = structlog.get_logger("penpay.rails")

SECRETS_UNREADABLE = "secrets_unreadable"
"""Refused by ourselves: token and code cannot be opened (the customer's key is gone). Nothing was sent."""
CODE_MALFORMED = "code_malformed"
"""Refused by ourselves: no verification code looks like this."""
ANOTHER_AGENT = "another_agent"
"""Refused by ourselves: the intent names an agent that we are not. Its dollars would be out of our sight."""
NOT_PREPARED = "not_prepared"
_UNREACHABLE = Refusal("rail_down", "Deriv cannot be reached now.", retry_after_s=10, untouched=True)
_UNCERTAIN = Refusal("rail_down", "Deriv did not say whether it sent a code.", retry_after_s=60)
_RELINK = Refusal("deriv_not_linked", "Deriv does not accept the stored authorization: link the account again.")
_BUSY = Refusal("overloaded", "Too many codes are being asked for.", retry_after_s=5, untouched=True)
_WAIT_S = 60
"""After a rate limit that names no time."""
_WAIT_MAX_S = 86_400
"""Whatever time Deriv names, nobody is told to come back later than tomorrow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalSettings:
    """`max_age_s`: a debit not yet sent by then is not sent at all, for a code has a short life.

    `mail_s`: in all, for whoever asks for a code waits for it.
    """

    call_s: float = 15.0
    look_s: float = 1.0
    mail_s: float = 6.0
    max_age_s: float = 120.0
    settle_s: float = 600.0
    mails_max: int = 16
    reference_visible: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalParts:
    """What the debits need beside what every sender has."""

    sender: SenderParts
    dialer: DerivDialer
    reads: RailReads
    sealer: Sealer
    agent: Agent
    witness: AgentWitness
    settings: WithdrawalSettings = WithdrawalSettings()


@dataclass(frozen=True, slots=True)
class _Ready:
    """A socket that acts as the customer, and all that the call still needs."""

    session: CustomerSession
    code: str = field(repr=False)
    watermark: Watermark | None


@dataclass(frozen=True, slots=True)
class _Look:
    """Time to see whether debits may start."""


@dataclass(frozen=True, slots=True)
class _Mailed:
    """An order to mail a code is over."""

    reply: DeferredReply
    answer: CodeSent | Refusal


class DerivWithdrawalsActor(RailSender):
    """Runs DERIV_WITHDRAW operations, and answers `SendWithdrawalCode`. Constructor: `parts: WithdrawalParts`."""

    RAIL = "deriv"
    KINDS = frozenset({OperationKind.DERIV_WITHDRAW})

    def __init__(self, parts: WithdrawalParts) -> None:
        super().__init__(parts.sender)
        self._more = parts
        self._settings = parts.settings
        self._equals = Equals(reference_visible=parts.settings.reference_visible)
        self._prepared: dict[str, _Ready | CallResult] = {}
        self._mailing = 0

    async def on_start(self) -> None:
        """Nobody tells it when the agent's account is watched again: it looks."""
        await super().on_start()
        self.timers.every("look", self._settings.look_s, _Look())

    async def on_receive(self, message: Any) -> Any:
        """Codes; everything else is the sender's."""
        match message:
            case SendWithdrawalCode():
                return self._mail(message)
            case _Mailed(reply, answer):
                self._mailing -= 1
                reply.set(answer)
            case _Look():
                self.pump()
            case _:
                await super().on_receive(message)
        return None

    def on_open_replies(self, replies: Sequence[DeferredReply], error: BaseException) -> None:
        """Nobody knows whether the codes of this incarnation were mailed; asking again does no harm."""
        del error
        for reply in replies:
            reply.set(_UNCERTAIN)

    def observable_state(self) -> Mapping[str, object]:
        """What is open, and how many codes are being asked for."""
        return {**super().observable_state(), **self._equals.counts, "mailing": self._mailing}

    # --- debiting ---

    def wait_s(self, submit: Submit) -> float | None:
        """None while the agent's account is not watched or an equal debit is open."""
        return None if not self._more.witness.ready or self._equals.blocks(submit) else 0.0

    def started(self, submit: Submit) -> None:
        """From here on it blocks its equals."""
        self._equals.started(submit)

    def ended(self, submit: Submit, result: CallResult | None, *, unknown: bool) -> None:
        """Proven ends free their equals; an unknown one goes on blocking until its row is resolved."""
        del result
        self._equals.ended(submit, unknown=unknown)

    async def unresolved(self) -> Sequence[OperationRow] | None:
        """What other incarnations left open."""
        now, settle_s = self._more.witness.told_now(), self._settings.settle_s
        return await unresolved_rows(self.parts.attempts, self.KINDS, now=now, settle_s=settle_s)

    def blocked_by(self, rows: Sequence[OperationRow]) -> None:
        """What a sweep read."""
        self._equals.left_open(map(submit_of, rows))

    @asynccontextmanager
    async def prepared(self, submit: Submit) -> AsyncIterator[Mapping[str, str]]:
        """The customer's socket, open around the call; both accounts as they are just before it."""
        async with AsyncExitStack() as stack:
            ready = await self._prepare(submit, stack)
            self._prepared[submit.operation_id] = ready
            try:
                if isinstance(ready, CallResult):
                    yield {}
                else:
                    yield both_marks(customer=ready.watermark, agent=self._more.witness.watermark())
            finally:
                del self._prepared[submit.operation_id]

    async def perform(self, attempt: Attempt) -> CallResult:
        """Debit, and read what the reply proves. What went wrong before is the end of this attempt."""
        operation, ready = attempt.operation, self._prepared[attempt.operation.id]
        if isinstance(ready, CallResult):
            return ready
        request = deriv.withdraw(
            amount=operation.amount,
            agent=self._more.agent.loginid,
            code=ready.code,
            reference=description(operation.reference),
        )
        try:
            return withdrawal_result(await ready.session.ask(request))
        except GatewayError as error:
            return result_of(error)

    async def _prepare(self, submit: Submit, stack: AsyncExitStack) -> _Ready | CallResult:
        try:
            operation = (await self._more.reads.operations([submit.operation_id])).get(submit.operation_id)
            if operation is None or not _may_start(operation):
                # No attempt will be allowed either: not worth a socket.
                return result_of(NotSent(NOT_PREPARED))
            secrets = self._checked(operation)
            session, _ = await stack.enter_async_context(
                customer_session(
                    self._more.dialer,
                    loginid=operation.request["loginid"],
                    token=secrets.token,
                    call_s=self._settings.call_s,
                    pays=True,
                )
            )
            return _Ready(session, secrets.code, await account_mark(session))
        except StoreError as error:
            return result_of(NotSent(type(error).__name__))
        except NotSent as error:
            # A debit that is too old stays away for good; everything else may be tried again.
            return CallResult(outcome=Outcome.NOT_SENT, code=error.code, hold=error.code != EXPIRED)
        except Refused as error:
            return result_of(error)

    def _checked(self, operation: OperationRow) -> Secrets:
        """What can be known without asking anybody."""
        if self.parts.clock.now() - operation.created_at > timedelta(seconds=self._settings.max_age_s):
            raise NotSent(EXPIRED)
        if operation.request["paymentagent_loginid"] != self._more.agent.loginid:
            raise Refused(ANOTHER_AGENT)
        try:
            secrets = Secrets.from_bytes(unsealed(self._more.sealer, operation))
        except ValueError:
            raise Refused(SECRETS_UNREADABLE) from None
        if not deriv.is_code(secrets.code):
            raise Refused(CODE_MALFORMED)
        return secrets

    # --- codes ---

    def _mail(self, asked: SendWithdrawalCode) -> Any:
        if self._mailing >= self._settings.mails_max:
            return _BUSY
        self._mailing += 1
        reply = self.defer()
        self.spawn(self._mailed(asked, reply), name="mail")
        return DEFER

    async def _mailed(self, asked: SendWithdrawalCode, reply: DeferredReply) -> None:
        began_s = self.parts.clock.monotonic_s()
        answer = await self._order(asked)
        self.observe("verify_email", "sent" if isinstance(answer, CodeSent) else answer.code, began_s)
        self.note(("mailed", id(reply)), _Mailed(reply, answer))

    async def _order(self, asked: SendWithdrawalCode) -> CodeSent | Refusal:
        """On the customer's own socket: who cannot withdraw learns it before a code is mailed."""
        opening = customer_session(
            self._more.dialer, loginid=asked.loginid, token=asked.token, call_s=self._settings.call_s, pays=True
        )
        try:
            async with asyncio.timeout(self._settings.mail_s), opening as (session, who):
                # Deriv mails to the address that it has now; ours may be older.
                email = who.email or asked.email
                frame = await session.ask(
                    deriv.mail_code(email=email, agent=self._more.agent.loginid, amount=asked.amount)
                )
        except NotSent:
            return _UNREACHABLE
        except Refused:
            return _RELINK
        except (GatewayError, TimeoutError):
            return _UNCERTAIN
        return self._told(frame)

    def _told(self, frame: deriv.Frame) -> CodeSent | Refusal:
        if deriv.asks_to_wait(frame):
            again_at = deriv.may_ask_again_at(frame)
            left_s = (again_at - self.parts.clock.now()).total_seconds() if again_at else _WAIT_S
            wait_s = min(_WAIT_MAX_S, max(1, round(left_s)))
            return Refusal("rate_limited", "Deriv sends no further code yet.", retry_after_s=wait_s)
        if frame.error_code or not deriv.mailed(frame):
            log.warning("deriv mails no code", rail=self.RAIL, code=frame.error_code)
            return Refusal("rail_down", "Deriv did not send a code.", retry_after_s=_WAIT_S)
        return CodeSent()


def withdrawal_result(frame: deriv.Frame) -> CallResult:
    """What Deriv's reply to a debit proves."""
    if not frame.error_code:
        try:
            return CallResult(outcome=Outcome.CONFIRMED, provider_ref=str(deriv.withdrawn(frame)))
        except BadInput as error:
            return CallResult(outcome=Outcome.UNKNOWN, code=f"{UNREADABLE}:{error.field}")
    if deriv.asks_to_wait(frame):
        return CallResult(outcome=Outcome.NOT_SENT, code=RATE_LIMITED, hold=True)
    if deriv.refusal(frame) is None:
        return CallResult(outcome=Outcome.UNKNOWN, code=frame.error_code)
    return CallResult(outcome=Outcome.REFUSED, code=frame.error_code)


async def account_mark(session: CustomerSession) -> Watermark | None:
    """The customer's account as it is now; None when Deriv does not show it. Raises `NotSent`: ask again."""
    try:
        server_time_at = deriv.told_time(await session.read(deriv.server_time()))
        _, balance = deriv.balance(await session.read(deriv.balance_now()))
        newest = await session.read(deriv.statement(since=None, offset=0, limit=1))
        rows = deriv.statement_rows(newest, balance.currency)
    except BadInput as error:
        raise NotSent(f"{UNREADABLE}:{error.field}") from error
    except NotShown:
        return None
    if rows:
        return Watermark(transaction_id=rows[0].id, balance=rows[0].balance_after, server_time_at=server_time_at)
    return Watermark(transaction_id=0, balance=balance, server_time_at=server_time_at)


def _may_start(operation: OperationRow) -> bool:
    return operation.state == OperationState.INTENT and operation.attempts == operation.attempts_closed
