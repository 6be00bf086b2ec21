"""What `penpay reconcile` asks of the running node: book what nobody explains, look again, open the gate.

Source: decisions.md parts 3 and 5, faults.md S16. Every call may be repeated: units are known by the provider's own id.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from penpay.domain.board import FloatSnapshot
from penpay.domain.errors import BadInput
from penpay.domain.movements import movement_of, movement_unit
from penpay.domain.presentation import time_text
from penpay.domain.reconciliation import Finding, Verdict
from penpay.domain.strays import ALREADY_KNOWN, SHARD
from penpay.domain.unit import AuditRecord, OperationKind
from penpay.http.approvals import StaffLog
from penpay.http.differences import Movements, looked_up
from penpay.http.dispatch import read_bytes
from penpay.http.json_body import MalformedJson, parse_object
from penpay.http.quotes import refused
from penpay.http.replies import Stop, invalid_field, invalid_fields, json_response
from penpay.http.reviews import DECISION_BYTES_MAX
from penpay.http.schemas import FoundPayment, RecoveryAccepted, UnexplainedMovement
from penpay.messages import (
    ANCHORS,
    AcceptRecovery,
    Committed,
    CommitUnit,
    MakeAnchors,
    Refusal,
    UnitRejected,
    ledger_of,
)
from penpay.messages_rails import DARAJA_GATE, ProbePull
from penpay.ports import Addresses, Clock, Ids
from penpay.ports_rails import RailReads

_CLOCKS = timedelta(seconds=60)
"""How far a provider's clock may be ahead of ours."""
Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileDesk:
    """The node's side of a reconciliation. `floats`: balances as last told; `closed`: shards that may not send."""

    addresses: Addresses
    clock: Clock
    ids: Ids
    staff_log: StaffLog
    reads: RailReads
    movements: Movements
    floats: Callable[[], Mapping[str, FloatSnapshot]]
    closed: Callable[[], Mapping[int, str]]
    ask_s: float = 8.0
    lost_answers: tuple[type[Exception], ...] = (TimeoutError,)

    async def told(self, _request: web.Request) -> web.Response:
        """The providers' balances, and what the recovery gate keeps from sending."""
        floats = {
            name: {"minor": seen.balance_minor, "as_of": time_text(seen.as_of_at)}
            for name, seen in self.floats().items()
        }
        closed = {str(shard): reason for shard, reason in self.closed().items()}
        return json_response({"floats": floats, "closed_shards": closed})

    async def book(self, request: web.Request) -> web.Response:
        """Money that nobody explains: in suspense if it arrived, and before a person. So is another amount than booked.

        Its provider's list is read again, and judged as a comparison judges it: nobody books what did not happen, or
        what an operation of ours still waits for.
        """
        found = await _parsed(request, UnexplainedMovement)
        finding = await self._judged(found)
        if finding.verdict is Verdict.AGREES:
            return json_response({"ref": found.ref, "result": "known"})
        movement = movement_of(found.kind, finding)
        if movement is None:
            raise Stop("review_not_resolvable", f"It is not for suspense: {finding.words or finding.verdict}.")
        actor, now = f"staff:{found.by}", self.clock.now()
        record = AuditRecord(actor=actor, action="movement.book", subject=found.ref, detail={"kind": found.kind})
        await self.staff_log.append((record,), at=now)
        unit = movement_unit(movement, review_id=self.ids.ulid(), now=now, actor=actor)
        try:
            reply = await self.addresses.ask(ledger_of(SHARD), CommitUnit(unit), timeout_s=self.ask_s)
        except self.lost_answers:
            raise Stop("outcome_unknown", retry_after_s=2) from None
        if isinstance(reply, UnitRejected) and reply.code not in ALREADY_KNOWN:
            raise Stop("review_not_resolvable", f"{reply.code}: {reply.detail}")
        fresh = isinstance(reply, Committed) and not reply.replayed
        return json_response({"ref": found.ref, "result": "booked" if fresh else "known"})

    async def _judged(self, found: UnexplainedMovement) -> Finding:
        at = _time(found.at)
        if at > self.clock.now() + _CLOCKS:
            raise invalid_field(BadInput("at", "lies in the future"))
        finding = await looked_up(self.movements, found.kind, found.ref, at=at)
        if finding is None:
            raise Stop("not_found", "The provider's list does not show it.")
        return finding

    async def hand_over(self, request: web.Request) -> web.Response:
        """A payment of the provider's list that names an operation of ours: its saga decides, as after any look.

        Receipt and amount come from Safaricom and to which push they belong from our books: a body that was believed
        would be money that one person invents.
        """
        found = await _parsed(request, FoundPayment)
        push = (await self.reads.operations([found.operation_id])).get(found.operation_id)
        if push is None or push.kind != OperationKind.STK:
            raise Stop("not_found", "There is no such push.")
        record = AuditRecord(
            actor=f"staff:{found.by}",
            action="payment.look",
            subject=push.id,
            detail={"transaction": push.transaction_id, "receipt": found.receipt},
        )
        await self.staff_log.append((record,), at=self.clock.now())
        # From the push on, as its saga asks: a list that is read from later on would be silent about what came before.
        look = ProbePull(
            operation_id=push.id,
            shard=push.shard,
            transaction_id=push.transaction_id,
            reference=push.reference,
            payer=push.recipient,
            amount=push.amount,
            since=push.created_at,
        )
        self.addresses.tell(DARAJA_GATE, look)
        return json_response({"receipt": found.receipt, "transaction": push.transaction_id}, status=202)

    async def anchor(self, _request: web.Request) -> web.Response:
        """What was committed until now gets its anchors, so that a verification reaches to the end of the chains."""
        try:
            told: str = await self.addresses.ask(ANCHORS, MakeAnchors(), timeout_s=self.ask_s)
        except self.lost_answers:
            raise Stop("outcome_unknown", retry_after_s=2) from None
        return json_response({"anchors": told})

    async def open_gate(self, request: web.Request) -> web.Response:
        """Everything was compared and agrees: money calls may leave again."""
        accepted = await _parsed(request, RecoveryAccepted)
        record = AuditRecord(actor=f"staff:{accepted.by}", action="recovery.accept", subject="gate")
        await self.staff_log.append((record,), at=self.clock.now())
        try:
            reply: tuple[int, ...] | Refusal = await self.addresses.ask(ANCHORS, AcceptRecovery(), timeout_s=self.ask_s)
        except self.lost_answers:
            raise Stop("outcome_unknown", retry_after_s=2) from None
        if isinstance(reply, Refusal):
            raise refused(reply)
        return json_response({"opened": list(reply)})


async def _parsed(request: web.Request, model: type[Body]) -> Body:
    raw = await read_bytes(request, DECISION_BYTES_MAX)
    try:
        return model.model_validate(parse_object(raw))
    except MalformedJson as error:
        raise Stop("malformed_json", f"The body {error}.") from None
    except ValidationError as error:
        raise invalid_fields(error) from None


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise invalid_field(BadInput("at", "is no time of the calendar")) from None
