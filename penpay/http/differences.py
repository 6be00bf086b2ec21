"""Before the books follow a provider, or a question about them is dropped, its list is read once more."""

from datetime import datetime
from typing import Protocol

from penpay.domain.corrections import contradiction_of, stands
from penpay.domain.errors import GatewayError
from penpay.domain.reconciliation import Finding, Verdict
from penpay.domain.review import Action, ReviewItem
from penpay.http.replies import Stop


class Movements(Protocol):
    """What the providers list, beside what the books know."""

    async def judged(self, kind: str, ref: str, *, at: datetime) -> Finding | None:
        """One movement that is said to have happened then. None: it is not listed so. Raises `GatewayError`."""
        ...


async def check_difference(movements: Movements, item: ReviewItem, action: str, *, now: datetime) -> None:
    """Raises `Stop` when a question about two amounts cannot be answered so: corrected if they stand, else closed."""
    told = contradiction_of(item)
    if told is None:
        return
    found = await looked_up(movements, told.kind, told.ref, at=datetime.fromisoformat(told.at))
    if found is not None and found.verdict is Verdict.NOT_TOLD:
        raise Stop("rail_down", f"The list could not be read: {found.words}.", retry_after_s=30)
    if stands(told, found, now=now) == (action == Action.CORRECT):
        return
    if action == Action.CORRECT:
        raise Stop("review_not_resolvable", "Its provider and our books do not differ so any more: close it.")
    raise Stop("review_not_resolvable", "Its provider and our books still differ: correct them.")


async def looked_up(movements: Movements, kind: str, ref: str, *, at: datetime) -> Finding | None:
    """As `Movements.judged`. Raises `Stop` when the list cannot be read now."""
    try:
        return await movements.judged(kind, ref, at=at)
    except GatewayError as error:
        raise Stop("rail_down", f"The list could not be read: {error.code}.", retry_after_s=30) from None
