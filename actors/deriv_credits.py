"""Watches what arrives on the agent's account: the witness of every debit, and the money that nobody asked for.

A credit is offered to one debit only. One that comes when people look at its withdrawal already is told to its saga
unasked. One that no debit claims in time becomes evidence for shard 0, where a person looks at it: the dollars are
somebody's.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from actors.base import AsyncioActor
from actors.deriv_credit_parts import CreditParts
from actors.deriv_resolver import CREDIT_KIND
from actors.saga_bell import tell_saga
from penpay.domain.credits import (
    Awaited,
    Match,
    Seen,
    UnmatchedCredit,
    credits_of,
    encode_credit,
    match_credits,
    match_late_credits,
)
from penpay.domain.debit_proof import is_unmarked, marks_from_text
from penpay.domain.errors import BadInput, NotSent, StoreError
from penpay.domain.statement import CLOCK_MARGIN, StatementRow, sent_at
from penpay.messages import ProbeAnswered
from penpay.messages_rails import ProbeWitness
from penpay.ports import OperationRow, SentAttempt

log = structlog.get_logger("penpay.rails")

ACCOUNT = "deriv_agent"
KIND = "credit"
"""Kind of the inbox row; its body is an `UnmatchedCredit`."""
_WAITING_MAX = 5000
_OFFERED_KEPT = 10_000
_CLOCKS_APART = timedelta(hours=2)
"""By how much the clock of a node that recorded a debit may have been behind: only how far rows are read back."""


@dataclass(frozen=True, slots=True)
class _ReadNow:
    """Pacing lets the next read start."""


@dataclass(frozen=True, slots=True)
class _Look:
    """Time to look for money that nobody claims."""


@dataclass(frozen=True, slots=True)
class _AskBalance:
    """Time to ask for the balance: a push that was lost is never sent again, and admission goes by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """One read for those who wait is over; `rows` is None when it could not be made."""

    asked: Sequence[ProbeWitness]
    awaited: Sequence[Awaited] = ()
    """The debits asked about, and all others that can have made the credits which fit them."""
    rows: Sequence[StatementRow] | None = None
    complete: bool = True
    owners: Mapping[str, str] | None = None
    code: str = ""


@dataclass(frozen=True, slots=True)
class _Looked:
    """A look is over. It covered everything up to `until`; None when it could not be made."""

    until: datetime | None


