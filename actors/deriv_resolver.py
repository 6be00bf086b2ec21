"""Finds out from the agent's statement what became of a transfer whose answer was lost, and shows the proof.

Absence is the dangerous answer: it lets the same money be sent again. It takes the settle window, the site up, and
two complete reads whose balances join up without a gap.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from actors.base import ActorCrashed, AskTimeout, AsyncioActor, Unavailable
from actors.deriv_agent import AgentWitness
from actors.deriv_calls import Call, CallEnd
from actors.pacing import TokenBucket
from actors.rail_sender import tell_saga
from penpay.domain import deriv_protocol as deriv
from penpay.domain.errors import BadInput, StoreError
from penpay.domain.rail_end import Outcome
from penpay.domain.statement import (
    Found,
    LostTransfer,
    Reading,
    StatementRead,
    StatementRow,
    Watermark,
    read_for_transfer,
)
from penpay.messages import ProbeAnswered
from penpay.messages_rails import DERIV_SESSION, ResolveTransfer
from penpay.ports import Addresses, AttemptStore, Clock, SentAttempt

log = structlog.get_logger("penpay.rails")

REFERENCE_KIND = "deriv_transaction"
"""Kind of `provider_references` under which a statement row is used up."""
_PAGES_MAX = 20
_WAITING_MAX = 5000
_CLEAN_KEPT = 10_000
_ASK_MARGIN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverSettings:
    """`settle_s`: Deriv may still be executing what it received that long ago. Two clean reads lie `apart_s` apart."""

    settle_s: float = 600.0
    apart_s: float = 20.0
    call_s: float = 15.0
    reads_per_min: float = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverParts:
    """What the resolver works with."""

    witness: AgentWitness
    attempts: AttemptStore
    addresses: Addresses
    clock: Clock
    settings: ResolverSettings = ResolverSettings()


@dataclass(frozen=True, slots=True)
class _ReadNow:
    """Pacing lets the next read start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """One read is over. `attempts` and `rows` are None when it could not be made."""

    asked: tuple[ResolveTransfer, ...]
    attempts: Mapping[str, SentAttempt] | None = None
    read: StatementRead | None = None
    owners: Mapping[str, str] | None = None
    began_at: datetime | None = None
    code: str = ""


