"""Staff decisions about customers: freeze, end a freeze, forget. Two names each, written down before they are done.

A freeze is a unit of the customer's shard, so the ledger refuses every new intent from that moment on. Forgetting
begins with one: no money call can begin while we look whether any is open. Source: decisions.md part 7, faults.md S28.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog
from aiohttp import web

from penpay.domain.accounts import UserStanding
from penpay.domain.ids import is_ulid
from penpay.domain.kyc import Tier
from penpay.domain.review import Approval
from penpay.domain.unit import AuditRecord, RejectCode, UnitOfWork, UserStatusChange
from penpay.http.approvals import FourEyes, decided
from penpay.http.replies import Stop, json_response
from penpay.http.schemas_staff import EraseDecision, StatusDecision, TierDecision
from penpay.messages import CommitUnit, UnitRejected, ledger_of
from penpay.messages_rails import DERIV_CUSTOMERS, CloseCustomer
from penpay.ports import Addresses, Clock, Ids, SessionBell

log = structlog.get_logger()
ACTIVE, FROZEN = "ACTIVE", "FROZEN"


class CustomerRecords(Protocol):
    """Customers as staff see them: nothing personal. Raises `Unavailable`."""

    async def standing(self, user_id: str) -> UserStanding | None: ...
    async def open_money(self, user_id: str) -> tuple[tuple[str, str], ...]:
        """Kind and id of some of what still moves or stands open; empty when nothing does."""
        ...

    async def forget(self, user_id: str, *, at: datetime) -> None:
        """Delete the customer's key and everything that names them. Repeating it changes nothing."""
        ...


class Tiers(Protocol):
    """How well customers are known. Raises `Unavailable`."""

    async def set_tier(self, user_id: str, tier: int, *, actor: str, reference: str, at: datetime) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerDesk:
    """What these decisions are carried out with."""

    records: CustomerRecords
    tiers: Tiers
    four_eyes: FourEyes
    bell: SessionBell
    addresses: Addresses
    clock: Clock
    ids: Ids
    ask_s: float = 8.0
    lost_answers: tuple[type[Exception], ...] = (TimeoutError,)

    def routes(self) -> Mapping[str, Any]:
        """Path below `/admin/v1/users/{id}` and handler; all are POST."""
        return {"freeze": self.freeze, "thaw": self.thaw, "erase": self.erase, "tier": self.set_tier}

    async def freeze(self, request: web.Request) -> web.Response:
        """No new money call from now on; evidence is still booked, and questions go to a person."""
        return await self._set_status(request, FROZEN)

    async def thaw(self, request: web.Request) -> web.Response:
        """End a freeze."""
        return await self._set_status(request, ACTIVE)

    async def set_tier(self, request: web.Request) -> web.Response:
        """Raise or lower what a customer may move a day; never below the contract's own limits."""
        body, approval = await decided(request, TierDecision, action="user.tier")
        user_id, standing = await self._known(request)
        if standing.erased or standing.kyc_tier == Tier.REGISTERED:
            raise Stop("review_not_resolvable", "Phone and Deriv account come first.")
        at, detail = self.clock.now(), {"from": str(standing.kyc_tier), "to": str(body.tier)}
        await self.four_eyes.record(approval, action="user.tier", subject=user_id, detail=detail, at=at)
        await self.tiers.set_tier(user_id, body.tier, actor=f"staff:{approval.by}", reference=approval.evidence, at=at)
        return json_response({"user": user_id, "kyc_tier": body.tier})

    async def erase(self, request: web.Request) -> web.Response:
        """Forget a customer for good. Refused while any money of theirs is open."""
        _, approval = await decided(request, EraseDecision, action="user.erase")
        user_id, standing = await self._known(request)
        await self._still_possible(user_id)
        await self.four_eyes.record(approval, action="user.erase", subject=user_id, detail={}, at=self.clock.now())
        if not standing.erased:
            await self._forget(user_id, standing, approval)
        tombstone = AuditRecord(actor=f"staff:{approval.by}", action="user.erased", subject=user_id)
        await self._commit(
            UnitOfWork(
                unit_id=f"user:{user_id}:erased",
                shard=standing.shard,
                at=self.clock.now(),
                user_id=user_id,
                audit=(tombstone,),
                staff_resolution=True,
            )
        )
        log.info("user_erased", user_id=user_id)
        return json_response({"user": user_id, "erased": True})

    async def _forget(self, user_id: str, standing: UserStanding, approval: Approval) -> None:
        """Freeze, look once more, and only then forget: what began before the freeze is seen by the second look."""
        await self._commit(self._status_unit(user_id, standing.shard, FROZEN, "erasure", approval))
        try:
            await self._still_possible(user_id)
        except Stop:
            if standing.status == ACTIVE:
                await self._commit(self._status_unit(user_id, standing.shard, ACTIVE, "not erased", approval))
            raise
        await self.records.forget(user_id, at=self.clock.now())
        self.bell.ring(user_id)
        self.addresses.tell(DERIV_CUSTOMERS, CloseCustomer(user_id))

    async def _still_possible(self, user_id: str) -> None:
        if found := await self.records.open_money(user_id):
            kind, id_ = found[0]
            raise Stop("money_open", f"Still open: {kind} {id_}.")

    async def _set_status(self, request: web.Request, status: str) -> web.Response:
        action = "user.freeze" if status == FROZEN else "user.thaw"
        body, approval = await decided(request, StatusDecision, action=action)
        user_id, standing = await self._known(request)
        if standing.erased:
            raise Stop("not_found")
        detail = {"reason": body.reason}
        await self.four_eyes.record(approval, action=action, subject=user_id, detail=detail, at=self.clock.now())
        await self._commit(self._status_unit(user_id, standing.shard, status, body.reason, approval))
        self.bell.ring(user_id)
        log.info("user_status_decided", user_id=user_id, status=status)
        return json_response({"user": user_id, "status": status})

    async def _known(self, request: web.Request) -> tuple[str, UserStanding]:
        user_id = request.match_info["id"]
        standing = await self.records.standing(user_id) if is_ulid(user_id) else None
        if standing is None:
            raise Stop("not_found", f"There is no customer {user_id}.")
        return user_id, standing

    def _status_unit(self, user_id: str, shard: int, status: str, reason: str, approval: Approval) -> UnitOfWork:
        record = AuditRecord(
            actor=f"staff:{approval.by}",
            action=f"user.{status.lower()}",
            subject=user_id,
            detail={"second": approval.second, "evidence": approval.evidence, "reason": reason},
        )
        return UnitOfWork(
            unit_id=f"user:{user_id}:{self.ids.ulid()}",
            shard=shard,
            at=self.clock.now(),
            user_id=user_id,
            audit=(record,),
            user_status=UserStatusChange(user_id=user_id, status=status, reason=reason),
            staff_resolution=True,
        )

    async def _commit(self, unit: UnitOfWork) -> None:
        try:
            reply = await self.addresses.ask(ledger_of(unit.shard), CommitUnit(unit), timeout_s=self.ask_s)
        except self.lost_answers:
            raise Stop("outcome_unknown", "Ask again with the same reference.", retry_after_s=2) from None
        # A tombstone that stands there already, of other names: it says the same.
        if isinstance(reply, UnitRejected) and reply.code is not RejectCode.UNIT_DIFFERS:
            raise Stop("review_not_resolvable", f"{reply.code}: {reply.detail}")
