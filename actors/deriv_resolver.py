"""Finds out from statements what became of a transfer or a debit whose answer was lost, and shows the proof.

Absence is the dangerous answer: it lets the same money be sent again, or a debit be forgotten. It takes the settle
window, the site up, and two complete reads whose balances join up without a gap, for a debit on both sides.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from actors.base import AsyncioActor
from actors.deriv_statement import AgentStatement, CustomerStatements
from actors.saga_bell import tell_saga
from penpay.domain.debit_proof import is_unmarked, marks_from_text, story_of
from penpay.domain.errors import BadInput, GatewayError, StoreError
from penpay.domain.ids import account_reference, ulid_ms
from penpay.domain.money import Currency, Money
from penpay.domain.rail_end import ANOTHER_RECIPIENT, RECOVERED
from penpay.domain.statement import (
    Found,
    LostTransfer,
    Reading,
    StatementRead,
    StatementRow,
    Watermark,
    mark_before,
    read_for_transfer,
    sent_at,
)
from penpay.messages import ProbeAnswered
from penpay.messages_rails import ResolveDebit, ResolveTransfer
from penpay.ports import Addresses, AttemptStore, Clock, OperationRow, SentAttempt
from penpay.ports_rails import RailReads

log = structlog.get_logger("penpay.rails")

TRANSFER_KIND = "deriv_transaction"
"""Kind of `provider_references` under which a row of the agent's statement is used up by what we sent."""
DEBIT_KIND = "deriv_debit"
"""The same for the row of a customer's statement, and below for the agent's side of it."""
CREDIT_KIND = "deriv_credit"
_WAITING_MAX = 5000
_CLEAN_KEPT = 10_000
_NO_ATTEMPT = "no_attempt"
_Question = ResolveTransfer | ResolveDebit


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverSettings:
    """`settle_s`: Deriv may still be executing what it received that long ago. Two clean reads lie `apart_s` apart.

    Of customers' statements at most `customers_max` are read at once.
    """

    settle_s: float = 600.0
    apart_s: float = 20.0
    customers_max: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverParts:
    """What the resolver works with."""

    statement: AgentStatement
    customers: CustomerStatements
    attempts: AttemptStore
    reads: RailReads
    addresses: Addresses
    clock: Clock
    settings: ResolverSettings = ResolverSettings()


@dataclass(frozen=True, slots=True)
class _ReadNow:
    """Pacing lets the next read start."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """What one read says to one question; `reading` is None when a side could not be read."""

    question: _Question
    reading: Reading | None = None
    attempt: int = 0
    settled_at: datetime | None = None
    code: str = ""
    unsent: str = ""
    """Proof that this attempt never reached Deriv."""


@dataclass(frozen=True, slots=True)
class _Read:
    """One read is over."""

    began_at: datetime
    judged: Sequence[_Judged]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What one read goes by: attempts of the questions, intents of the debits, the agent's rows, who used them."""

    attempts: Mapping[str, SentAttempt]
    debits: Mapping[str, OperationRow]
    agent: StatementRead
    sent_by: Mapping[str, str]
    credited_to: Mapping[str, str]


