"""What Safaricom tells only when asked: the balances of our short code, and the list of payments (Pull)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from actors.base import AsyncioActor, MailboxFull
from actors.daraja_payouts import spoils_credential
from actors.payment_watch import BEYOND_THE_LIST, UNREADABLE_ROWS, Look, PaymentWatch, WatchParts
from actors.rail_lease import LeaseHolder
from actors.saga_bell import tell_saga
from penpay.domain.board import Board, FloatSnapshot
from penpay.domain.errors import BadInput, GatewayError, StoreError
from penpay.domain.mpesa_callbacks import account_balances, parse_result
from penpay.domain.payments import PullRow, payment_for
from penpay.domain.reconciliation import REACH
from penpay.messages import ProbeAnswered
from penpay.messages_rails import DARAJA_GATE, ProbePull, ResumePayouts, StopPayouts
from penpay.ports import Addresses, CallbackTokens, Clock, Ids, InboxStore
from penpay.ports_rails import DarajaGateway, PullList, RailReads

log = structlog.get_logger("penpay.rails")

PAYING = "mpesa_utility"
"""The float that payouts come from, and of which the promised ones are reserved."""
RAIL_SHARD = 0xFFFF
"""Shard of callbacks that belong to a rail and to no customer."""
_PULL_MARGIN = timedelta(minutes=5)
_PROBES_MAX = 5000
_BALANCE_PAGE = 50
_WHENEVER = datetime.max.replace(tzinfo=UTC)
"""Rows carry the time of the node that took them in, whose clock may be ahead of ours."""
_QUESTIONS_KEPT = 20
_FLOATS = {"mpesa_paybill": ("Working Account", "Utility Account"), "mpesa_utility": ("Utility Account",)}
"""Our name → Safaricom's accounts: of the receiving short code together, of the paying one what payouts come from."""
_FLOATS_OF_ONE = {"mpesa_paybill": ("Working Account",), "mpesa_utility": ("Utility Account",)}
"""The same when one short code does both: no money may count twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollerSettings:
    """Seconds between questions."""

    balance_every_s: float = 60.0
    balance_again_s: float = 5.0
    """While a balance was never told: nothing is sent before the opening balances are known."""
    pull_every_s: float = 60.0
    reserve_every_s: float = 5.0
    sweep_every_s: float = 1.0
    """How often the results of balance questions are looked for."""
    one_short_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PollerParts:
    """What the pollers work with."""

    lease: LeaseHolder
    daraja: DarajaGateway
    tokens: CallbackTokens
    inbox: InboxStore
    reads: RailReads
    addresses: Addresses
    clock: Clock
    ids: Ids
    board: Board
    watch: WatchParts
    settings: PollerSettings = PollerSettings()


@dataclass(frozen=True, slots=True)
class _AskBalance:
    """Time to ask for the balances."""


@dataclass(frozen=True, slots=True)
class _LookForBalance:
    """Time to look for a result."""


@dataclass(frozen=True, slots=True)
class _Reserve:
    """Time to add up what is promised."""


@dataclass(frozen=True, slots=True)
class _Watch:
    """Time for the regular look at the list."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """The regular look is over."""

    look: Look


@dataclass(frozen=True, slots=True)
class _Pulled:
    """The list was read for those who asked; `listed` is None when it could not be. It covers `since` to `until`."""

    since: datetime
    until: datetime
    listed: PullList | None
    code: str = ""


class DarajaPollersActor(AsyncioActor):
    """Asks for balances, watches the list of payments and answers `ProbePull`: one read serves every saga that waits.

    Constructor: `parts: PollerParts`.
    """

    LEVEL = 1

    def __init__(self, parts: PollerParts) -> None:
        super().__init__()
        self._parts = parts
        self._waiting: dict[str, ProbePull] = {}
        self._asked: dict[str, ProbePull] = {}
        """Whose question the running read answers."""
        self._balances: dict[str, str] = {}
        """Operation of a question → float that its result tells."""
        self._floats = _FLOATS_OF_ONE if parts.settings.one_short_code else _FLOATS
        self._balances_asked_s = 0.0
        self._unanswered: set[str] = set()
        """Floats that were asked for and not told since."""
        self._reserved_minor = 0
        self._stopped = ""
        """The code that speaks against our initiator: until a person resumes, no balance is asked with it."""
        self._watch = PaymentWatch(parts.watch)
        self._watch_due = False
        self._pulling = False
        self._pull_problem = "not read yet"

    async def on_start(self) -> None:
        """Ask for the balances at once: admission compares with them."""
        settings = self._parts.settings
        self.timers.once("first", 0.0, _AskBalance())
        self.timers.every("balance", settings.balance_every_s, _AskBalance())
        self.timers.every("look", settings.sweep_every_s, _LookForBalance())
        self.timers.every("reserve", settings.reserve_every_s, _Reserve())
        self.timers.every("watch", settings.pull_every_s, _Watch())

    async def on_receive(self, message: Any) -> Any:
        """Probes, and its own timers."""
        match message:
            case ProbePull():
                self._probe(message)
            case _Watch():
                self._watch_due = True
                self._read_next()
            case _Watched(look):
                self._watched(look)
            case _Pulled():
                self._pulled(message)
            case _AskBalance():
                self._ask_balances()
            case _Reserve():
                await self._reserve()
            case StopPayouts(code=code):
                self._stopped = code if spoils_credential(code) else self._stopped
            case ResumePayouts():
                self._stopped = ""
                self._ask_balances()
            case _LookForBalance():
                await self._look_for_balance()
                unknown = not self._parts.board.floats.keys() >= self._floats.keys()
                since_s = self._parts.clock.monotonic_s() - self._balances_asked_s
                if unknown and since_s >= self._parts.settings.balance_again_s:
                    self._ask_balances()
            case _:
                raise AssertionError(f"pollers do not take {type(message).__name__}")

    def observable_state(self) -> Mapping[str, object]:
        """Probes that wait, the list's last problem, and what keeps balances from being asked."""
        return {
            "waiting": len(self._waiting),
            "pulling": self._pulling,
            "watch_due": self._watch_due,
            "pull_problem": self._pull_problem,
            "stopped": self._stopped,
        }

    # --- the list of payments ---

    def _probe(self, probe: ProbePull) -> None:
        if len(self._waiting) >= _PROBES_MAX:
            self._answer(probe, "UNANSWERED", code="too_many_questions")
            return
        self._waiting[probe.operation_id] = probe
        self._read_next()

    def _read_next(self, *, watch_first: bool = False) -> None:
        """One read at a time. Who asks while it runs waits for the next one: this one may have begun too early.

        Sagas go first, but for the watch when they had the last turn: neither keeps the other waiting for ever.
        """
        if self._pulling or self._parts.lease.current() is None:
            return
        if self._watch_due and (watch_first or not self._waiting):
            self._pulling, self._watch_due = True, False
            self.spawn(self._look(), name="watch")
        elif self._waiting:
            self._start_pull()

    async def _look(self) -> None:
        try:
            look = await self._watch.look()
        except GatewayError as error:
            look = Look(error.code)
        except StoreError as error:
            look = Look(type(error).__name__)
        self.timers.once("watched", 0.0, _Watched(look))

    def _watched(self, look: Look) -> None:
        self._pulling = False
        if look.problem and look.problem != self._pull_problem:
            log.warning("the list of payments is not all read", code=look.problem)
        self._note_list(look.problem)
        self._watch_due = self._watch_due or look.behind
        self._read_next()

    def _note_list(self, problem: str) -> None:
        self._pull_problem = problem
        self._parts.board.answers("daraja", "pull", well=not problem)

    def _start_pull(self) -> None:
        self._pulling = True
        until = self._parts.clock.now()
        since = min(probe.since - _PULL_MARGIN for probe in self._waiting.values())
        self.spawn(self._pull(max(since, until - REACH), until), name="pull")
        self._asked, self._waiting = self._waiting, {}

    async def _pull(self, since: datetime, until: datetime) -> None:
        try:
            listed = await self._parts.daraja.pull(since=since, until=until)
        except GatewayError as error:
            pulled = _Pulled(since, until, None, error.code)
        else:
            pulled = _Pulled(since, until, listed)
        self.timers.once("pulled", 0.0, pulled)

    def _pulled(self, pulled: _Pulled) -> None:
        self._pulling = False
        listed = pulled.listed
        self._note_list(pulled.code or (UNREADABLE_ROWS if listed and not listed.complete else ""))
        asked, self._asked = self._asked, {}
        by_reference: dict[str, list[PullRow]] = {}
        for row in listed.rows if listed else ():
            by_reference.setdefault(row.reference, []).append(row)
        for probe in asked.values():
            found = by_reference.get(probe.reference, [])
            if listed is None:
                self._answer(probe, "UNANSWERED", code=pulled.code)
            elif found:
                self._answer(probe, "PAID", row=_payment_of(probe, found))
            elif probe.since < pulled.since:
                # The list does not reach back to this push: its silence says nothing.
                self._answer(probe, "UNANSWERED", code=BEYOND_THE_LIST)
            elif not listed.complete:
                # One of the entries that nobody could read may be the payment.
                self._answer(probe, "UNANSWERED", code=UNREADABLE_ROWS)
            else:
                self._answer(probe, "CLEAN", until=pulled.until)
        self._read_next(watch_first=True)

    def _answer(
        self,
        probe: ProbePull,
        outcome: str,
        *,
        code: str = "",
        row: PullRow | None = None,
        until: datetime | None = None,
    ) -> None:
        answer = ProbeAnswered(
            probe="pull",
            operation_id=probe.operation_id,
            outcome=outcome,
            code=code,
            reference=row.receipt if row else "",
            amount=row.amount if row else None,
            paid_at=row.paid_at if row else None,
            phone_tail=row.phone_tail if row else "",
            until=until,
        )
        tell_saga(self._parts.addresses, probe.shard, probe.transaction_id, answer)

    # --- balances ---

    def _ask_balances(self) -> None:
        if self._parts.lease.current() is None or self._stopped:
            return
        self._balances_asked_s = self._parts.clock.monotonic_s()
        if self._unanswered:
            self._parts.board.answers("daraja", "account_balance", well=False)
        self._unanswered.update(self._floats)
        for name in self._floats:
            operation_id = self._parts.ids.ulid()
            self._balances[operation_id] = name
            self.spawn(self._ask_balance(operation_id, payouts=name == PAYING), name=f"balance:{name}")
        while len(self._balances) > _QUESTIONS_KEPT:
            del self._balances[next(iter(self._balances))]

    async def _ask_balance(self, operation_id: str, *, payouts: bool) -> None:
        try:
            await self._parts.daraja.account_balance(
                payouts=payouts,
                result_url=self._parts.tokens.url("balance", RAIL_SHARD, operation_id),
                timeout_url=self._parts.tokens.url("timeout", RAIL_SHARD, operation_id),
            )
        except GatewayError as error:
            log.warning("balances of a short code not asked", code=error.code)

    async def _look_for_balance(self) -> None:
        """Results arrive as inbox rows of the rail's own shard, which no ledger consumes.

        A node that stands by takes none: only who asked knows which float a result tells. Used up before they are read:
        a balance is asked again within the minute, and one that ends its reader must not meet the next one.
        """
        if self._parts.lease.current() is None:
            return
        try:
            rows = await self._parts.inbox.waiting(RAIL_SHARD, older_than=_WHENEVER, limit=_BALANCE_PAGE)
            if rows:
                await self._parts.inbox.consumed_by_rail([row.id for row in rows])
        except StoreError as error:
            log.warning("balances not read", error=type(error).__name__)
            return
        for row in rows:
            name = self._balances.pop(row.operation_id, "")
            if row.kind == "balance" and row.trusted_source and name:
                self._read_balance(name, row.body, row.received_at)

    def _read_balance(self, name: str, body: bytes, at: datetime) -> None:
        try:
            result = parse_result(body)
            if spoils_credential(result.result_code):
                self._report_initiator(result.result_code)
            told = account_balances(result.value("AccountBalance")) if result.result_code == "0" else {}
        except BadInput as error:
            log.warning("balances unreadable", field=error.field)
            return
        found = [told[account] for account in self._floats[name] if account in told]
        known_minor = [money.minor for money in found if money is not None]
        if len(known_minor) < len(found):
            log.warning("balances unreadable", field="AccountBalance")  # a part of a float is no float
        elif found:
            reserved_minor = self._reserved_minor if name == PAYING else 0
            self._parts.board.floats[name] = FloatSnapshot(sum(known_minor), reserved_minor, at)
            self._unanswered.discard(name)
            if not self._unanswered:
                self._parts.board.answers("daraja", "account_balance", well=True)

    async def _reserve(self) -> None:
        """Take what customers were promised off the float that it will be paid from."""
        if self._parts.lease.current() is None:
            return
        try:
            self._reserved_minor = await self._parts.reads.reserved_payouts_minor()
        except StoreError as error:
            log.warning("promised payouts not added up", error=type(error).__name__)
            return
        known = self._parts.board.floats.get(PAYING)
        if known is not None:
            self._parts.board.floats[PAYING] = replace(known, reserved_minor=self._reserved_minor)

    def _report_initiator(self, code: str) -> None:
        """The balance's question uses the credential that payouts use: its fault is theirs."""
        self._stopped = code
        try:
            self._parts.addresses.tell(DARAJA_GATE, StopPayouts(code=code))
        except MailboxFull:
            log.warning("the gate is busy, its first payout will tell it", code=code)


def _payment_of(probe: ProbePull, found: list[PullRow]) -> PullRow:
    if len(found) > 1:
        log.warning("several payments name one push", operation_id=probe.operation_id, count=len(found))
    return payment_for(probe.amount, probe.payer, found)
