"""Bodies of what staff decide about customers, on the internal listener only."""

from typing import Annotated

from pydantic import AfterValidator, Field

from penpay.domain.identity import NO_PHONE, holds_phone
from penpay.http.schemas import PAGE_SIZE_PATTERN, Request, Ulid


def _without_phone(text: str) -> str:
    if holds_phone(text):
        raise ValueError(NO_PHONE)
    return text


class TwoNames(Request):
    """Who decided, who agreed, and what both rest it on."""

    by: Annotated[str, Field(max_length=80)]
    second: Annotated[str, Field(max_length=80)]
    evidence: Annotated[str, Field(max_length=160)]


class StatusDecision(TwoNames):
    """Freeze a customer, or end a freeze. `reason` is stored with the status; nothing personal belongs into it."""

    reason: Annotated[
        str,
        Field(min_length=3, max_length=160, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$"),
        AfterValidator(_without_phone),
    ]


class TierDecision(TwoNames):
    """How well a customer is known: 1 as registered, 2 identified, 3 after enhanced checks."""

    tier: Annotated[int, Field(ge=1, le=3)]


class EraseDecision(TwoNames):
    """Forget a customer."""


class ReviewsQuery(Request):
    """A page of the open questions; `cursor` is the last item of the page before."""

    cursor: Ulid | None = None
    limit: Annotated[str | None, Field(pattern=PAGE_SIZE_PATTERN)] = None