class DerivCreditsActor(AsyncioActor):
    """Answers `ProbeWitness` and files unmatched credits. Constructor: `parts: CreditParts`."""

    LEVEL = 1
    MAILBOX_MAX = 8192

    def __init__(self, parts: CreditParts) -> None:
        super().__init__()
        self._parts = parts
        self._waiting: dict[str, ProbeWitness] = {}
        self._offered: OrderedDict[int, str] = OrderedDict()
        """Credit → operation: given, and perhaps not yet in the rows."""
        self._reading = False
        self._looking = False
        self._looked_until: datetime | None = None
        self._filed: set[str] = set()

    async def on_start(self) -> None:
        """The first look finds what arrived while nobody watched."""
        self.timers.every("look", self._parts.settings.look_every_s, _Look())
        self.timers.every("balance", self._parts.settings.balance_every_s, _AskBalance())

    async def on_receive(self, message: Any) -> Any:
        """Questions, and the ends of its own reads."""
        match message:
            case ProbeWitness():
                if len(self._waiting) < _WAITING_MAX:
                    self._waiting[message.operation_id] = message
            case _Read():
                self._reading = False
                self._judge(message)
            case _Look():
                self._start_look()
            case _Looked(until):
                self._looking = False
                self._looked_until = until or self._looked_until
            case _AskBalance():
                self._ask_balance()
            case _ReadNow():
                pass
            case _:
                raise AssertionError(f"credits do not take {type(message).__name__}")
        self._start()

    def observable_state(self) -> Mapping[str, object]:
        """Debits whose sagas asked for their credit, and credits that were offered."""
        return {"asked": len(self._waiting), "offered": len(self._offered)}

    # --- the witness ---

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

    async def _read(self, asked: Sequence[ProbeWitness]) -> None:
        try:
            awaited = await self._awaited(asked)
            listed, complete = await self._listed(min(debit.since for debit in awaited) - CLOCK_MARGIN)
            # The stream is ahead of a statement that lags, and knows no text.
            streamed = {row.id: row for row in self._parts.statement.witness.streamed}
            rows = credits_of({**streamed, **{row.id: row for row in listed}}.values())
            ids = [str(row.id) for row in rows]
            owners = await self._parts.attempts.used_references(CREDIT_KIND, ids) if ids else {}
        except StoreError as error:
            outcome = _Read(asked=asked, code=type(error).__name__)
        except NotSent as error:
            outcome = _Read(asked=asked, code=error.code)
        else:
            outcome = _Read(asked=asked, awaited=awaited, rows=rows, complete=complete, owners=owners)
        self.timers.once("judge", 0.0, outcome)

    async def _awaited(self, asked: Sequence[ProbeWitness]) -> Sequence[Awaited]:
        """The debits asked about, and all others of these amounts that were open since the first of them.

        A credit may be of one whose saga has not asked yet, or does not even know that it was executed.
        """
        settle = timedelta(seconds=self._parts.settings.settle_s)
        attempts = await self._parts.attempts.newest([question.operation_id for question in asked])
        debits = [_awaited(question, attempts, settle) for question in asked]
        since = min(debit.since for debit in debits) - CLOCK_MARGIN
        amounts = {debit.amount for debit in debits}
        known = {*(debit.operation_id for debit in debits), *self._offered.values()}
        open_ = await self._parts.attempts.unwitnessed(since - settle - _CLOCKS_APART)
        others = await self._debits([row for row in open_.waiting if row.amount in amounts and row.id not in known])
        return [*debits, *(debit for debit in others if debit.until + CLOCK_MARGIN >= since)]

    async def _listed(self, since: datetime) -> tuple[Sequence[StatementRow], bool]:
        """The statement's rows; none where Deriv shows no statement, for then the stream is all there is."""
        if self._parts.statement.witness.never_tells("statement"):
            return (), True
        read = await self._parts.statement.read(since)
        return read.rows, read.complete

    def _judge(self, read: _Read) -> None:
        if read.rows is None or read.owners is None:
            for question in read.asked:
                self._answer(question, Match(Seen.PENDING, ""), outcome="UNANSWERED", code=read.code)
            return
        owners = {**self._offered, **{int(ref): owner for ref, owner in read.owners.items()}}
        agent = self._parts.statement.witness.loginid
        matches = match_credits(read.rows, read.awaited, owners=owners, agent=agent, complete=read.complete)
        for question in read.asked:
            match = matches[question.operation_id]
            if match.credit is not None:
                self._offer(match.credit.id, question.operation_id)
            self._answer(question, match)

    def _offer(self, credit_id: int, operation_id: str) -> None:
        self._offered[credit_id] = operation_id
        self._offered.move_to_end(credit_id)
        if len(self._offered) > _OFFERED_KEPT:
            self._offered.popitem(last=False)

    def _answer(self, question: ProbeWitness, match: Match, *, outcome: str = "", code: str = "") -> None:
        credit = match.credit
        answer = ProbeAnswered(
            probe="witness",
            operation_id=question.operation_id,
            outcome=outcome or match.seen.value,
            code=code,
            reference=str(credit.id) if credit else "",
            amount=credit.amount if credit else None,
            paid_at=credit.at if credit else None,
            proof=match.proof,
        )
        tell_saga(self._parts.addresses, question.shard, question.transaction_id, answer)

    # --- the balance ---

    def _ask_balance(self) -> None:
        witness = self._parts.statement.witness
        # A new socket asks by itself, and for as long as that was not answered.
        if witness.ready and "balance" not in witness.missing and self._parts.lease.current() is not None:
            self.spawn(self._tell_balance(), name="balance")

    async def _tell_balance(self) -> None:
        try:
            await self._parts.statement.tell_balance()
        except NotSent as error:
            log.warning("balance of the agent not told", rail="deriv", code=error.code)

    # --- what nobody claims ---

    def _start_look(self) -> None:
        ours = self._parts.lease.current() is not None and self._parts.statement.witness.ready
        if not ours or self._looking:
            return
        if wait_s := self._parts.statement.wait_s():
            # Other readers may have the same beat: with the next one there would be no turn either.
            self.timers.once("turn", wait_s, _Look())
            return
        self._looking = True
        self.spawn(self._look(), name="look")

    async def _look(self) -> None:
        until: datetime | None = None
        try:
            until = await self._file_unmatched()
        except StoreError as error:
            log.warning("unmatched credits not filed", rail="deriv", error=type(error).__name__)
        except NotSent as error:
            log.warning("unmatched credits not looked for", rail="deriv", code=error.code)
        self.timers.once("looked", 0.0, _Looked(until))

    async def _file_unmatched(self) -> datetime:
        """Judge the credits that are old enough. What arrived before our books began is in the opening balance.

        Where people look at a debit, its credit is told to its saga, however fresh: that one asks no more. Statements
        may show such a credit long after it was made, so they are read from those debits on.
        """
        settings, attempts = self._parts.settings, self._parts.attempts
        now = self._parts.statement.witness.server_now()
        until, reach = now - timedelta(seconds=settings.unclaimed_s), now - timedelta(seconds=settings.reach_s)
        booked = await self._parts.reads.booked_since(ACCOUNT)
        missed_since = max(booked, reach)
        missed = {debit.id: debit.created_at for debit in (await attempts.unwitnessed(missed_since)).in_review}
        since = max(booked, min([self._looked_until or reach, *missed.values()]) - CLOCK_MARGIN)
        if since >= until and not missed:
            return until
        read = await self._parts.statement.read(since)
        rows = [row for row in credits_of(read.rows) if booked < row.at and str(row.id) not in self._filed]
        if not rows:
            return until
        # By rows, not by questions: after an outage all credits are old, and few sagas have asked. And behind the
        # statement, or a debit that is younger than this look would lose its credit to one in review.
        debits = await attempts.unwitnessed(since - timedelta(seconds=settings.settle_s) - _CLOCKS_APART)
        reviewed = [debit for debit in debits.in_review if debit.id in missed]
        # What came before people since may have an older credit than was read: it is left for the next look.
        came = [one for one in debits.in_review if one.id not in missed and one.created_at >= missed_since]
        open_ = [*debits.waiting, *came]
        # Behind the debits that wait: what is recorded in between is then found used.
        owners = await attempts.used_references(CREDIT_KIND, [str(row.id) for row in rows])
        unused = [row for row in rows if str(row.id) not in owners]
        await self._tell_late(unused, reviewed, open_, complete=read.complete)
        waiting, claimed = {row.id for row in (*open_, *reviewed)}, {row.amount for row in open_}
        free = [row for row in unused if row.at < until and self._offered.get(row.id) not in waiting]
        for row in free:
            if row.amount not in claimed:
                await self._file(row)
        # What an open debit may still claim is left for later looks, which begin before it.
        return min([until, *(row.at for row in free if row.amount in claimed)])

    async def _tell_late(
        self,
        rows: Sequence[StatementRow],
        reviewed: Sequence[OperationRow],
        open_: Sequence[OperationRow],
        *,
        complete: bool,
    ) -> None:
        """Tell the sagas of debits that people look at; each look tells again what is not recorded yet."""
        if not reviewed:
            return
        late, others = await self._debits(reviewed), await self._debits(open_)
        owners = {row.id: self._offered[row.id] for row in rows if row.id in self._offered}
        agent = self._parts.statement.witness.loginid
        matches = match_late_credits(rows, late, others, owners=owners, agent=agent, complete=complete)
        for debit in reviewed:
            match = matches[debit.id]
            if match.credit is not None:
                self._offer(match.credit.id, debit.id)
                self._answer(_question_of(debit), match)

    async def _debits(self, rows: Sequence[OperationRow]) -> Sequence[Awaited]:
        if not rows:
            return ()
        settle = timedelta(seconds=self._parts.settings.settle_s)
        attempts = await self._parts.attempts.newest([row.id for row in rows])
        return [_awaited(_question_of(row), attempts, settle) for row in rows]

    async def _file(self, row: StatementRow) -> None:
        credit = UnmatchedCredit(transaction_id=str(row.id), amount=row.amount, at=row.at, longcode=row.longcode)
        new = await self._parts.put_aside(KIND, encode_credit(credit), dedupe_key=f"{KIND}:{row.id}")
        self._filed.add(str(row.id))
        if new:
            log.error("dollars arrived that nobody claims", rail="deriv", transaction=row.id, amount=row.amount.text())


def _question_of(debit: OperationRow) -> ProbeWitness:
    """What its saga would ask."""
    return ProbeWitness(
        operation_id=debit.id,
        shard=debit.shard,
        transaction_id=debit.transaction_id,
        loginid=debit.recipient,
        amount=debit.amount,
        since=debit.created_at,
    )


def _awaited(question: ProbeWitness, attempts: Mapping[str, SentAttempt], settle: timedelta) -> Awaited:
    """What is known of the debit: by the mark of its attempt, which is older than any credit of it."""
    attempt = attempts.get(question.operation_id)
    since, until, after_id = question.since, question.since + settle, 0
    if attempt is not None:
        until = sent_at(attempt.sent_at, attempt.watermark) + settle
    if attempt is not None and not is_unmarked(attempt.watermark):
        try:
            mark = marks_from_text(attempt.watermark)[1]
        except BadInput:
            log.warning("watermark unreadable", rail="deriv", operation=question.operation_id)
        else:
            since, after_id = min(since, mark.server_time_at), mark.transaction_id
    return Awaited(
        operation_id=question.operation_id,
        loginid=question.loginid,
        amount=question.amount,
        since=since,
        until=until,
        after_id=after_id,
    )
