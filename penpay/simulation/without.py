"""What stands in the place of a safeguard when a world is made without it: each does what carelessness would."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from actors import deposit_evidence, ledger_rules, withdrawal_evidence
from actors.deriv_resolver import DerivResolverActor
from actors.ledger_commits import Commits
from actors.payment_watch import Look, PaymentWatch
from actors.user import UserActor
from penpay.domain import credits as credits_
from penpay.domain import (
    deposit_events,
    deposit_payment,
    deposit_waiting,
    statement,
    withdrawal_debit,
    withdrawal_events,
)
from penpay.domain.deposit import State
from penpay.domain.draft import Draft
from penpay.domain.ids import ulid_from_bytes, uuid_text
from penpay.domain.rail_end import Outcome
from penpay.domain.unit import OperationState
from penpay.domain.withdrawal_return import start_return
from penpay.messages import InboxRow, UnitRejected
from penpay.ports import Attempt, ConnectionLost
from penpay.simulation.store import attempts
from penpay.simulation.store.inbox import MemoryInboxStore
from penpay.simulation.store.ledger import MemoryLedgerTransaction
from penpay.simulation.store.operations import operation_row
from supervisors.specs import ChildSpec, SupervisorSpec

_O = OperationState


# --- the ledger -------------------------------------------------------------------------------------------------


def add_unseen(self: Any, incoming: Any) -> Any:
    """Nobody remembers which units were recorded."""
    movement = ledger_rules.Movement()
    rejected = ledger_rules.rejection(self._view, incoming, movement)
    if rejected is not None:
        return UnitRejected(incoming.unit.unit_id, *rejected)
    self._accept(incoming, movement)
    return ""


async def no_replays(*_args: Any, **_named: Any) -> None:
    """What is rejected stays rejected, whatever was recorded before."""


async def commit_believed(self: Any, batch: Any) -> None:
    """A COMMIT whose answer was lost is taken for one that took effect."""
    try:
        await _commit(self, batch)
    except ConnectionLost as error:
        if not error.commit_sent:
            raise


_commit = MemoryLedgerTransaction.commit


_still_valid = Commits._still_valid  # noqa: SLF001 - what is taken out is a part of it


def whoever_owns(self: Any, fence: Any) -> bool:
    """The row is locked and its heads are believed; whose it is, and in which epoch, is not looked at."""
    return _still_valid(self, replace(fence, owner=self.fence.owner, epoch=self.fence.epoch))


def nothing(*_args: Any) -> None:
    """No objection."""


_standing = UserActor._standing  # noqa: SLF001 - all of it but one line


def nothing_spent(self: Any, asked: Any) -> Any:
    """Every deposit is the first one of its day."""
    return replace(_standing(self, asked), today_usd_minor=0, today_kes_minor=0)


def nothing_open(self: Any, asked: Any) -> Any:
    """Whatever else this customer has under way."""
    return replace(_standing(self, asked), withdrawal_open=False)


# --- evidence ---------------------------------------------------------------------------------------------------

_inbox_add, _stk = MemoryInboxStore.add, deposit_evidence._stk  # noqa: SLF001 - what it stands in for


async def add_each(self: Any, row: InboxRow, *, dedupe_key: str, source: str) -> bool:
    """Every post is evidence of its own."""
    return await _inbox_add(self, row, dedupe_key=f"{dedupe_key[:60]}:{row.id}", source=source)


def stk_trusted(deposit: Any, callback: Any, row: InboxRow) -> Any:
    """Every address is Safaricom's."""
    return _stk(deposit, callback, replace(row, trusted_source=True))


async def never(*_args: Any, **_named: Any) -> Sequence[Any]:
    """Nothing is there."""
    return ()


async def none_used(*_args: Any, **_named: Any) -> Mapping[str, str]:
    """No evidence is taken."""
    return {}


async def no_sweep(_self: Any) -> None:
    """Nobody looks for what no bell rang for."""


