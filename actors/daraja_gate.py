"""The one way to Safaricom: pushes, Reversals and payouts under pacing and breakers, and the questions that sagas ask.

A code that speaks against our initiator stops every payout at once: a few wrong tries would lock the credential.
"""

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from actors.attempt_rows import NOT_BEGUN
from actors.base import MailboxFull
from actors.breaker import Breaker, BreakerState
from actors.daraja_payouts import PAYEE_UNREADABLE, STOPPED, Payouts, spoils_credential, stops_payouts
from actors.pacing import TokenBucket
from actors.rail_call import CallResult, result_of, unsealed
from actors.rail_parts import SenderParts
from actors.rail_sender import LEASE_PASSED, RailSender
from actors.saga_bell import tell_saga
from penpay.domain.board import NOT_OURS, RailHealth
from penpay.domain.errors import GatewayError, StoreError
from penpay.domain.rail_end import DUPLICATE, EXPIRED, RATE_LIMITED, RECOVERED, WRONG_CREDENTIALS, Outcome
from penpay.domain.unit import OperationKind
from penpay.messages import ProbeAnswered
from penpay.messages_rails import (
    DARAJA_POLLERS,
    NEVER_ACKNOWLEDGED,
    ProbePayout,
    ProbePull,
    ProbeReversal,
    ProbeStk,
    ResumePayouts,
    StopPayouts,
    Submit,
)
from penpay.ports import Attempt, CallbackTokens, OperationRow, Sealer
from penpay.ports_rails import DarajaGateway, RailReads

log = structlog.get_logger("penpay.rails")

