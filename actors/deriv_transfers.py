"""Sends the agent's dollars to customers: what a deposit credits, and what a withdrawal gives back.

One at a time per recipient and per amount while the outcome of one is open, for Deriv v3 has no idempotency key.
"""

from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from actors.base import ActorCrashed, ActorGone, AskTimeout, MailboxFull, NoSuchActor
from actors.deriv_agent import AgentWitness
from actors.deriv_calls import NO_SOCKET, Call, CallEnd, LateReply, SessionReady
from actors.deriv_equals import Equals, unresolved_rows
from actors.pacing import TokenBucket
from actors.rail_call import CallResult, submit_of
from actors.rail_parts import SenderParts
from actors.rail_sender import Pump, RailSender
from actors.saga_bell import tell_saga
from penpay.domain import deriv_protocol as deriv
from penpay.domain.errors import BadInput
from penpay.domain.ids import account_reference
from penpay.domain.rail_end import AGENT_FUNDS, ANOTHER_RECIPIENT, DISCONNECTED, TIMED_OUT, UNREADABLE, Outcome
from penpay.domain.statement import description
from penpay.domain.unit import OperationKind
from penpay.messages import ProbeAnswered
from penpay.messages_rails import DERIV_SESSION, DERIV_TRANSFERS, CheckRecipient, Submit
from penpay.ports import Attempt, OperationRow

log = structlog.get_logger("penpay.rails")