def claims_are_paid(d: Draft[Any], e: deposit_events.MpesaPaid) -> None:
    """Whatever arrived is taken for what was asked."""
    deposit_payment.paid(d, replace(e, amount=d.now.send))


def believe_one_query(d: Draft[Any], e: deposit_events.MpesaRefused) -> None:
    """Any failure, whoever tells it and whenever."""
    if e.final and not d.now.held_receipt:
        deposit_payment.fail(d, "mpesa_refused", _O.REFUSED)


async def look_nowhere(_watch: PaymentWatch) -> Look:
    """The list is read for those who ask, and for nobody else."""
    return Look()


def fail_without_list(d: Draft[Any], _e: Any) -> None:
    """Not seen for a while is taken for not paid."""
    if d.now.state is State.STK_UNKNOWN and d.age_s(d.now.pushed_at or d.now.created_at) > d.rules.stk_grace_s:
        deposit_payment.fail(d, "not_paid", _O.REFUSED)
    else:
        deposit_waiting.woke(d, _e)


# --- Deriv ------------------------------------------------------------------------------------------------------

_transfer_end, _debit_end = deposit_evidence._transfer_end, withdrawal_evidence._debit_end  # noqa: SLF001


def transfer_resent(deposit: Any, end: Any) -> Any:
    """No answer is taken for not sent."""
    unknown = end.outcome is Outcome.UNKNOWN
    return _transfer_end(deposit, replace(end, outcome=Outcome.NOT_SENT) if unknown else end)


def debit_resent(withdrawal: Any, end: Any) -> Any:
    """The same for a debit."""
    unknown = end.outcome is Outcome.UNKNOWN
    return _debit_end(withdrawal, replace(end, outcome=Outcome.NOT_SENT) if unknown else end)


def unsettled(spec: SupervisorSpec) -> SupervisorSpec:
    """The resolver believes in absence at once."""
    return _with_child(spec, "resolver", _resolver_at_once)


def _resolver_at_once() -> Callable[[tuple[Any, Any]], tuple[Any, Any]]:
    def changed(blueprint: tuple[Any, Any]) -> tuple[Any, Any]:
        actor, (parts,) = blueprint
        assert actor is DerivResolverActor
        return actor, (replace(parts, settings=replace(parts.settings, settle_s=0.0, apart_s=0.0)),)

    return changed


def _with_child(
    spec: SupervisorSpec, name: str, change: Callable[[], Callable[[tuple[Any, Any]], tuple[Any, Any]]]
) -> SupervisorSpec:
    """The tree with another blueprint for every child of this name."""
    children: list[Any] = []
    for child in spec.children:
        if isinstance(child, SupervisorSpec):
            children.append(_with_child(child, name, change))
        elif isinstance(child, ChildSpec) and child.name == name:
            children.append(replace(child, factory=_changed(child.factory, change())))
        else:
            children.append(child)
    return replace(spec, children=children)


def _changed(
    factory: Callable[[], Any], change: Callable[[tuple[Any, Any]], tuple[Any, Any]]
) -> Callable[[], tuple[Any, Any]]:
    return lambda: change(factory())


def no_mailboxes(spec: SupervisorSpec) -> SupervisorSpec:
    """What waits for an actor goes down with it."""
    children: list[Any] = []
    for child in spec.children:
        if isinstance(child, SupervisorSpec):
            children.append(no_mailboxes(child))
        elif isinstance(child, ChildSpec):
            children.append(replace(child, keep_mailbox=False))
        else:
            children.append(child)
    return replace(spec, children=children)


def fits_whatever_amount(row: Any, debit: Any) -> bool:
    """A new credit is the debit's, however much it is."""
    return bool(_fits(row, replace(debit, amount=row.amount)))


_fits = credits_._fits  # noqa: SLF001 - all of it but the amount