class DerivResolverActor(AsyncioActor):
    """Answers `ResolveTransfer` and `ResolveDebit`. One read of the agent's statement serves everyone who waits for it.

    Constructor: `parts: ResolverParts`.
    """

    LEVEL = 1
    MAILBOX_MAX = 8192

    def __init__(self, parts: ResolverParts) -> None:
        super().__init__()
        self._parts = parts
        self._waiting: dict[str, _Question] = {}
        self._reading = False
        self._clean: OrderedDict[tuple[str, int], datetime] = OrderedDict()
        """(operation, attempt) → when its first clean read after the settle window began."""

    async def on_receive(self, message: Any) -> Any:
        """Questions, and the ends of its own reads."""
        match message:
            case ResolveTransfer() | ResolveDebit():
                if len(self._waiting) < _WAITING_MAX:
                    self._waiting[message.operation_id] = message
            case _Read(began_at, judged):
                self._reading = False
                for one in judged:
                    self._conclude(one, began_at)
            case _ReadNow():
                pass
            case _:
                raise AssertionError(f"the resolver does not take {type(message).__name__}")
        self._start()

    def observable_state(self) -> Mapping[str, object]:
        """How many wait, and how many have one of their two clean reads."""
        return {"waiting": len(self._waiting), "reading": self._reading, "once_clean": len(self._clean)}

    def _start(self) -> None:
        if self._reading or not self._waiting:
            return
        wait_s = self._parts.statement.wait_s()
        if wait_s:
            self.timers.once("read", wait_s, _ReadNow())
            return
        asked, self._waiting = tuple(self._waiting.values()), {}
        self._reading = True
        self.spawn(self._read(asked), name="read")

    # --- one read, in a child task ---

    async def _read(self, asked: tuple[_Question, ...]) -> None:
        began_at = self._parts.statement.witness.server_now()
        try:
            judged = await self._look(asked)
        except StoreError as error:
            judged = [_Judged(question, code=type(error).__name__) for question in asked]
        except GatewayError as error:
            judged = [_Judged(question, code=error.code) for question in asked]
        self.timers.once("judge", 0.0, _Read(began_at, judged))

    async def _look(self, asked: tuple[_Question, ...]) -> Sequence[_Judged]:
        parts = self._parts
        attempts = await parts.attempts.newest([question.operation_id for question in asked])
        marks, unmarked = _marks(asked, attempts)
        if not marks:
            return unmarked
        debited = [question.operation_id for question in marks if isinstance(question, ResolveDebit)]
        debits = await parts.reads.operations(debited) if debited else {}
        agent = await parts.statement.read(min(mark.read_since for mark in marks.values()))
        ids = [str(row.id) for row in agent.rows]
        facts = _Facts(
            attempts=attempts,
            debits=debits,
            agent=agent,
            sent_by=await parts.attempts.used_references(TRANSFER_KIND, ids) if ids else {},
            credited_to=await parts.attempts.used_references(CREDIT_KIND, ids) if ids and debited else {},
        )
        turn = asyncio.Semaphore(parts.settings.customers_max)
        judged = await asyncio.gather(*(self._judge(question, facts, turn) for question in marks))
        return [*unmarked, *judged]

    async def _judge(self, question: _Question, facts: _Facts, turn: asyncio.Semaphore) -> _Judged:
        attempt = facts.attempts[question.operation_id]
        settled_at = sent_at(attempt.sent_at, attempt.watermark) + timedelta(seconds=self._parts.settings.settle_s)
        if isinstance(question, ResolveTransfer):
            mark = _mark(question, attempt)
            forgotten = RECOVERED in attempt.watermark
            lost = LostTransfer(
                amount=question.amount,
                payer=self._parts.statement.witness.loginid,
                payee=question.loginid,
                reference=question.reference,
                watermark=mark_before(facts.agent, mark.server_time_at, Currency.USD) if forgotten else mark,
                settled_at=settled_at,
                forgotten=forgotten,
            )
            used = _others(facts.sent_by, question.operation_id)
            if forgotten:
                # What was filed as nobody's may be this very transfer.
                strays = frozenset(int(ref) for ref, owner in facts.sent_by.items() if not owner)
                lost, used = replace(lost, strays=strays), used - strays
            reading = read_for_transfer(facts.agent, lost, used=used)
            return _Judged(question, reading, attempt.number, settled_at)
        try:
            async with turn:
                reading = await self._both_sides(question, facts, settled_at)
        except GatewayError as error:
            return _Judged(question, code=f"customer:{error.code}")
        return _Judged(question, reading, attempt.number, settled_at)

    async def _both_sides(self, question: ResolveDebit, facts: _Facts, settled_at: datetime) -> Reading:
        customer_mark, agent_mark = marks_from_text(facts.attempts[question.operation_id].watermark)
        lost = LostTransfer(
            amount=question.amount,
            payer=question.loginid,
            payee=self._parts.statement.witness.loginid,
            reference=account_reference(question.operation_id),
            watermark=customer_mark,
            settled_at=settled_at,
        )
        seen = await self._parts.customers.read(facts.debits[question.operation_id], customer_mark.read_since)
        ids = [str(row.id) for row in seen.rows]
        debited_by = await self._parts.attempts.used_references(DEBIT_KIND, ids) if ids else {}
        customer = read_for_transfer(seen, lost, used=_others(debited_by, question.operation_id))
        received = replace(lost, watermark=agent_mark, credit=True)
        agent = read_for_transfer(facts.agent, received, used=_others(facts.credited_to, question.operation_id))
        settled = self._parts.statement.witness.server_now() >= settled_at
        return story_of(customer=customer, agent=agent, settled=settled)

    # --- what it says ---

    def _conclude(self, judged: _Judged, began_at: datetime) -> None:
        question, reading = judged.question, judged.reading
        key = (question.operation_id, judged.attempt)
        if judged.unsent:
            self._answer(question, "ABSENT", proof=judged.unsent)
            return
        if reading is None or judged.settled_at is None:
            self._answer(question, "UNANSWERED", code=judged.code)
            return
        if reading.found is not Found.CLEAN:
            self._clean.pop(key, None)
        match reading.found:
            case Found.CONFIRMED:
                assert reading.row is not None
                self._answer(question, "CONFIRMED", proof=reading.proof, row=reading.row)
            case Found.AMBIGUOUS:
                self._answer(question, "AMBIGUOUS", proof=reading.proof)
            case Found.INCOMPLETE:
                self._answer(question, "PENDING", proof=reading.proof)
            case Found.CLEAN:
                self._count_clean(question, key, judged.settled_at, reading.proof, began_at)

    def _count_clean(
        self, question: _Question, key: tuple[str, int], settled_at: datetime, proof: str, began_at: datetime
    ) -> None:
        """Only reads that began after the settle window count, and the two must lie apart."""
        if began_at < settled_at:
            self._answer(question, "PENDING", proof=f"{proof}; may still be executed until {settled_at:%H:%M:%S}")
            return
        first_at = self._clean.setdefault(key, began_at)
        if len(self._clean) > _CLEAN_KEPT:
            self._clean.popitem(last=False)
        if began_at - first_at < timedelta(seconds=self._parts.settings.apart_s):
            self._answer(question, "PENDING", proof=f"{proof}; one clean read, a second one is needed")
            return
        del self._clean[key]
        proof = f"absent at {first_at:%H:%M:%S} and {began_at:%H:%M:%S} UTC: {proof}"
        self._answer(question, "ABSENT", proof=proof, attempt=key[1])

    def _answer(
        self,
        question: _Question,
        outcome: str,
        *,
        code: str = "",
        proof: str = "",
        row: StatementRow | None = None,
        attempt: int = 0,
    ) -> None:
        answer = ProbeAnswered(
            probe="transfer" if isinstance(question, ResolveTransfer) else "debit",
            operation_id=question.operation_id,
            outcome=outcome,
            code=code,
            reference=str(row.id) if row else "",
            amount=question.amount if row else None,
            paid_at=row.at if row else None,
            proof=proof,
            attempt=attempt,
        )
        tell_saga(self._parts.addresses, question.shard, question.transaction_id, answer)


