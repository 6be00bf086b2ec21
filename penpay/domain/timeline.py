"""Where the money is: the steps of a transaction, and one sentence about what is awaited and until when.

Shown by the timeline route and by `penpay explain`. Source: contract.md, parts 3 and 7.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from penpay.domain.accounts import TimelineStep
from penpay.domain.fx import Direction
from penpay.domain.json_text import read_json
from penpay.domain.money import Money
from penpay.domain.presentation import time_text
from penpay.domain.unit import OperationState, TransactionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """When a waiting stage stops waiting, in seconds (settings `PENPAY_TIMING__…`)."""

    stk_intent_s: float = 120.0
    stk_grace_s: float = 180.0
    stk_unknown_s: float = 86_400.0
    deriv_held_s: float = 86_400.0
    unknown_s: float = 13_800.0
    refund_s: float = 86_400.0
    """Also of a return."""
    debit_s: float = 120.0
    payout_result_s: float = 600.0
    same_payout_s: float = 86_400.0
    """Of a payout that was never acknowledged: it is sent again under its own id."""


@dataclass(frozen=True, slots=True)
class _Wait:
    """What a stage knows, awaits and turns into. `deadline` is a field of `Deadlines`, counted from `since`."""

    known: str
    awaited: str
    deadline: str
    since: str
    then: str


@dataclass(frozen=True, slots=True)
class _Words:
    """What is said about one type of transaction: waiting stages, final ones, and where its money stands."""

    waits: Mapping[str, _Wait]
    ends: Mapping[str, str]
    places: Mapping[str, str]


_TEAM = "our team decides"
_NOBODY_KNOWS = "where the money is, has to be found out"
_IN_REVIEW = _Wait("our team is looking at it", "a decision by two people", "", "", "")
_DEPOSIT = _Words(
    waits={
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
            _TEAM,
        ),
        "PAID": _Wait("the payment arrived", "the transfer", "deriv_held_s", "paid_at", _TEAM),
        "DERIV_SENDING": _Wait(
            "the payment arrived and is being transferred", "Deriv's reply", "deriv_held_s", "paid_at", _TEAM
        ),
        "DERIV_HELD": _Wait(
            "the payment arrived; the transfer waits for Deriv", "the next try", "deriv_held_s", "paid_at", _TEAM
        ),
        "DERIV_UNKNOWN": _Wait(
            "the transfer was sent and its reply was lost",
            "proof from Deriv's statement",
            "unknown_s",
            "state_since",
            _TEAM,
        ),
        "REFUND_SENDING": _Wait(
            "the payment is being given back", "M-Pesa's confirmation", "refund_s", "state_since", _TEAM
        ),
        "IN_REVIEW": _IN_REVIEW,
    },
    ends={
        "COMPLETED": "Completed: the dollars are in the Deriv account.",
        "REVERSED": "Given back: the payment was returned to the payer.",
        "FAILED": "Failed: no money is held.",
    },
    places={
        "": "no money has moved",
        "customer": "the shillings are in the customer's account with us",
        "suspense": "the shillings are with us, set aside",
        "deriv_out": "the shillings are with us, held for the transfer",
        "refund_out": "the shillings are with us, held for the refund",
        "gone": "nothing is held",
    },
)
_WITHDRAWAL = _Words(
    waits={
        "CREATED": _Wait("the withdrawal is recorded", "the debit", "debit_s", "created_at", "it fails"),
        "DERIV_SENDING": _Wait(
            "Deriv is being asked to debit the account",
            "Deriv's reply",
            "debit_s",
            "created_at",
            "what was not sent is not sent any more",
        ),
        "DERIV_UNKNOWN": _Wait(
            "the debit was sent and its reply was lost",
            "proof from both of Deriv's statements",
            "unknown_s",
            "state_since",
            _TEAM,
        ),
        "DEBITED": _Wait("Deriv debited the account", "the same dollars on our side", "unknown_s", "debited_at", _TEAM),
        "B2C_SENDING": _Wait(
            "the dollars arrived; the payout is being sent",
            "M-Pesa's acknowledgement",
            "deriv_held_s",
            "debited_at",
            _TEAM,
        ),
        "B2C_HELD": _Wait(
            "the dollars arrived; the payout waits for M-Pesa", "the next try", "deriv_held_s", "debited_at", _TEAM
        ),
        "AWAITING_RESULT": _Wait(
            "M-Pesa took the payout", "its result", "payout_result_s", "state_since", "M-Pesa is asked for its status"
        ),
        "B2C_UNKNOWN": _Wait(
            "M-Pesa has not said for certain what became of the payout",
            "its result or status",
            "unknown_s",
            "state_since",
            _TEAM,
        ),
        "RETURN_SENDING": _Wait(
            "the dollars are being given back", "Deriv's confirmation", "refund_s", "state_since", _TEAM
        ),
        "IN_REVIEW": _IN_REVIEW,
    },
    ends={
        "COMPLETED": "Completed: the shillings are on the phone.",
        "REVERSED": "Given back: the dollars returned to the Deriv account.",
        "FAILED": "Failed: no dollars were taken.",
    },
    places={
        "": "no money has moved",
        "deriv_in": "the dollars have left the Deriv account, on their way to us",
        "customer": "the dollars are in the customer's account with us",
        "b2c_out": "the dollars are with us, held for the payout",
        "deriv_out": "the dollars are with us, held for the way back",
        "gone": "nothing is held",
    },
)
_WORDS: Mapping[str, _Words] = {Direction.DEPOSIT: _DEPOSIT, Direction.WITHDRAWAL: _WITHDRAWAL}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an open transaction stands: what is known, where its money is, what is awaited, and what comes when."""

    known: str
    money: str
    awaited: str
    next_look_at: datetime | None
    deadline_at: datetime | None
    then: str

    def sentence(self) -> str:
        """All of it for a person."""
        parts = [f"{self.known}; {self.money}; awaited: {self.awaited}"]
        if self.next_look_at is not None:
            parts.append(f"next look at {time_text(self.next_look_at)}")
        if self.deadline_at is not None:
            parts.append(f"at {time_text(self.deadline_at)} at the latest {self.then}")
        sentence = "; ".join(parts)
        return f"{sentence[0].upper()}{sentence[1:]}."

    def rendered(self) -> dict[str, str | None]:
        """All of it for a program."""
        return {
            "known": self.known,
            "money": self.money,
            "awaited": self.awaited,
            "next_look_at": time_text(self.next_look_at) if self.next_look_at else None,
            "deadline_at": time_text(self.deadline_at) if self.deadline_at else None,
            "then": self.then or None,
        }