def witness_believed(d: Draft[Any], e: withdrawal_events.WitnessSeen) -> None:
    """Whatever arrived is taken for what was asked."""
    withdrawal_debit.witness_seen(d, replace(e, amount=d.now.send))


def our_clock(self: Any) -> Any:
    """Deriv's time is ours."""
    return self._clock.now()


def by_our_row(recorded_at: Any, _mark: Any) -> Any:
    """Whatever Deriv's clock said before."""
    return recorded_at


def always_clean(read: Any, lost: Any) -> Any:
    """What is not in the list did not happen."""
    del read, lost
    return statement.Reading(statement.Found.CLEAN, "nobody looked at the balances")


# --- payouts ----------------------------------------------------------------------------------------------------


def new_payout_id(pay: Callable[..., Any]) -> Callable[..., Any]:
    """Each try is another payout to Safaricom."""

    async def paid(self: Any, attempt: Any) -> Any:
        """Every try is another payout."""
        operation = attempt.operation
        raw = bytearray(bytes.fromhex(operation.request["originator_conversation_id"].replace("-", "")))
        raw[0] = attempt.number % 8
        request = {**operation.request, "originator_conversation_id": uuid_text(ulid_from_bytes(bytes(raw)))}
        return await pay(self, replace(attempt, operation=replace(operation, request=request)))

    return paid


def refused_is_refused(d: Draft[Any], e: withdrawal_events.PayoutHeld) -> None:
    """A refusal of a later try is taken for the end of the payout."""
    d.operation("payout", _O.REFUSED, code=e.code)
    start_return(d, reason="payout_refused")


def first_word_counts(d: Draft[Any], e: withdrawal_events.PayoutFailed) -> None:
    """A failed result alone gives the dollars back."""
    if d.now.money_at == "b2c_out":
        d.operation("payout", _O.REFUSED, code=e.code)
        start_return(d, reason="payout_refused")


def withdrawn_anyhow(self: Draft[Any]) -> None:
    """An intent that no rail has begun is off, whatever an attempt before it may have done."""
    for slot in self._slots:
        held = getattr(self.now, slot)
        if held is not None and held.state is _O.INTENT:
            self.operation(slot, _O.WITHDRAWN)


# --- sending ----------------------------------------------------------------------------------------------------

_judged = attempts._Wish._judged  # noqa: SLF001 - the store's own rule is what is taken out


def _judged_as_if(self: Any, **fields: Any) -> Any:
    """The store's own rule, for a row that says something else."""
    rows = self._node.server.schema.provider_operations.rows
    stored = rows.get(self._operation_id)
    if stored is None:
        return None, None
    rows[stored.id] = stored._replace(**fields)
    try:
        return _judged(self)
    finally:
        rows[stored.id] = stored


def judged_by_state(self: Any) -> Any:
    """Whatever became of earlier attempts: an intent is an intent."""
    made = self._node.server.schema.rail_attempts.under("operation", self._operation_id)
    return _judged_as_if(self, attempts_closed=max((row.attempt for row in made), default=0))


def judged_unfrozen(self: Any) -> Any:
    """Whoever is frozen: it is sent."""
    return _judged_as_if(self, staff_approved=True)


async def begin_unwritten(self: Any, rail: str, epoch: int, operation_id: str, *, watermark: Any) -> Any:
    """Permission without a row."""
    del rail, epoch, watermark
    schema = await self._node.look("attempts.newest")
    stored = schema.provider_operations.get(operation_id)
    if stored is None or stored.state != _O.INTENT:
        return None
    return Attempt(operation_row(self._node.server, stored, attempts=1), 1)


async def end_nobody(_self: Any, _lease: Any) -> bool:
    """What a dead rail left is nobody's, and nobody waits for it."""
    return True


def any_time(_self: Any) -> float:
    """A call may leave whenever its node goes on."""
    return inf


def ever_current(self: Any) -> Any:
    """A lease is for ever."""
    return self._lease
