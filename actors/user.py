"""One user: admission of everything that this user asks for, one request at a time.

Its memory is a cache of rows; a refusal that memory suggests is checked against the rows before it is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from actors.admitted import base_row, new_deposit, terms_of
from actors.base import EntityActor, MailboxFull
from actors.deposit_flow import DEPOSIT
from actors.recording import record, unit_of
from penpay.domain import admission as adm
from penpay.domain import deposit_events as ev
from penpay.domain.board import Board
from penpay.domain.decision import Decision, Occasion, Rules
from penpay.domain.deposit import State
from penpay.domain.deposit_rules import decide
from penpay.domain.errors import Unavailable
from penpay.domain.fx import Direction
from penpay.domain.ids import account_reference
from penpay.domain.presentation import CONTENT_TYPE, evidence_of, json_bytes, render_transaction
from penpay.domain.problems import CONTENT_TYPE as PROBLEM_TYPE
from penpay.domain.problems import PROBLEMS, problem
from penpay.domain.unit import (
    NewOperation,
    OperationKind,
    RejectCode,
    StoredAnswer,
    TransactionRow,
    UnitOfWork,
)
from penpay.messages import (
    AcceptDeposit,
    Committed,
    CreateQuote,
    ForgetUser,
    HttpAnswer,
    Quote,
    Refusal,
    SagaBegan,
    TransactionSettled,
    saga_of,
)
from penpay.ports import Addresses, Clock, Ids, OpenDeposit, Sealer, UserRows, UserStore

log = structlog.get_logger()

OPEN_PUSH = frozenset({State.STK_SENDING.value, State.AWAITING_PAYER.value, State.STK_UNKNOWN.value})
STORED = frozenset({403, 409, 422})
"""Refusals of the business are answers and replayed; everything else may succeed under the same key later."""
NEVER_STORED = frozenset({"pin_wrong", "request_in_progress"})


@dataclass(frozen=True, slots=True)
class UserParts:
    """What every user of a shard shares."""

    shard: int
    addresses: Addresses
    store: UserStore
    clock: Clock
    ids: Ids
    sealer: Sealer
    board: Board
    limits: adm.Limits
    rules: Rules


class UserActor(EntityActor):
    """One user. Messages: `AcceptDeposit`, `CreateQuote`, `TransactionSettled`, `ForgetUser`."""

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

    def observable_state(self) -> Mapping[str, object]:
        """Nothing personal: what is cached, in counts."""
        return {
            "user": self._id,
            "loaded": self._rows is not None,
            "deposits_today": len(self._rows.deposits) if self._rows else 0,
        }

    async def on_receive(self, message: Any) -> Any:
        """One request at a time: that is what makes limits and the open push exact."""
        match message:
            case AcceptDeposit():
                return await self._accept(message)
            case CreateQuote():
                return await self._quote(message)
            case TransactionSettled() | ForgetUser():
                self._rows = None
                return None
        raise TypeError(f"a user takes no {type(message).__name__}")

    # --- quotes -------------------------------------------------------------------------------------------------

    async def _quote(self, asked: CreateQuote) -> Quote | Refusal:
        now = self._parts.clock.now()
        of = adm.terms(asked.direction, asked.amount, board=self._parts.board, limits=self._parts.limits, now=now)
        problem_found = of if isinstance(of, adm.No) else adm.amount_problem(asked.direction, of, self._parts.limits)
        if problem_found is not None:
            return Refusal(problem_found.code, problem_found.detail, problem_found.retry_after_s)
        assert isinstance(of, adm.Terms)
        quote = self._new_quote(of, asked.direction, now)
        await self._parts.store.add_quote(quote)
        return quote

    def _new_quote(self, of: adm.Terms, direction: Direction, now: datetime) -> Quote:
        expires_at = adm.later(now, self._parts.limits.quote_ttl_s)
        return Quote(
            id=self._parts.ids.ulid(),
            user_id=self._id,
            direction=direction,
            send=of.send,
            receive=of.receive,
            mid_rate_e6=of.rate.mid_e6,
            spread_e6=of.rate.spread_e6,
            created_at=now,
            expires_at=expires_at,
        )

    # --- deposits -----------------------------------------------------------------------------------------------

    async def _accept(self, asked: AcceptDeposit) -> HttpAnswer:
        """Admit, or refuse with a stored answer. A known key gets its first answer before any rule is applied again."""
        try:
            quote = await self._terms(asked)
            if isinstance(quote, adm.No):
                return await self._refuse(asked, quote)
            refused = await self._admission(asked, quote)
            return await self._refuse(asked, refused) if refused else await self._begin(asked, quote)
        except Unavailable:
            self._rows = None
            replay = await self._replay(asked)
            return replay or _problem_answer("outcome_unknown", "the request may have been taken", 2)

    async def _terms(self, asked: AcceptDeposit) -> Quote | adm.No:
        """The named quote, or one made now for a bare amount (not stored: the transaction carries its terms)."""
        now = self._parts.clock.now()
        if not asked.quote_id:
            assert asked.amount is not None
            of = adm.terms(Direction.DEPOSIT, asked.amount, board=self._parts.board, limits=self._parts.limits, now=now)
            return of if isinstance(of, adm.No) else self._new_quote(of, Direction.DEPOSIT, now)
        found = await self._parts.store.quote(asked.quote_id, self._id)
        if found is None or found[0].direction is not Direction.DEPOSIT:
            return adm.No("quote_unknown", "no such quote of yours for a deposit")
        quote, used = found
        if used:
            return adm.No("quote_used")
        return adm.No("quote_expired") if quote.expires_at <= now else quote

    async def _admission(self, asked: AcceptDeposit, quote: Quote) -> adm.No | None:
        """Refusals from a remembered state are decided once more from the rows: what was remembered may be over."""
        if asked.phone and asked.phone != asked.customer.phone:
            return adm.No("phone_not_own")
        fresh = self._rows is None or self._day != adm.eat_day(self._parts.clock.now())
        refused = await self._judge(asked, quote, reload=fresh)
        if refused is not None and not fresh:
            refused = await self._judge(asked, quote, reload=True)
        return refused

    async def _judge(self, asked: AcceptDeposit, quote: Quote, *, reload: bool) -> adm.No | None:
        now = self._parts.clock.now()
        if reload:
            self._day = adm.eat_day(now)
            self._rows = await self._parts.store.load(self._id, eat_day=self._day)
        return adm.refusal(
            terms_of(quote), self._standing(asked), board=self._parts.board, limits=self._parts.limits, now=now
        )

    def _standing(self, asked: AcceptDeposit) -> adm.Standing:
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
        )

    async def _begin(self, asked: AcceptDeposit, quote: Quote) -> HttpAnswer:
        """One unit: transaction in STK_SENDING, intent, stored answer, used quote. Then the saga is told."""
        now = self._parts.clock.now()
        unit, body = self._unit(asked, quote, now)
        answer = await record(self._parts.addresses, unit)
        if not isinstance(answer, Committed):
            return await self._race_lost(asked, answer.code)
        assert unit.transaction is not None
        row = unit.transaction.row
        self._remember(row)
        try:
            self._parts.addresses.tell(saga_of(row.shard, row.id), SagaBegan(row))
        except MailboxFull:
            log.warning("saga_start_postponed", transaction_id=row.id)
        return HttpAnswer(status=202, body=body, content_type=CONTENT_TYPE, location=_location(row.id))

    def _unit(self, asked: AcceptDeposit, quote: Quote, now: datetime) -> tuple[UnitOfWork, bytes]:
        fresh = self._parts.ids.ulid
        transaction_id, operation_id = fresh(), fresh()
        first = adm.verify_first(terms_of(quote), self._standing(asked), self._parts.limits)
        deposit = new_deposit(asked, quote, now, ids=(transaction_id, operation_id), verify_first=first)
        decision = decide(deposit, ev.StkStarted(), Occasion(now, (fresh(), fresh(), fresh())), self._parts.rules)
        assert isinstance(decision, Decision)
        base = base_row(asked, quote, deposit, day=self._day, limit_usd_minor=self._parts.limits.daily_usd_minor)
        unit = unit_of(DEPOSIT, decision, base, actor=f"user:{self._id}")
        assert unit.transaction is not None
        row = unit.transaction.row
        body = json_bytes(render_transaction(row, evidence_of(row)))
        push = NewOperation(
            id=operation_id,
            kind=OperationKind.STK,
            amount=quote.send,
            recipient=asked.customer.phone_mask,
            reference=account_reference(operation_id),
            sealed_request=self._parts.sealer.seal(
                asked.customer.phone.encode(),
                aad=f"provider_operations|sealed_request|{operation_id}",
                user_id=self._id,
                data_key=asked.customer.data_key,
            ),
        )
        stored = self._answer(
            asked, status=202, body=body, content_type=CONTENT_TYPE, location=_location(row.id), transaction_id=row.id
        )
        return replace(unit, new_operations=(push,), answer=stored), body

    def _remember(self, row: TransactionRow) -> None:
        rows = self._rows
        assert rows is not None
        opened = OpenDeposit(
            transaction_id=row.id,
            state=row.state,
            eat_day=row.eat_day,
            usd_minor=row.receive.minor,
            kes_minor=row.send.minor,
            created_at=row.created_at,
        )
        self._rows = replace(rows, deposits=(*rows.deposits, opened), last_push_at=row.created_at)

    # --- answers ------------------------------------------------------------------------------------------------

    async def _race_lost(self, asked: AcceptDeposit, code: RejectCode) -> HttpAnswer:
        self._rows = None
        match code:
            case RejectCode.KEY_REUSED:
                return await self._replay(asked) or _problem_answer("request_in_progress", retry_after_s=1)
            case RejectCode.QUOTE_USED:
                return await self._refuse(asked, adm.No("quote_used"))
            case RejectCode.ACCOUNT_FROZEN:
                return await self._refuse(asked, adm.No("account_frozen"))
        raise RuntimeError(f"admission rejected: {code}")

    async def _refuse(self, asked: AcceptDeposit, no: adm.No) -> HttpAnswer:
        """A first answer under this key wins over any refusal; a refusal of the business becomes the first answer."""
        replay = await self._replay(asked)
        if replay is not None:
            return replay
        status = PROBLEMS[no.code].status
        body = json_bytes(problem(no.code, no.detail, retry_after_s=no.retry_after_s))
        fresh = HttpAnswer(status=status, body=body, content_type=PROBLEM_TYPE, retry_after_s=no.retry_after_s)
        if status not in STORED or no.code in NEVER_STORED:
            return fresh
        stored = self._answer(asked, status=status, body=body, content_type=PROBLEM_TYPE)
        unit = UnitOfWork(
            unit_id=f"idem:{self._id}:{asked.route}:{asked.key_hash}"[:180],
            shard=self._parts.shard,
            at=self._parts.clock.now(),
            user_id=self._id,
            answer=stored,
        )
        answer = await record(self._parts.addresses, unit)
        if isinstance(answer, Committed):
            return fresh
        return await self._replay(asked) or fresh

    async def _replay(self, asked: AcceptDeposit) -> HttpAnswer | None:
        stored = await self._parts.store.answer(self._id, asked.route, asked.key_hash)
        if stored is None:
            return None
        if stored.fingerprint != asked.fingerprint:
            return _problem_answer("idempotency_key_reused")
        body = self._parts.sealer.open(
            stored.sealed_body, aad=_answer_aad(asked), user_id=self._id, data_key=asked.customer.data_key
        )
        return HttpAnswer(
            status=stored.status, body=body, content_type=stored.content_type, location=stored.location, replayed=True
        )

    def _answer(
        self,
        asked: AcceptDeposit,
        *,
        status: int,
        body: bytes,
        content_type: str,
        location: str = "",
        transaction_id: str = "",
    ) -> StoredAnswer:
        sealed = self._parts.sealer.seal(
            body, aad=_answer_aad(asked), user_id=self._id, data_key=asked.customer.data_key
        )
        return StoredAnswer(
            user_id=self._id,
            route=asked.route,
            key_hash=asked.key_hash,
            fingerprint=asked.fingerprint,
            status=status,
            location=location,
            content_type=content_type,
            sealed_body=sealed,
            transaction_id=transaction_id,
        )


def _answer_aad(asked: AcceptDeposit) -> str:
    return f"answers|sealed_body|{asked.route}|{asked.key_hash}"


def _location(transaction_id: str) -> str:
    return f"/api/v1/transactions/{transaction_id}"


def _problem_answer(code: str, detail: str = "", retry_after_s: int = 0) -> HttpAnswer:
    body = json_bytes(problem(code, detail, retry_after_s=retry_after_s))
    return HttpAnswer(status=PROBLEMS[code].status, body=body, content_type=PROBLEM_TYPE, retry_after_s=retry_after_s)