class DerivResolverActor(AsyncioActor):
    """Answers `ResolveTransfer`. One read of the statement serves everyone who waits for it.

    Constructor: `parts: ResolverParts`.
    """

    LEVEL = 1
    MAILBOX_MAX = 8192

    def __init__(self, parts: ResolverParts) -> None:
        super().__init__()
        self._parts = parts
        self._bucket = TokenBucket(parts.settings.reads_per_min / 60)
        self._waiting: dict[str, ResolveTransfer] = {}
        self._reading = False
        self._clean: OrderedDict[tuple[str, int], datetime] = OrderedDict()
        """(operation, attempt) → when its first clean read after the settle window began."""

    async def on_receive(self, message: Any) -> Any:
        """Questions, and the ends of its own reads."""
        match message:
            case ResolveTransfer():
                if len(self._waiting) < _WAITING_MAX:
                    self._waiting[message.operation_id] = message
            case _Read():
                self._reading = False
                self._judge(message)
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
        now_s = self._parts.clock.monotonic_s()
        wait_s = self._bucket.wait_s(now_s)
        if wait_s:
            self.timers.once("read", wait_s, _ReadNow())
            return
        asked, self._waiting = tuple(self._waiting.values()), {}
        self._reading = True
        self.spawn(self._read(asked), name="read")

    # --- one read, in a child task ---

    async def _read(self, asked: tuple[ResolveTransfer, ...]) -> None:
        try:
            outcome = await self._look(asked)
        except StoreError as error:
            outcome = _Read(asked=asked, code=type(error).__name__)
        except BadInput as error:
            log.warning("statement unreadable", rail="deriv", field=error.field)
            outcome = _Read(asked=asked, code="unreadable_statement")
        self.timers.once("judge", 0.0, outcome)

    async def _look(self, asked: tuple[ResolveTransfer, ...]) -> _Read:
        attempts = await self._parts.attempts.newest([question.operation_id for question in asked])
        marks = [Watermark.from_text(attempt.watermark) for attempt in attempts.values()]
        if not marks:
            return _Read(asked=asked, attempts=attempts, code="no_attempt")
        began_at = self._parts.witness.server_now()
        before_minor = self._parts.witness.balance.minor
        rows = await self._statement(min(mark.read_since for mark in marks))
        if rows is None or self._parts.witness.site_status != "up":
            return _Read(asked=asked, code="statement_not_read")
        balances = frozenset({before_minor, self._parts.witness.balance.minor})
        taken = [str(row.id) for row in rows]
        owners = await self._parts.attempts.used_references(REFERENCE_KIND, taken) if taken else {}
        read = StatementRead(rows=rows, balances_minor=balances)
        return _Read(asked=asked, attempts=attempts, read=read, owners=owners, began_at=began_at)

    async def _statement(self, since: datetime) -> Sequence[StatementRow] | None:
        """Everything since then, newest first. New rows push older ones on, so pages may overlap but leave no hole."""
        found: dict[int, StatementRow] = {}
        for page in range(_PAGES_MAX):
            self._bucket.take(self._parts.clock.monotonic_s())
            end = await self._call(deriv.statement(since=since, offset=page * deriv.STATEMENT_PAGE))
            if end is None or end.outcome is not Outcome.CONFIRMED or end.frame is None:
                return None
            rows = deriv.statement_rows(end.frame, self._parts.witness.currency)
            found.update((row.id, row) for row in rows)
            if len(rows) < deriv.STATEMENT_PAGE:
                return list(found.values())
        return None

    async def _call(self, request: deriv.Request) -> CallEnd | None:
        call = Call(request=request, timeout_s=self._parts.settings.call_s)
        try:
            end = await self._parts.addresses.ask(DERIV_SESSION, call, timeout_s=call.timeout_s + _ASK_MARGIN_S)
        except (AskTimeout, ActorCrashed, Unavailable):
            return None
        assert isinstance(end, CallEnd)
        return end

    # --- what it says ---

    def _judge(self, outcome: _Read) -> None:
        for question in outcome.asked:
            attempt = (outcome.attempts or {}).get(question.operation_id)
            if outcome.read is None or outcome.owners is None or outcome.began_at is None or attempt is None:
                self._answer(question, "UNANSWERED", code=outcome.code or "no_attempt")
                continue
            lost = LostTransfer(
                amount=question.amount,
                reference=question.reference,
                watermark=Watermark.from_text(attempt.watermark),
                settled_at=attempt.sent_at + timedelta(seconds=self._parts.settings.settle_s),
            )
            used = frozenset(int(ref) for ref, owner in outcome.owners.items() if owner != question.operation_id)
            reading = read_for_transfer(outcome.read, lost, used=used)
            self._conclude(question, attempt, lost, reading, outcome.began_at)

    def _conclude(
        self,
        question: ResolveTransfer,
        attempt: SentAttempt,
        lost: LostTransfer,
        reading: Reading,
        began_at: datetime,
    ) -> None:
        key = (question.operation_id, attempt.number)
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
                self._count_clean(question, key, lost.settled_at, reading.proof, began_at)

    def _count_clean(
        self, question: ResolveTransfer, key: tuple[str, int], settled_at: datetime, proof: str, began_at: datetime
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
        self._answer(question, "ABSENT", proof=f"absent at {first_at:%H:%M:%S} and {began_at:%H:%M:%S} UTC: {proof}")

    def _answer(
        self,
        question: ResolveTransfer,
        outcome: str,
        *,
        code: str = "",
        proof: str = "",
        row: StatementRow | None = None,
    ) -> None:
        answer = ProbeAnswered(
            probe="transfer",
            operation_id=question.operation_id,
            outcome=outcome,
            code=code,
            reference=str(row.id) if row else "",
            amount=question.amount if row else None,
            paid_at=row.at if row else None,
            proof=proof,
        )
        tell_saga(self._parts.addresses, question.shard, question.transaction_id, answer)