def standing(row: TransactionRow, deadlines: Deadlines) -> Standing | None:
    """Where a transaction stands; None when it has ended."""
    words = _WORDS[row.type]
    if row.state in words.ends:
        return None
    wait = words.waits[row.state]
    data: dict[str, Any] = read_json(row.data) if row.data else {}
    return Standing(
        known=wait.known,
        money=_money(words, row, data),
        awaited=wait.awaited,
        next_look_at=row.next_wake_at,
        deadline_at=_deadline(row, wait, data, deadlines),
        then=wait.then,
    )


def _money(words: _Words, row: TransactionRow, data: Mapping[str, Any]) -> str:
    place = data.get("money_at", "")
    known = words.places.get(place, _NOBODY_KNOWS)
    if "set_aside_minor" not in data:
        return known
    aside = f"{Money(data['set_aside_minor'], row.send.currency).text()} {row.send.currency} are with us, set aside"
    return aside if place == "gone" else f"{known}, and besides {aside}"


def outlook(row: TransactionRow, deadlines: Deadlines) -> str:
    """One sentence: what is known, where the money is, what is awaited, next probe, deadline, and what then."""
    open_ = standing(row, deadlines)
    return open_.sentence() if open_ is not None else _WORDS[row.type].ends[row.state]


def _deadline(row: TransactionRow, wait: _Wait, data: Mapping[str, Any], deadlines: Deadlines) -> datetime | None:
    if not wait.deadline:
        return None
    since = datetime.fromisoformat(data[wait.since]) if wait.since in data else row.created_at
    name = _DEPENDING[row.state](data) if row.state in _DEPENDING else wait.deadline
    return since + timedelta(seconds=getattr(deadlines, name))


def _way_back(slot: str) -> Callable[[Mapping[str, Any]], str]:
    def deadline(data: Mapping[str, Any]) -> str:
        _, state, *_ = data.get(slot) or ("", OperationState.INTENT.value)
        return "refund_s" if state == OperationState.INTENT else "unknown_s"

    return deadline


def _payout(data: Mapping[str, Any]) -> str:
    return "unknown_s" if data.get("conversation_id") or "failed_at" in data else "same_payout_s"


_DEPENDING: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "REFUND_SENDING": _way_back("refund"),
    "RETURN_SENDING": _way_back("back"),
    "B2C_UNKNOWN": _payout,
}
"""Stages that wait longer while nothing was sent, or while the same payout may be sent again."""


def without_repeats(steps: Iterable[TimelineStep]) -> list[TimelineStep]:
    """The steps in order; of looks in a row that found nothing only the newest, for a wait of hours has hundreds."""
    told: list[TimelineStep] = []
    for step in steps:
        if told and _is_empty_look(step) and _is_empty_look(told[-1]):
            told[-1] = step
        else:
            told.append(step)
    return told


def _is_empty_look(step: TimelineStep) -> bool:
    return step.event == "Woke" and step.from_state == step.to_state and not step.data


def render_timeline(row: TransactionRow, steps: Iterable[TimelineStep], deadlines: Deadlines) -> dict[str, Any]:
    """The timeline object: what happened in order, where it stands, and the same in a sentence."""
    open_ = standing(row, deadlines)
    return {
        "transaction_id": row.id,
        "status": row.status,
        "stage": row.state,
        "outlook": outlook(row, deadlines),
        "now": open_.rendered() if open_ is not None else None,
        "steps": [
            {
                "at": time_text(step.at),
                "event": step.event,
                "from": step.from_state or None,
                "stage": step.to_state,
                "evidence": {name: step.data[name] for name in sorted(step.data)},
            }
            for step in without_repeats(steps)
        ],
    }
