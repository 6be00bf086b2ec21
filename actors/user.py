"""One user: admission of everything that this user asks for, one request at a time.

Its memory is a cache of rows; a refusal that memory suggests is checked against the rows before it is given.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from actors.answers import location, problem_answer, refuse, replay
from actors.base import EntityActor, MailboxFull
from actors.deposit_desk import DEPOSITS
from actors.desk import Admitted, Asked, Desk, UserParts, terms_of
from actors.recording import record
from actors.withdrawal_desk import WITHDRAWALS, code_problem, send_code
from penpay.domain import admission as adm
from penpay.domain.deposit import State
from penpay.domain.errors import Unavailable
from penpay.domain.fx import Direction
from penpay.domain.money import Money
from penpay.domain.presentation import CONTENT_TYPE
from penpay.domain.unit import RejectCode, TransactionRow, UnitOfWork
from penpay.messages import (
    AcceptDeposit,
    AcceptWithdrawal,
    Committed,
    CreateQuote,
    ForgetUser,
    HttpAnswer,
    Quote,
    Refusal,
    RequestWithdrawalCode,
    SagaBegan,
    TransactionSettled,
    saga_of,
)
from penpay.ports import OpenDeposit, OpenWithdrawal, UserRows

log = structlog.get_logger()

OPEN_PUSH = frozenset({State.STK_SENDING.value, State.AWAITING_PAYER.value, State.STK_UNKNOWN.value})
ENDED = frozenset({"COMPLETED", "FAILED", "REVERSED"})


class UserActor(EntityActor):
    """One user.

    Messages: `AcceptDeposit`, `AcceptWithdrawal`, `RequestWithdrawalCode`, `CreateQuote`; told that its rows changed.
    """

    KIND = "user"
    LEVEL = 4
    MAILBOX_MAX = 64
    IDLE_S = 120.0

    def __init__(self, user_id: str, parts: UserParts) -> None:
        super().__init__()
        self._id = user_id
        self._parts = parts
        self._rows: UserRows | None = None
        self._day = ""
        self._read_at_start: tuple[object, str, UserRows] | None = None
        """For which message, of which day, and what."""
        self._doubtful: UnitOfWork | None = None
        """What began something, if its answer was lost: it may still become durable, and counts against limits then."""

    def observable_state(self) -> Mapping[str, object]:
        """Nothing personal: what is cached, in counts."""
        rows = self._rows
        return {
            "user": self._id,
            "loaded": rows is not None,
            "deposits": len(rows.deposits) if rows else 0,
            "withdrawals": len(rows.withdrawals) if rows else 0,
        }

    async def on_start(self) -> None:
        """Read the rows that the waiting request is judged by: starts are few at once."""
        waiting = self.first_waiting
        if isinstance(waiting, AcceptDeposit | AcceptWithdrawal | RequestWithdrawalCode):
            day = adm.eat_day(self._parts.clock.now())
            self._read_at_start = waiting, day, await self._parts.store.load(self._id, eat_day=day)

    async def on_receive(self, message: Any) -> Any:
        """One request at a time: that is what makes limits and the open push exact."""
        if self._read_at_start is not None and self._read_at_start[0] is not message:
            self._read_at_start = None  # whoever it was read for has given up: that may be long ago
        try:
            return await self._handle(message)
        finally:
            self._read_at_start = None

    async def _handle(self, message: Any) -> Any:
        match message:
            case AcceptDeposit():
                return await self._accept(message, DEPOSITS)
            case AcceptWithdrawal():
                return await self._accept(message, WITHDRAWALS)
            case RequestWithdrawalCode():
                return await self._send_code(message)
            case CreateQuote():
                return await self._quote(message)
            case TransactionSettled() | ForgetUser():
                self._rows = None
                return None
        raise TypeError(f"a user takes no {type(message).__name__}")

    # --- quotes -------------------------------------------------------------------------------------------------

    async def _quote(self, asked: CreateQuote) -> Quote | Refusal:
        made = self._made(asked.direction, asked.amount)
        if isinstance(made, Quote):
            no = adm.amount_problem(asked.direction, terms_of(made), self._parts.limits)
            if no is None:
                await self._parts.store.add_quote(made)
                return made
            made = no
        return Refusal(made.code, made.detail, made.retry_after_s)

    def _made(self, direction: Direction, amount: Money) -> Quote | adm.No:
        """A quote of this moment."""
        now = self._parts.clock.now()
        of = adm.terms(direction, amount, board=self._parts.board, limits=self._parts.limits, now=now)
        if isinstance(of, adm.No):
            return of
        return Quote(
            id=self._parts.ids.ulid(),
            user_id=self._id,
            direction=direction,
            send=of.send,
            receive=of.receive,
            mid_rate_e6=of.rate.mid_e6,
            spread_e6=of.rate.spread_e6,
            created_at=now,
            expires_at=adm.later(now, self._parts.limits.quote_ttl_s),
        )

    async def _terms(self, quote_id: str, amount: Money | None, direction: Direction) -> Quote | adm.No:
        """The named quote, or one made now for a bare amount (not stored: the transaction carries its terms)."""
        if not quote_id:
            assert amount is not None
            return self._made(direction, amount)
        found = await self._parts.store.quote(quote_id, self._id)
        if found is None or found[0].direction is not direction:
            return adm.No("quote_unknown", f"There is no such quote of yours for a {direction.lower()}.")
        quote, used = found
        if used:
            return adm.No("quote_used")
        return adm.No("quote_expired") if quote.expires_at <= self._parts.clock.now() else quote

    # --- admission ----------------------------------------------------------------------------------------------

    async def _accept(self, asked: Asked, desk: Desk) -> HttpAnswer:
        """Admit, or refuse with a stored answer. A known key gets its first answer before any rule is applied again."""
        try:
            if self._doubtful is not None and (known := await self._settled(asked)) is not None:
                return known
            quote = await self._terms(asked.quote_id, asked.amount, desk.direction)
            if isinstance(quote, adm.No):
                return await refuse(self._parts, asked, quote)
            refused = await self._admission(asked, quote, desk)
            return await refuse(self._parts, asked, refused) if refused else await self._begin(asked, quote, desk)
        except Unavailable:
            self._rows = None
            known = await replay(self._parts, asked)
            return known or problem_answer(asked, "outcome_unknown", "the request may have been taken", 2)

    async def _send_code(self, asked: RequestWithdrawalCode) -> HttpAnswer:
        """What admission would refuse later is refused before Deriv is asked for a code. No answer is stored."""
        try:
            quote = await self._terms(asked.quote_id, asked.amount, Direction.WITHDRAWAL)
            no = quote if isinstance(quote, adm.No) else await self._judge(asked, quote, WITHDRAWALS, reload=True)
        except Unavailable as error:
            self._rows = None
            return problem_answer(
                asked, "unavailable", retry_after_s=max(1, round(error.retry_after_s)), untouched=True
            )
        if no is not None:
            return problem_answer(asked, no.code, no.detail, no.retry_after_s, untouched=True)
        assert isinstance(quote, Quote)
        return await send_code(self._parts, asked, quote)

    async def _admission(self, asked: Asked, quote: Quote, desk: Desk) -> adm.No | None:
        """Refusals from a remembered state are decided once more from the rows: what was remembered may be over."""
        if isinstance(asked, AcceptDeposit) and asked.phone and asked.phone != asked.customer.phone:
            return adm.No("phone_not_own")
        fresh = self._rows is None or self._day != adm.eat_day(self._parts.clock.now())
        refused = await self._judge(asked, quote, desk, reload=fresh)
        if refused is not None and not fresh:
            refused = await self._judge(asked, quote, desk, reload=True)
        if refused is None and isinstance(asked, AcceptWithdrawal):
            refused = await code_problem(self._parts, asked, quote)
        return refused

    async def _judge(
        self, asked: Asked | RequestWithdrawalCode, quote: Quote, desk: Desk, *, reload: bool
    ) -> adm.No | None:
        now = self._parts.clock.now()
        if reload:
            self._day = adm.eat_day(now)
            self._rows = await self._read(self._day)
        parts = self._parts
        limits = parts.limits.of_tier(asked.customer.kyc_tier)
        return desk.refusal(terms_of(quote), self._standing(asked), board=parts.board, limits=limits, now=now)

    async def _read(self, day: str) -> UserRows:
        read, self._read_at_start = self._read_at_start, None
        return read[2] if read and read[1] == day else await self._parts.store.load(self._id, eat_day=day)

    def _standing(self, asked: Asked | RequestWithdrawalCode) -> adm.Standing:
        rows, customer = self._rows, asked.customer
        assert rows is not None
        frozen = "FROZEN" in {rows.status, customer.status}
        pushes = [deposit.created_at for deposit in rows.deposits if deposit.state in OPEN_PUSH]
        today = [deposit for deposit in rows.deposits if deposit.eat_day == self._day]
        return adm.Standing(
            status="FROZEN" if frozen else customer.status,
            phone_verified=customer.phone_verified,
            deriv_loginid=customer.deriv_loginid,
            today_usd_minor=sum(deposit.usd_minor for deposit in today),
            today_kes_minor=sum(deposit.kes_minor for deposit in today),
            open_push_since=max(pushes, default=None),
            last_push_at=rows.last_push_at,
            withdrawn_today_usd_minor=sum(one.usd_minor for one in rows.withdrawals if one.eat_day == self._day),
            withdrawal_open=any(one.status not in ENDED for one in rows.withdrawals),
            withdrawals_held_until=asked.held_until if isinstance(asked, AcceptWithdrawal) else None,
        )

    async def _begin(self, asked: Asked, quote: Quote, desk: Desk) -> HttpAnswer:
        """One unit begins it; when that is durable the saga is told, and the caller gets its 202."""
        admitted = Admitted(asked, quote, self._standing(asked), self._day, self._parts.clock.now())
        unit, body = desk.unit(self._parts, admitted)
        self._doubtful = unit
        try:
            answer = await record(self._parts.addresses, unit)
        except MailboxFull:
            # Nothing was queued: no doubt, and no reason to begin it later behind its asker's back.
            self._doubtful = None
            return await refuse(self._parts, asked, adm.No("overloaded", retry_after_s=1))
        self._doubtful = None
        if not isinstance(answer, Committed):
            return await self._race_lost(asked, answer.code)
        row = self._began(unit)
        self._remember(row, admitted.at)
        try:
            self._parts.addresses.tell(saga_of(row.shard, row.id), SagaBegan(row))
        except MailboxFull:
            log.warning("saga_start_postponed", transaction_id=row.id)
        return HttpAnswer(status=202, body=body, content_type=CONTENT_TYPE, location=location(row.id))

    async def _settled(self, asked: Asked) -> HttpAnswer | None:
        """What became of the unit whose answer was lost is known before anything else begins.

        It is asked for once more: recorded or not, it is answered in its turn, so the rows that are read next are true.
        The answer to this very request, if it was that one.
        """
        assert self._doubtful is not None
        if isinstance(await record(self._parts.addresses, self._doubtful), Committed):
            self._began(self._doubtful)
        self._doubtful = self._rows = None
        return await replay(self._parts, asked)

    def _began(self, unit: UnitOfWork) -> TransactionRow:
        """It is durable, and counted in its first status; the saga counts the later ones."""
        assert unit.transaction is not None
        row = unit.transaction.row
        if self._parts.meter is not None:
            self._parts.meter.transaction(type_=row.type, status=row.status)
        return row

    async def _race_lost(self, asked: Asked, code: RejectCode) -> HttpAnswer:
        self._rows = None
        match code:
            case RejectCode.KEY_REUSED:
                return await replay(self._parts, asked) or problem_answer(asked, "request_in_progress", retry_after_s=1)
            case RejectCode.QUOTE_USED:
                return await refuse(self._parts, asked, adm.No("quote_used"))
            case RejectCode.ACCOUNT_FROZEN:
                return await refuse(self._parts, asked, adm.No("account_frozen"))
        raise RuntimeError(f"admission rejected: {code}")

    def _remember(self, row: TransactionRow, at: datetime) -> None:
        rows = self._rows
        assert rows is not None
        if row.type == Direction.WITHDRAWAL:
            taken = OpenWithdrawal(
                transaction_id=row.id, status=row.status, eat_day=row.eat_day, usd_minor=row.send.minor
            )
            self._rows = replace(rows, withdrawals=(*rows.withdrawals, taken))
            return
        opened = OpenDeposit(
            transaction_id=row.id,
            state=row.state,
            eat_day=row.eat_day,
            usd_minor=row.receive.minor,
            kes_minor=row.send.minor,
            created_at=at,
        )
        self._rows = replace(rows, deposits=(*rows.deposits, opened), last_push_at=at)
