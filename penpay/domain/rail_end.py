"""How a provider call ended: the row that a rail leaves in the callback inbox, kind `rail`.

The attempt store writes it, the saga reads it; JSON, text only, nothing personal.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from penpay.domain.errors import BadInput
from penpay.domain.unit import OperationKind


class Outcome(StrEnum):
    """The four ends of an attempt. Only after `NOT_SENT` may the same operation be sent again without proof."""

    CONFIRMED = "CONFIRMED"
    """The provider took it (STK, Reversal, B2C: accepted, not yet paid) or executed it (Deriv)."""
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"
    NOT_SENT = "NOT_SENT"


RATE_LIMITED = "rate_limited"
"""Not sent: the provider said slower, before executing anything."""
SUBSCRIBER_LOCKED = "subscriber_locked"
"""Refused: the phone already shows a prompt; another may be pushed after a minute."""
WRONG_CREDENTIALS = "wrong_credentials"
DUPLICATE = "duplicate"
"""The provider knows this very request already: an earlier attempt of it was taken."""
UNREADABLE = "unreadable_answer"
TIMED_OUT = "timed_out"
DISCONNECTED = "disconnected"
NOT_CONNECTED = "not_connected"

ANOTHER_RECIPIENT = "another_recipient"
"""Confirmed, and not as it was asked: Deriv moved the dollars, and names somebody else who got them."""

AGENT_FUNDS = "agent_funds"
"""Refused: our account at Deriv is short. It waits for a top-up."""
EXPIRED = "expired"
"""Code of an STK push that was too old to be sent (decisions, part 3)."""
ABANDONED = "abandoned"
"""Code of an attempt whose rail died before its end was stored: it may have been executed."""
RECOVERED = "recovered"
"""Code of an attempt that was not made: the books went back in time, and what they had forgotten may have made it."""


MOVED_BY: Mapping[str, frozenset[OperationKind]] = {
    "deriv_transaction": frozenset({OperationKind.DERIV_TRANSFER, OperationKind.DERIV_RETURN}),
    "deriv_debit": frozenset({OperationKind.DERIV_WITHDRAW}),
}
"""Kind of a provider's reference → operations whose confirmed end names one of it in `provider_ref`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RailEnd:
    """One attempt's end. `kind` is an `OperationKind`, `at` the UTC time at which the rail knew it.

    `code` is the provider's, or one of ours. `hold`: refused or not sent for a cause of our side (float, rate limit,
    credentials), so it is worth another attempt later. `facts` by kind:
    STK: `checkout_request_id`, `merchant_request_id` · REVERSAL, B2C: `conversation_id` (a B2C that Safaricom calls a
    duplicate has none: code `duplicate`), and of a REVERSAL `originator_conversation_id` · DERIV_TRANSFER,
    DERIV_RETURN: `client_to_loginid`, of whom the reply names (code `another_recipient` when it is not who was asked).
    `provider_ref` repeats the most telling one; for a movement of dollars it is Deriv's id, for DERIV_WITHDRAW of the
    movement on the customer's account.
    """

    operation_id: str
    attempt: int
    kind: str
    outcome: Outcome
    code: str = ""
    provider_ref: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    hold: bool = False
    at: datetime


def encode_rail_end(end: RailEnd) -> bytes:
    """Body of the inbox row: canonical, so that the same end gives the same bytes."""
    assert end.at.tzinfo is not None, "times are UTC-aware"
    body = {
        "operation_id": end.operation_id,
        "attempt": end.attempt,
        "kind": end.kind,
        "outcome": end.outcome.value,
        "code": end.code,
        "provider_ref": end.provider_ref,
        "facts": dict(end.facts),
        "hold": end.hold,
        "at": end.at.astimezone(UTC).isoformat(timespec="microseconds"),
    }
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def decode_rail_end(body: bytes) -> RailEnd:
    """Read such a body; raise `BadInput` when it is none."""
    try:
        raw = json.loads(body)
        facts = raw["facts"]
        end = RailEnd(
            operation_id=raw["operation_id"],
            attempt=raw["attempt"],
            kind=raw["kind"],
            outcome=Outcome(raw["outcome"]),
            code=raw["code"],
            provider_ref=raw["provider_ref"],
            facts=dict(facts.items()),
            hold=raw["hold"],
            at=datetime.fromisoformat(raw["at"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadInput("rail", "not the end of a rail's attempt") from error
    texts = (end.operation_id, end.kind, end.code, end.provider_ref, *end.facts, *end.facts.values())
    if any(type(text) is not str for text in texts) or type(end.attempt) is not int or type(end.hold) is not bool:
        raise BadInput("rail", "a field has the wrong type")
    if end.attempt < 1 or end.at.tzinfo is None:
        raise BadInput("rail", "a field is out of range")
    return end
