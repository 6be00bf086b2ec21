"""Before the books follow a provider, its list is read once more: they follow what people were shown, or not at all."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from penpay.domain.corrections import contradiction_of, stands
from penpay.domain.errors import GatewayError
from penpay.domain.movements import Contradiction, movement_of
from penpay.domain.reconciliation import Finding, Verdict
from penpay.domain.review import ReviewItem
from penpay.http.replies import Stop

AGREE_BY_NOW = "Its provider and our books do not differ so any more: the question was closed, and nothing was booked."
OTHERS_BY_NOW = (
    "Its provider and our books differ by other amounts by now, which are another question: this one was closed, and"
    " nothing was booked."
)


class Movements(Protocol):
    """What the providers list, beside what the books know."""

    async def judged(self, kind: str, ref: str, *, at: datetime) -> Finding | None:
        """One movement that is said to have happened then. None: it is not listed so. Raises `GatewayError`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a question was found to be when it was decided. `stands`: as people were shown it.

    `instead`: what was found in its place. `note`: what people are told of that.
    """

    stands: bool = True
    note: str = ""
    instead: Contradiction | None = None


async def look_again(movements: Movements, item: ReviewItem, *, now: datetime) -> Look:
    """For a question about two amounts. Raises `Stop` when the list cannot be read now."""
    told = contradiction_of(item)
    if told is None:
        return Look()
    found = await looked_up(movements, told.kind, told.ref, at=datetime.fromisoformat(told.at))
    if found is not None and found.verdict is Verdict.NOT_TOLD:
        raise Stop("rail_down", f"The list could not be read: {found.words}.", retry_after_s=30)
    if stands(told, found, now=now):
        return Look()
    instead = movement_of(told.kind, found) if found is not None else None
    if not isinstance(instead, Contradiction):
        return Look(stands=False, note=AGREE_BY_NOW)
    return Look(stands=False, note=OTHERS_BY_NOW, instead=instead)


async def looked_up(movements: Movements, kind: str, ref: str, *, at: datetime) -> Finding | None:
    """As `Movements.judged`. Raises `Stop` when the list cannot be read now."""
    try:
        return await movements.judged(kind, ref, at=at)
    except GatewayError as error:
        raise Stop("rail_down", f"The list could not be read: {error.code}.", retry_after_s=30) from None