PAYOUTS = "b2c"
"""Name of payouts on the board, beside the rail that they belong to."""
_Question = ProbeStk | ProbeReversal | ProbePayout
_OF_OUR_SIDE = frozenset({WRONG_CREDENTIALS})
_ANSWERED = frozenset({DUPLICATE, RATE_LIMITED})
"""Codes of calls that failed and yet show that Daraja is there."""
_NOT_CALLED = frozenset({EXPIRED, LEASE_PASSED, NOT_BEGUN, PAYEE_UNREADABLE, RECOVERED})


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """Rates are calls a second, 0 means unpaced."""

    stk_per_s: float = 5.0
    b2c_per_s: float = 2.0
    other_per_s: float = 5.0
    stk_max_age_s: float = 120.0
    same_payout_id_s: float = 86_400.0
    questions_max: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class GateParts:
    """What the gate needs beside what every sender has."""

    sender: SenderParts
    daraja: DarajaGateway
    reads: RailReads
    tokens: CallbackTokens
    sealer: Sealer
    settings: GateSettings = GateSettings()


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question of a saga was answered."""

    key: str


@dataclass(frozen=True, slots=True)
class _ProbeDue:
    """The breaker of an operation may ask its harmless question."""

    kind: OperationKind


@dataclass(frozen=True, slots=True)
class _Probed:
    """The answer of that question."""

    kind: OperationKind
    ok: bool


class DarajaGateActor(RailSender):
    """Sends STK pushes, Reversals and payouts, one pace and one breaker for each, and answers probes.

    Constructor: `parts: GateParts`.
    """

    RAIL = "daraja"
    KINDS = frozenset({OperationKind.STK, OperationKind.REVERSAL, OperationKind.B2C})

    def __init__(self, parts: GateParts) -> None:
        super().__init__(parts.sender)
        self._gate = parts
        self._buckets = {
            OperationKind.STK: TokenBucket(parts.settings.stk_per_s),
            OperationKind.REVERSAL: TokenBucket(parts.settings.other_per_s),
            OperationKind.B2C: TokenBucket(parts.settings.b2c_per_s),
        }
        self._breakers = {kind: Breaker() for kind in self.KINDS}
        self._questions: set[str] = set()
        self._payouts = Payouts(
            daraja=parts.daraja,
            reads=parts.reads,
            tokens=parts.tokens,
            sealer=parts.sealer,
            clock=parts.sender.clock,
            same_id_s=parts.settings.same_payout_id_s,
        )
        self._stopped = ""
        """The code that stopped payouts. Forgotten with this incarnation: the next learns it from its first payout."""

    async def on_start(self) -> None:
        """Health is published at once: admission waits for it."""
        await super().on_start()
        self._publish()

    async def on_stop(self) -> None:
        """No new business while away."""
        for name in (self.RAIL, PAYOUTS):
            self.parts.board.rails[name] = RailHealth(up=False, reason="stopping")
        await super().on_stop()

    async def on_receive(self, message: Any) -> Any:
        """Questions of sagas; everything else is the sender's."""
        match message:
            case ProbeStk():
                self._ask(f"stk:{message.operation_id}", self._stk(message), message, "stk")
            case ProbeReversal():
                self._ask(f"reversal:{message.operation_id}", self._reversal(message), message, "reversal")
            case ProbePayout():
                self._ask(f"payout:{message.operation_id}", self._payouts.status(message), message, "payout")
            case ProbePull():
                self._forward(message)
            case StopPayouts(code=code):
                self._stop_payouts(code)
            case ResumePayouts():
                self._resume_payouts(message)
            case _Asked(key):
                self._questions.discard(key)
            case _ProbeDue(kind):
                self._breakers[kind].probe()
                self.spawn(self._probe(kind), name=f"probe:{kind}")
            case _Probed(kind, ok):
                self._breakers[kind].probed(ok=ok, now_s=self.parts.clock.monotonic_s())
                self._schedule_probe(kind)
                self.pump()
            case _:
                await super().on_receive(message)
        self._publish()

    def observable_state(self) -> Mapping[str, object]:
        """Breakers and rates in force."""
        breakers = {kind.value: breaker.state.value for kind, breaker in self._breakers.items()}
        rates = {kind.value: bucket.per_s for kind, bucket in self._buckets.items()}
        more = {"questions": len(self._questions), "payouts_stopped": self._stopped}
        return {**super().observable_state(), "breakers": breakers, "per_s": rates, **more}

    # --- sending ---

    def wait_s(self, submit: Submit) -> float | None:
        """Pacing; an open breaker keeps everything queued until its probe succeeds, and so does a stop of payouts."""
        if not self._breakers[submit.kind].closed or self._is_stopped(submit.kind):
            return None
        return self._buckets[submit.kind].wait_s(self.parts.clock.monotonic_s())

    def started(self, submit: Submit) -> None:
        """Counted when it starts, also when no attempt comes of it."""
        self._buckets[submit.kind].take(self.parts.clock.monotonic_s())

    async def perform(self, attempt: Attempt) -> CallResult:
        """Open the payee, call, and say what it came to."""
        operation = attempt.operation
        if operation.kind == OperationKind.B2C:
            return await self._payouts.pay(attempt)
        try:
            if operation.kind == OperationKind.STK:
                return await self._push(operation)
            return await self._reverse(operation)
        except GatewayError as error:
            return result_of(error, hold=error.code in _OF_OUR_SIDE)

    async def _push(self, operation: OperationRow) -> CallResult:
        age = self.parts.clock.now() - operation.created_at
        if age > timedelta(seconds=self._gate.settings.stk_max_age_s):
            # The customer has long put the phone away: a prompt now would only confuse.
            return CallResult(outcome=Outcome.NOT_SENT, code=EXPIRED)
        try:
            phone = unsealed(self._gate.sealer, operation)
        except ValueError:
            return CallResult(outcome=Outcome.REFUSED, code=PAYEE_UNREADABLE)
        ack = await self._gate.daraja.stk_push(
            amount=operation.amount,
            phone=phone.decode(),
            reference=operation.reference,
            callback_url=self._gate.tokens.url("stk", operation.shard, operation.id),
        )
        return CallResult(
            outcome=Outcome.CONFIRMED,
            provider_ref=ack.checkout_request_id,
            facts={
                "checkout_request_id": ack.checkout_request_id,
                "merchant_request_id": ack.merchant_request_id,
            },
            body=ack.body,
        )

    async def _reverse(self, operation: OperationRow) -> CallResult:
        ack = await self._gate.daraja.reverse(
            receipt=operation.request["receipt"],
            amount=operation.amount,
            result_url=self._gate.tokens.url("reversal", operation.shard, operation.id),
            timeout_url=self._gate.tokens.url("timeout", operation.shard, operation.id),
        )
        return CallResult(
            outcome=Outcome.CONFIRMED,
            provider_ref=ack.conversation_id,
            facts={
                "conversation_id": ack.conversation_id,
                "originator_conversation_id": ack.originator_conversation_id,
            },
        )

    def ended(self, submit: Submit, result: CallResult | None, *, unknown: bool) -> None:
        """Feed pace and breaker."""
        del unknown
        if result is None or result.code in _NOT_CALLED:
            return
        bucket, breaker = self._buckets[submit.kind], self._breakers[submit.kind]
        if result.code == RATE_LIMITED:
            bucket.slower()
        elif result.outcome is Outcome.CONFIRMED:
            bucket.succeeded()
        answered = result.outcome in {Outcome.CONFIRMED, Outcome.REFUSED} or result.code in _ANSWERED
        breaker.ended(ok=answered, now_s=self.parts.clock.monotonic_s())
        self._schedule_probe(submit.kind)
        if submit.kind is OperationKind.B2C and stops_payouts(result.code):
            self._stop_payouts(result.code)

    # --- our initiator ---

    def _is_stopped(self, kind: OperationKind) -> bool:
        """A Reversal uses the same credential as a payout: it waits when that is at fault, not when rights are."""
        if kind is OperationKind.REVERSAL:
            return spoils_credential(self._stopped)
        return kind is OperationKind.B2C and bool(self._stopped)

    def _stop_payouts(self, code: str) -> None:
        if self._stopped:
            return
        self._stopped = code
        then = "repair it, then `penpay restart rails/daraja/gate`"
        log.error("payouts stopped, a person must look at the initiator", rail=self.RAIL, code=code, then=then)
        self._tell_pollers(StopPayouts(code=code))

    def _resume_payouts(self, resume: ResumePayouts) -> None:
        if self._stopped:
            log.warning("payouts resumed", rail=self.RAIL, code=self._stopped)
        self._stopped = ""
        self._tell_pollers(resume)
        self.pump()

    def _tell_pollers(self, message: StopPayouts | ResumePayouts) -> None:
        try:
            self.parts.addresses.tell(DARAJA_POLLERS, message)
        except MailboxFull:
            log.warning("pollers are busy, they learn it from their next result", rail=self.RAIL)

    # --- breaker and health ---

    def _schedule_probe(self, kind: OperationKind) -> None:
        breaker = self._breakers[kind]
        key = ("probe", kind)
        if breaker.state is BreakerState.OPEN and key not in self.timers:
            log.warning("breaker open", rail=self.RAIL, operation=kind.value)
            self.timers.once(key, breaker.wait_s(self.parts.clock.monotonic_s()), _ProbeDue(kind))

    async def _probe(self, kind: OperationKind) -> None:
        try:
            await self._gate.daraja.check()
        except GatewayError:
            self.note(("probed", kind), _Probed(kind, ok=False))
        else:
            self.note(("probed", kind), _Probed(kind, ok=True))

    def _publish(self) -> None:
        if self.parts.lease.current() is None:
            health = RailHealth(up=False, reason=NOT_OURS)
        elif not self._breakers[OperationKind.STK].closed:
            health = RailHealth(up=False, reason="Safaricom does not answer", retry_after_s=30)
        else:
            health = RailHealth(up=True)
        self.parts.board.rails[self.RAIL] = health
        self.parts.board.rails[PAYOUTS] = self._payout_health(health)
        self.parts.board.backlogs[self.RAIL] = self._buckets[OperationKind.STK].seconds_for(self.waiting)

    def _payout_health(self, rail: RailHealth) -> RailHealth:
        if self.RAIL in self.parts.board.unopened or self.parts.lease.current() is None:
            return rail if not rail.up else self.parts.board.rail(self.RAIL)
        if self._stopped:
            return RailHealth(up=False, reason=f"payouts are stopped: code {self._stopped}", retry_after_s=60)
        if not self._breakers[OperationKind.B2C].closed:
            return RailHealth(up=False, reason="Safaricom takes no payouts", retry_after_s=30)
        return RailHealth(up=True)

    # --- questions ---

    def _ask(self, key: str, question: Coroutine[Any, Any, ProbeAnswered], asked: _Question, probe: str) -> None:
        useless = spoils_credential(self._stopped) and not isinstance(asked, ProbeStk)
        if useless or key in self._questions or len(self._questions) >= self._gate.settings.questions_max:
            question.close()
            if key not in self._questions:
                self._answer(asked, _unanswered(probe, asked, STOPPED if useless else "too_many_questions"))
            return
        self._questions.add(key)
        self.spawn(self._answering(key, question, asked, probe), name=key)

    async def _answering(
        self, key: str, question: Coroutine[Any, Any, ProbeAnswered], asked: _Question, probe: str
    ) -> None:
        began_s = self.parts.clock.monotonic_s()
        try:
            answer = await question
        except GatewayError as error:
            answer = _unanswered(probe, asked, error.code)
        self.observe(f"{probe}_query", answer.outcome, began_s)
        self._answer(asked, answer)
        self.note(("asked", key), _Asked(key))

    def _answer(self, asked: _Question | ProbePull, answer: ProbeAnswered) -> None:
        tell_saga(self.parts.addresses, asked.shard, asked.transaction_id, answer)

    async def _stk(self, asked: ProbeStk) -> ProbeAnswered:
        """A success is proof, a failure only a hint until the grace has passed: the saga judges."""
        status = await self._gate.daraja.stk_query(asked.checkout_request_id)
        outcome = "PAID" if status.result_code == "0" else "FAILED" if status.result_code else "PENDING"
        return ProbeAnswered(
            probe="stk",
            operation_id=asked.operation_id,
            outcome=outcome,
            code=status.result_code,
            reference=asked.checkout_request_id,
        )

    async def _reversal(self, asked: ProbeReversal) -> ProbeAnswered:
        """The status comes by callback, as an inbox row of the same operation.

        Only the Reversal's own conversation is asked about: the payment itself is `Completed` whether or not it was
        given back, and that must never be taken for a refund.
        """
        try:
            attempt = (await self.parts.attempts.newest([asked.operation_id])).get(asked.operation_id)
        except StoreError as error:
            return _unanswered("reversal", asked, type(error).__name__)
        if attempt is None or not attempt.provider_ref:
            return _unanswered("reversal", asked, NEVER_ACKNOWLEDGED)
        await self._gate.daraja.transaction_status(
            receipt="",
            conversation_id=asked.originator_conversation_id or attempt.provider_ref,
            payouts=False,
            result_url=self._gate.tokens.url("txstatus", asked.shard, asked.operation_id),
            timeout_url=self._gate.tokens.url("timeout", asked.shard, asked.operation_id),
        )
        return ProbeAnswered(probe="reversal", operation_id=asked.operation_id, outcome="PENDING")

    def _forward(self, asked: ProbePull) -> None:
        try:
            self.parts.addresses.tell(DARAJA_POLLERS, asked)
        except MailboxFull:
            self._answer(asked, _unanswered("pull", asked, "too_many_questions"))


def _unanswered(probe: str, asked: _Question | ProbePull, code: str) -> ProbeAnswered:
    return ProbeAnswered(probe=probe, operation_id=asked.operation_id, outcome="UNANSWERED", code=code)