def _marks(
    asked: Sequence[_Question], attempts: Mapping[str, SentAttempt]
) -> tuple[Mapping[_Question, Watermark], Sequence[_Judged]]:
    """The agent's account before each attempt, and answers to the questions whose attempt has no such mark."""
    marks: dict[_Question, Watermark] = {}
    unmarked: list[_Judged] = []
    for question in asked:
        attempt = attempts.get(question.operation_id)
        if attempt is None:
            unmarked.append(_Judged(question, code=_NO_ATTEMPT))
        elif attempt.code == ANOTHER_RECIPIENT:
            # Its movement is known, and is not the customer's: no row of this amount may be taken for it.
            unmarked.append(_Judged(question, code=ANOTHER_RECIPIENT))
        elif isinstance(question, ResolveDebit) and is_unmarked(attempt.watermark):
            unmarked.append(_Judged(question, unsent="no socket was ready when the attempt was made: nothing was sent"))
        else:
            try:
                marks[question] = _mark(question, attempt)
            except BadInput:
                # Nobody could see where the account stood: no statement proves anything about this one.
                unmarked.append(_Judged(question, code="no_watermark"))
    return marks, unmarked


def _mark(question: _Question, attempt: SentAttempt) -> Watermark:
    """Where the agent's account stood before the attempt. Raises `BadInput` where nobody could see it.

    What the books may have forgotten can have been sent at any time since its transaction began.
    """
    if isinstance(question, ResolveDebit):
        return marks_from_text(attempt.watermark)[1]
    if RECOVERED not in attempt.watermark:
        return Watermark.from_text(attempt.watermark)
    began_at = datetime.fromtimestamp(ulid_ms(question.transaction_id) / 1000, UTC)
    return Watermark(transaction_id=0, balance=Money(0, Currency.USD), server_time_at=began_at)


def _others(owners: Mapping[str, str], operation_id: str) -> frozenset[int]:
    """Movements that belong to other operations."""
    return frozenset(int(ref) for ref, owner in owners.items() if owner != operation_id)
