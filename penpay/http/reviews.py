"""Staff decisions about reviews, on the internal listener: two names, an evidence reference, and a trace first.

The saga decides whether its rules have such an exit; a question that no saga waits for, be it about a transaction or
not, is closed by its ledger, and money of nobody that was given back by hand leaves suspense with it. So do books that
are corrected: its provider's list is read again before, and says whether there is anything to correct.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import structlog
from aiohttp import web
from pydantic import ValidationError

from penpay.domain.errors import BadInput
from penpay.domain.ids import is_ulid
from penpay.domain.presentation import evidence_of, render_transaction
from penpay.domain.review import NAME_MISMATCH, PAYEE_NAME, Approval, ReviewItem, approval_of, used_already
from penpay.domain.review_alone import answered, exit_problem
from penpay.domain.strays import ALREADY_KNOWN
from penpay.domain.unit import RejectCode, TransactionRow, UnitOfWork
from penpay.http.approvals import FourEyes, decided
from penpay.http.differences import Look, Movements, look_again
from penpay.http.dispatch import read_bytes, require_json
from penpay.http.json_body import MalformedJson, parse_object
from penpay.http.names import NameRecords, decide_name
from penpay.http.quotes import refused
from penpay.http.replies import Stop, invalid_field, invalid_fields, json_response
from penpay.http.schemas import ReviewDecision
from penpay.http.schemas_staff import TwoNames
from penpay.messages import Committed, CommitUnit, Refusal, ResolveReview, UnitRejected, ledger_of, saga_of
from penpay.ports import Addresses, Clock, Ids

DECISION_BYTES_MAX = 2048
log = structlog.get_logger()


class Reviews(Protocol):
    """Reads of review items."""

    async def item(self, item_id: str) -> ReviewItem | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewDesk:
    """What decisions are taken with. `lost_answers` are what an ask may raise although it may have been executed."""

    reviews: Reviews
    four_eyes: FourEyes
    movements: Movements
    names: NameRecords
    ids: Ids
    addresses: Addresses
    clock: Clock
    ask_s: float = 8.0
    lost_answers: tuple[type[Exception], ...] = (TimeoutError,)

    async def resolve(self, request: web.Request) -> web.Response:
        """Log who decided what, then have it done by the one who owns it."""
        decision, approval = await decision_of(request)
        item = await self._open_item(request.match_info["id"])
        if not item.holds and (problem := exit_problem(item, decision.action, approval.evidence)):
            raise Stop("review_not_resolvable", f"{problem[0].upper()}{problem[1:]}.")
        at = self.clock.now()
        look = await look_again(self.movements, item, now=at)
        await self._log(item, decision.action, approval, at)
        try:
            if item.holds:
                return json_response(await self._by_saga(item, decision, approval))
            return json_response(await self._by_ledger(item, decision.action, approval, look))
        except _NothingDone as refusal:
            await self.four_eyes.refused(approval, action=_traced(decision.action), subject=item.id, recorded_at=at)
            raise refusal.stop from None
        except self.lost_answers:
            raise Stop("outcome_unknown", "Look at the item again before deciding again.", retry_after_s=2) from None

    async def names_of(self, request: web.Request) -> web.Response:
        """Both names of a question about names. Whoever looks is written down first, with what they look for."""
        body, _ = await decided(request, TwoNames, action="names.read")
        item = await self._open_item(request.match_info["id"])
        found, rail = None, "mpesa" if item.kind == PAYEE_NAME else "deriv"
        if item.kind == NAME_MISMATCH:
            found = await self.names.both_names(item.id)
        elif item.kind == PAYEE_NAME:
            found = await self.names.payee_names(item.id)
        if found is None:
            raise Stop("not_found")
        await self.four_eyes.note(body, action="names.read", subject=item.id, at=self.clock.now())
        return json_response({"item": item.id, "registered": found[0], rail: found[1]})

    async def _open_item(self, item_id: str) -> ReviewItem:
        item = await self.reviews.item(item_id) if is_ulid(item_id) else None
        if item is None:
            raise Stop("not_found")
        if item.closed_at is not None:
            raise Stop("review_not_resolvable", f"This item is closed: {item.resolution}")
        return item

    async def _log(self, item: ReviewItem, action: str, approval: Approval, at: datetime) -> None:
        await self.four_eyes.record(
            approval,
            action=_traced(action),
            subject=item.id,
            detail={"transaction": item.transaction_id, "kind": item.kind},
            at=at,
        )
        log.info("review_decided", item_id=item.id, transaction_id=item.transaction_id, action=action)

    async def _by_saga(self, item: ReviewItem, decision: ReviewDecision, approval: Approval) -> dict[str, Any]:
        reply: TransactionRow | Refusal = await self.addresses.ask(
            saga_of(item.shard, item.transaction_id),
            ResolveReview(item_id=item.id, action=decision.action, approval=approval, version=decision.version),
            timeout_s=self.ask_s,
        )
        if isinstance(reply, Refusal) and reply.code == "review_not_resolvable":
            raise _NothingDone(refused(reply))
        if isinstance(reply, Refusal):
            raise refused(reply)
        return {"item": item.id, "transaction": render_transaction(reply, evidence_of(reply)), "note": None}

    async def _by_ledger(self, item: ReviewItem, action: str, approval: Approval, look: Look) -> dict[str, Any]:
        if item.kind == NAME_MISMATCH:
            await self._decide_name(item, action, approval)
        unit = partial(answered, item, action, approval, new_id=self.ids.ulid(), stands=look.stands)
        reply = await self._committed(unit(at=self.clock.now(), instead=look.instead))
        if look.instead is not None and _is_known(reply) and await self._is_open(item):
            # Whoever compares has asked about the amounts by now: nothing but this question is left to be answered.
            reply = await self._committed(unit(at=self.clock.now()))
        if not isinstance(reply, Committed):
            told_used = reply.code is RejectCode.DUPLICATE_REFERENCE
            stop = Stop(
                "review_not_resolvable", used_already(approval) if told_used else "Somebody else has just closed it."
            )
            # What was decided about a name has been done by now.
            raise stop if item.kind == NAME_MISMATCH else _NothingDone(stop)
        return {"item": item.id, "transaction": None, "note": look.note or None}

    async def _is_open(self, item: ReviewItem) -> bool:
        found = await self.reviews.item(item.id)
        return found is not None and found.closed_at is None

    async def _committed(self, unit: UnitOfWork) -> Committed | UnitRejected:
        reply: Committed | UnitRejected = await self.addresses.ask(
            ledger_of(unit.shard), CommitUnit(unit), timeout_s=self.ask_s
        )
        return reply

    async def _decide_name(self, item: ReviewItem, action: str, approval: Approval) -> None:
        try:
            await decide_name(self.names, item, action, approval, notice_id=self.ids.ulid(), at=self.clock.now())
        except Stop as stop:
            raise _NothingDone(stop) from None


class _NothingDone(Exception):
    """The decision was refused before anything of it was done."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.code)
        self.stop = stop


def _is_known(reply: Committed | UnitRejected) -> bool:
    return isinstance(reply, UnitRejected) and reply.code in ALREADY_KNOWN


def _traced(action: str) -> str:
    return f"review.{action}"


async def decision_of(request: web.Request) -> tuple[ReviewDecision, Approval]:
    """What two people decide, from a request's body. Raises `Stop`."""
    require_json(request)
    raw = await read_bytes(request, DECISION_BYTES_MAX)
    try:
        decision = ReviewDecision.model_validate(parse_object(raw))
        approval = approval_of(
            by=decision.by, second=decision.second, evidence=decision.evidence, action=decision.action
        )
        return decision, approval
    except MalformedJson as error:
        raise Stop("malformed_json", f"The body {error}.") from None
    except ValidationError as error:
        raise invalid_fields(error) from None
    except BadInput as error:
        raise invalid_field(error) from None
