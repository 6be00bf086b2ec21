"""Where the money is: the steps of a transaction, and one sentence about what is awaited and until when.

Shown by the timeline route and by `penpay explain`. Source: contract.md, parts 3 and 7.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from penpay.domain.accounts import TimelineStep
from penpay.domain.presentation import time_text
from penpay.domain.unit import TransactionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """When a waiting stage stops waiting, in seconds (settings `PENPAY_TIMING__…`)."""

    stk_intent_s: float = 120.0
    stk_grace_s: float = 180.0
    stk_unknown_s: float = 86_400.0
    deriv_held_s: float = 86_400.0
    deriv_unknown_s: float = 14_400.0
    refund_s: float = 86_400.0


@dataclass(frozen=True, slots=True)
class _Wait:
    """What a stage knows, awaits and turns into. `deadline` is a field of `Deadlines`, counted from `since`."""

    known: str
    awaited: str
    deadline: str
    since: str
    then: str


_WAITS: Mapping[str, _Wait] = MappingProxyType(
    {
        "CREATED": _Wait("the deposit is recorded", "the payment prompt", "stk_intent_s", "created_at", "it fails"),
        "STK_SENDING": _Wait(
            "the payment prompt is being sent", "M-Pesa's acknowledgement", "stk_intent_s", "created_at", "it fails"
        ),
        "AWAITING_PAYER": _Wait(
            "the prompt is on the phone",
            "the payment",
            "stk_grace_s",
            "pushed_at",
            "M-Pesa is asked until it is certain",
        ),
        "STK_UNKNOWN": _Wait(
            "M-Pesa has not said whether the payment was made",
            "its callback, query or list",
            "stk_unknown_s",
            "pushed_at",
            "our team decides",
        ),
        "PAID": _Wait("the payment arrived", "the transfer", "deriv_held_s", "paid_at", "our team decides"),
        "DERIV_SENDING": _Wait(
            "the payment arrived and is being transferred",
            "Deriv's reply",
            "deriv_held_s",
            "paid_at",
            "our team decides",
        ),
        "DERIV_HELD": _Wait(
            "the payment arrived; the transfer waits for Deriv",
            "the next try",
            "deriv_held_s",
            "paid_at",
            "our team decides",
        ),
        "DERIV_UNKNOWN": _Wait(
            "the transfer was sent and its reply was lost",
            "proof from Deriv's statement",
            "deriv_unknown_s",
            "state_since",
            "our team decides",
        ),
        "REFUND_SENDING": _Wait(
            "the payment is being given back", "M-Pesa's confirmation", "refund_s", "state_since", "our team decides"
        ),
        "IN_REVIEW": _Wait("our team is looking at it", "a decision by two people", "", "", ""),
    }
)
_ENDS: Mapping[str, str] = MappingProxyType(
    {
        "COMPLETED": "Completed: the dollars are in the Deriv account.",
        "REVERSED": "Given back: the payment was returned to the payer.",
        "FAILED": "Failed: no money is held.",
    }
)
_PLACES: Mapping[str, str] = MappingProxyType(
    {
        "": "no money has moved",
        "customer": "the shillings are in the customer's account with us",
        "suspense": "the shillings are with us, set aside",
        "deriv_out": "the shillings are with us, held for the transfer",
        "refund_out": "the shillings are with us, held for the refund",
        "gone": "nothing is held",
    }
)


def outlook(row: TransactionRow, deadlines: Deadlines) -> str:
    """One sentence: what is known, where the money is, what is awaited, next probe, deadline, and what then."""
    if row.state in _ENDS:
        return _ENDS[row.state]
    wait = _WAITS[row.state]
    data: dict[str, Any] = json.loads(row.data) if row.data else {}
    parts = [f"{wait.known}; {_PLACES[data.get('money_at', '')]}; awaited: {wait.awaited}"]
    if row.next_wake_at is not None:
        parts.append(f"next look at {time_text(row.next_wake_at)}")
    deadline = _deadline(row, wait, data, deadlines)
    if deadline is not None:
        parts.append(f"at {time_text(deadline)} at the latest {wait.then}")
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _deadline(row: TransactionRow, wait: _Wait, data: Mapping[str, Any], deadlines: Deadlines) -> datetime | None:
    if not wait.deadline:
        return None
    since = datetime.fromisoformat(data[wait.since]) if wait.since in data else row.created_at
    return since + timedelta(seconds=getattr(deadlines, wait.deadline))


def render_timeline(row: TransactionRow, steps: Iterable[TimelineStep], deadlines: Deadlines) -> dict[str, Any]:
    """The timeline object: every recorded step in order, and the outlook."""
    return {
        "transaction_id": row.id,
        "status": row.status,
        "stage": row.state,
        "outlook": outlook(row, deadlines),
        "steps": [
            {
                "at": time_text(step.at),
                "event": step.event,
                "from": step.from_state or None,
                "stage": step.to_state,
                "evidence": {name: step.data[name] for name in sorted(step.data)},
            }
            for step in steps
        ],
    }