_CHECKS_MAX = 5000
"""Recipients whose check waits for its turn."""
_BUSY = "busy"
_ASK_MARGIN_S = 10.0
"""The session answers every call within its own time-out; this only keeps a lost answer from hanging."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSettings:
    """`calls_per_min` 0 means unpaced. `reference_visible`: proven on this very account (decisions, part 6)."""

    call_s: float = 15.0
    calls_per_min: float = 200.0
    check_cache_s: float = 600.0
    checks_kept: int = 10_000
    settle_s: float = 600.0
    reference_visible: bool = False


@dataclass(frozen=True, slots=True)
class _Checked:
    """A dry run ended."""

    loginid: str
    end: CallEnd


class DerivTransfersActor(RailSender):
    """Runs DERIV_TRANSFER and DERIV_RETURN operations over the session, and checks recipients by dry run.

    Constructor: `parts: SenderParts`, `witness: AgentWitness`, `settings: TransferSettings`.
    """

    RAIL = "deriv"
    KINDS = frozenset({OperationKind.DERIV_TRANSFER, OperationKind.DERIV_RETURN})

    def __init__(self, parts: SenderParts, *, witness: AgentWitness, settings: TransferSettings | None = None) -> None:
        super().__init__(parts)
        self._witness = witness
        self._settings = settings or TransferSettings()
        self._bucket = TokenBucket(self._settings.calls_per_min / 60)
        self._equals = Equals(reference_visible=self._settings.reference_visible)
        self._checked: OrderedDict[str, float] = OrderedDict()
        self._asking: dict[str, dict[str, CheckRecipient]] = {}
        """Recipient → transaction → question, while a dry run waits or is under way."""
        self._unchecked: deque[str] = deque()
        """Recipients whose dry run waits for its turn."""

    async def on_receive(self, message: Any) -> Any:
        """Checks and late replies; everything else is the sender's."""
        match message:
            case CheckRecipient():
                self._check(message)
            case _Checked(loginid, end):
                self._answer_checks(loginid, end)
            case LateReply(reference, end):
                self._late(reference, end)
            case SessionReady():
                self.pump()
            case _:
                await super().on_receive(message)

    def observable_state(self) -> Mapping[str, object]:
        """What is open, and what waits for it."""
        return {**super().observable_state(), **self._equals.counts, "unchecked": len(self._unchecked)}

    # --- sending ---

    def wait_s(self, submit: Submit) -> float | None:
        """None while the session is not ready or an equal transfer is open."""
        if not self._witness.ready or self._equals.blocks(submit):
            return None
        return self._bucket.wait_s(self.parts.clock.monotonic_s())

    def started(self, submit: Submit) -> None:
        """From here on it blocks its equals."""
        self._bucket.take(self.parts.clock.monotonic_s())
        self._equals.started(submit)

    @asynccontextmanager
    async def prepared(self, submit: Submit) -> AsyncIterator[Mapping[str, str]]:
        """The agent's account just before the attempt, if it can be seen."""
        del submit
        mark = self._witness.watermark()
        yield mark.as_text() if mark is not None else {}

    async def perform(self, attempt: Attempt) -> CallResult:
        """Send the transfer and read what its reply proves."""
        operation = attempt.operation
        request = deriv.transfer(
            amount=operation.amount, loginid=operation.recipient, reference=description(operation.reference)
        )
        end = await self._call(request, money=True, reference=f"{operation.id}/{attempt.number}")
        return transfer_result(end, operation.recipient)

    def ended(self, submit: Submit, result: CallResult | None, *, unknown: bool) -> None:
        """Proven ends free their equals; an unknown one goes on blocking until its row is resolved."""
        self._equals.ended(submit, unknown=unknown)
        if result is not None and result.code == "RateLimit":
            self._bucket.slower()
        elif result is not None and result.outcome is Outcome.CONFIRMED:
            self._bucket.succeeded()

    async def unresolved(self) -> Sequence[OperationRow] | None:
        """Of both kinds: they move dollars in the same direction."""
        now, settle_s = self._witness.told_now(), self._settings.settle_s
        return await unresolved_rows(self.parts.attempts, self.KINDS, now=now, settle_s=settle_s)

    def blocked_by(self, rows: Sequence[OperationRow]) -> None:
        """What a sweep read."""
        self._equals.left_open(map(submit_of, rows))

    def _late(self, reference: str, end: CallEnd) -> None:
        """A reply after the time-out is proof all the same: it takes the place of the unknown end.

        Its equals wait until the shard has taken it: the statement is searched until then. Also when the search found
        nothing, and the saga has gone on from there: that dollars left is always news.
        """
        operation_id, _, number = reference.partition("/")
        submit = self._equals.doubted(operation_id)
        if submit is None:
            return
        result = transfer_result(end, submit.loginid)
        if result.outcome is not Outcome.UNKNOWN:
            self.spawn(self.rows.store(submit, int(number), result), name=f"late:{operation_id}")

    async def _call(self, request: deriv.Request, *, money: bool, reference: str = "") -> CallEnd:
        call = Call(
            request=request,
            timeout_s=self._settings.call_s,
            money=money,
            late_to=DERIV_TRANSFERS if money else "",
            reference=reference,
        )
        try:
            end = await self.parts.addresses.ask(DERIV_SESSION, call, timeout_s=self._settings.call_s + _ASK_MARGIN_S)
        except (MailboxFull, NoSuchActor):
            return NO_SOCKET
        except AskTimeout:
            return CallEnd(outcome=Outcome.UNKNOWN, code=TIMED_OUT)
        except (ActorCrashed, ActorGone):
            return CallEnd(outcome=Outcome.UNKNOWN, code=DISCONNECTED)
        assert isinstance(end, CallEnd)
        return end

    # --- checks ---

    def _check(self, check: CheckRecipient) -> None:
        """One dry run serves everyone who asks about a recipient; a success is remembered."""
        until_s = self._checked.get(check.loginid, 0.0)
        if self.parts.clock.monotonic_s() < until_s:
            self._answer(check, "OK")
            return
        if check.loginid not in self._asking:
            if len(self._unchecked) >= _CHECKS_MAX:
                self._answer(check, "UNANSWERED", _BUSY)
                return
            self._asking[check.loginid] = {}
            self._unchecked.append(check.loginid)
        self._asking[check.loginid][check.transaction_id] = check
        self.pump()

    def pump(self) -> None:
        """Transfers of money that was paid go first; what they leave of the provider's limit is for checks."""
        super().pump()
        self._check_some()
        # Whoever passes the check will want a transfer too.
        calls = self.waiting + 2 * len(self._unchecked)
        self.parts.board.backlogs[self.RAIL] = self._bucket.seconds_for(calls)

    def _check_some(self) -> None:
        while self._unchecked:
            now_s = self.parts.clock.monotonic_s()
            if not self._witness.ready:
                self._answer_checks(self._unchecked.popleft(), NO_SOCKET)
            elif wait_s := self._bucket.wait_s(now_s):
                self.timers.once("checks", wait_s, Pump())
                return
            else:
                self._bucket.take(now_s)
                loginid = self._unchecked.popleft()
                asked = next(iter(self._asking[loginid].values()))
                self.spawn(self._dry_run(asked), name=f"check:{loginid}")

    async def _dry_run(self, check: CheckRecipient) -> None:
        request = deriv.transfer(
            amount=check.amount,
            loginid=check.loginid,
            reference=description(account_reference(check.transaction_id)),
            dry_run=True,
        )
        began_s = self.parts.clock.monotonic_s()
        end = await self._call(request, money=False)
        self.observe("dry_run", end.outcome.value, began_s)
        self.note(("checked", check.loginid), _Checked(check.loginid, end))

    def _answer_checks(self, loginid: str, end: CallEnd) -> None:
        waiting = self._asking.pop(loginid, {}).values()
        result = transfer_result(end, loginid, dry_run=True)
        passed = result.outcome is Outcome.CONFIRMED and result.code != ANOTHER_RECIPIENT
        if passed:
            self._remember(loginid)
        for check in waiting:
            match result.outcome:
                case Outcome.CONFIRMED if passed:
                    self._answer(check, "OK")
                case Outcome.REFUSED if not result.hold or result.code == AGENT_FUNDS:
                    self._answer(check, "REFUSED", result.code)
                case _:
                    self._answer(check, "UNANSWERED", result.code)

    def _remember(self, loginid: str) -> None:
        self._checked[loginid] = self.parts.clock.monotonic_s() + self._settings.check_cache_s
        self._checked.move_to_end(loginid)
        if len(self._checked) > self._settings.checks_kept:
            self._checked.popitem(last=False)

    def _answer(self, check: CheckRecipient, outcome: str, code: str = "") -> None:
        answer = ProbeAnswered(probe="recipient", operation_id="", outcome=outcome, code=code)
        tell_saga(self.parts.addresses, check.shard, check.transaction_id, answer)


def transfer_result(end: CallEnd, loginid: str, *, dry_run: bool = False) -> CallResult:
    """What the session's answer says about a transfer to `loginid`.

    A success that names anyone else moved dollars too: the same outcome, with a code that nobody may overlook.
    """
    if end.outcome is not Outcome.CONFIRMED:
        return CallResult(outcome=end.outcome, code=end.code, hold=end.hold)
    assert end.frame is not None
    try:
        told = deriv.transferred(end.frame, dry_run=dry_run)
    except BadInput as error:
        return CallResult(outcome=Outcome.UNKNOWN, code=f"{UNREADABLE}:{error.field}")
    another = told.loginid not in {loginid, ""}
    if another:
        log.error("deriv names another recipient than asked", rail="deriv", transaction=told.transaction_id)
    return CallResult(
        outcome=Outcome.CONFIRMED,
        code=ANOTHER_RECIPIENT if another else "",
        provider_ref=str(told.transaction_id or ""),
        facts={"client_to_loginid": told.loginid or loginid},
    )
