"""Staff decide whether a Deriv account in another name is the customer's. Part of the desk for reviews.

`approve` makes the link active, `close` forgets it; the question itself is closed by its shard's ledger afterwards.
Source: decisions.md part 7.
"""

from datetime import datetime
from typing import Protocol

from penpay.domain.review import Action, Approval, ReviewItem
from penpay.http.replies import Stop


class NameRecords(Protocol):
    """Links that wait for staff. Raises `Unavailable`."""

    async def approve(self, review_id: str, *, actor: str, reference: str, notice_id: str, at: datetime) -> str:
        """Empty when the link is active, now or already; else the code of the problem in the way."""
        ...

    async def refuse(self, review_id: str, *, notice_id: str, at: datetime) -> None: ...
    async def both_names(self, review_id: str) -> tuple[str, str] | None:
        """The registered name and Deriv's; None when nothing waits under this id."""
        ...

    async def payee_names(self, review_id: str) -> tuple[str, str] | None:
        """The registered name and the one under which M-Pesa knows the receiver of a payout."""
        ...


async def decide_name(
    records: NameRecords, item: ReviewItem, action: str, approval: Approval, *, notice_id: str, at: datetime
) -> None:
    """Carry out what was decided about a name: approved, or closed. Raises `Stop` without the link."""
    if action == Action.APPROVE:
        actor = f"staff:{approval.by}"
        problem = await records.approve(item.id, actor=actor, reference=approval.evidence, notice_id=notice_id, at=at)
        if problem:
            raise Stop(problem, "The customer may have changed the link since.")
    else:
        await records.refuse(item.id, notice_id=notice_id, at=at)
