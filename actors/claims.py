"""Credits that were set aside as nobody's, and that people find to be those of a debit: taken out of suspense for it.

Two shards may have a part in it. The one where the credit stands gives it away first, and once for ever; if the debit's
own unit does not follow, the same decision told again finds it given to that debit and goes on from there.
"""

from dataclasses import replace
from typing import Any, Protocol

from actors.base import MailboxFull, NoSuchActor
from actors.recording import record
from penpay.domain.errors import Unavailable
from penpay.domain.ledger import AccountCode
from penpay.domain.review import Approval, closing, used_already
from penpay.domain.saga_events import Event, StaffProved
from penpay.domain.strays import claimed, stray_of
from penpay.domain.withdrawal import Withdrawal
from penpay.messages import Committed, Refusal
from penpay.ports import Addresses, Clock, SagaStore


class Claiming(Protocol):
    """What a saga works with, as far as it matters here."""

    @property
    def addresses(self) -> Addresses: ...
    @property
    def store(self) -> SagaStore: ...
    @property
    def clock(self) -> Clock: ...


async def claim_credit(parts: Claiming, saga: Any, event: Event | None, approval: Approval) -> StaffProved | Refusal:
    """The event with the dollars that are this debit's now, or why the id that people named says nothing.

    Raises `Unavailable`.
    """
    if not isinstance(event, StaffProved) or not isinstance(saga, Withdrawal) or saga.money_at != AccountCode.DERIV_IN:
        return _no(used_already(approval))
    assert saga.debit is not None
    found = await parts.store.filed_credit(event.reference)
    stray = stray_of(found.item) if found is not None else None
    if found is None or stray is None:
        return _no(used_already(approval))
    proved = replace(event, arrived=stray.amount)
    if found.claimed_by == saga.debit.id:
        return proved
    if problem := found.problem(saga.debit.id):
        return _no(problem)
    bare = closing(found.item, approval, at=parts.clock.now())
    unit = claimed(bare, stray, operation_id=saga.debit.id, actor=f"staff:{approval.by}")
    try:
        answer = await record(parts.addresses, unit)
    except (NoSuchActor, MailboxFull) as error:
        raise Unavailable("ledger") from error
    if isinstance(answer, Committed):
        return proved
    return _no(f"{stray.ref} stood in suspense, and somebody has just decided item {found.item.id} about it")


def _no(detail: str) -> Refusal:
    return Refusal("review_not_resolvable", detail)
