"""What is done about a movement of a provider's list that our books do not agree with, whoever found it.

Nothing of ours explains it: see `strays`. Our books hold another amount under its id: a person looks, and no posting is
made, for whose the difference is only people can say. Source: faults.md F55.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from penpay.domain.errors import BadInput
from penpay.domain.money import Currency, Money, parse_amount
from penpay.domain.presentation import time_text
from penpay.domain.reconciliation import Finding, Remedy
from penpay.domain.strays import DUE, EXITS, SHARD, Stray, stray_unit
from penpay.domain.unit import AuditRecord, ReviewOpened, UnitOfWork

KIND = "movement"
"""Kind of the inbox row that tells of one."""
DIFFERS = "movement_differs"
"""The question about a movement of another amount than is booked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """A provider's id under which our books hold another amount. Both are signed: what leaves us is below zero."""

    ref: str
    listed: Money
    booked: Money
    at: str
    """The provider's time as text."""
    transaction_id: str = ""
    """The customer's transaction that it is booked for, if any."""
    answered: int = 0
    """How often people have answered the same."""

    @property
    def key(self) -> str:
        """Other amounts are another question; and so is what was answered, when it is there once more."""
        same = f"differs:{self.ref}:{self.booked.minor}:{self.listed.minor}"
        return f"{same}:{self.answered}" if self.answered else same

    @property
    def kind(self) -> str:
        """What it would be called if nothing of ours explained it."""
        if self.listed.currency is Currency.KES:
            return "payment"
        return "credit" if self.listed.minor > 0 else "debit"


Movement = Stray | Contradiction


def movement_of(kind: str, finding: Finding) -> Movement | None:
    """What has to come before a person; None when nothing has. `kind`: what it is called when nothing explains it."""
    mine = finding.mine
    if finding.amount is None or finding.at is None:
        return None
    at = time_text(finding.at)
    if finding.remedy is Remedy.OTHER_AMOUNT and mine is not None and mine.amount is not None:
        return Contradiction(
            ref=finding.ref,
            listed=finding.amount,
            booked=mine.amount,
            at=at,
            transaction_id=mine.transaction_id,
            answered=finding.answered,
        )
    if finding.remedy not in {Remedy.SUSPENSE, Remedy.REVIEW}:
        return None
    amount = Money(abs(finding.amount.minor), finding.amount.currency)
    return Stray(kind=kind, ref=finding.ref, amount=amount, at=at, phone_tail=finding.phone_tail)


def movement_unit(movement: Movement, *, review_id: str, now: datetime, actor: str) -> UnitOfWork:
    """The unit that puts it before a person, named after the movement: so it is put once, whoever finds it."""
    if isinstance(movement, Stray):
        return stray_unit(movement, review_id=review_id, now=now, actor=actor)
    listed, booked = movement.listed, movement.booked
    told = {
        "ref": movement.ref,
        "listed": f"{listed.text()} {listed.currency}",
        "booked": f"{booked.text()} {booked.currency}",
        "at": movement.at,
    }
    if movement.transaction_id:
        told["transaction"] = movement.transaction_id
    review = ReviewOpened(
        id=review_id,
        transaction_id="",
        operation_id="",
        kind=DIFFERS,
        reason=f"the provider lists {told['listed']}, and our books hold {told['booked']}",
        owner_role="FINANCE",
        due_at=now + DUE,
        evidence=told,
    )
    return UnitOfWork(
        unit_id=movement.key,
        shard=SHARD,
        at=now,
        reviews=(review,),
        audit=(AuditRecord(actor=actor, action="ledger.differs", subject=movement.ref, detail=told),),
    )


def told_of(evidence: Mapping[str, str]) -> Contradiction:
    """What a question of the kind `DIFFERS` told people."""
    return Contradiction(
        ref=evidence["ref"],
        listed=_signed(evidence["listed"]),
        booked=_signed(evidence["booked"]),
        at=evidence["at"],
        transaction_id=evidence.get("transaction", ""),
    )


def _signed(text: str) -> Money:
    amount, _, currency = text.partition(" ")
    size = parse_amount(amount.removeprefix("-"), currency)
    return Money(-size.minor if amount.startswith("-") else size.minor, size.currency)


def encode_movement(movement: Movement) -> bytes:
    """Canonical: the same movement gives the same bytes. Of the agent's account, so it holds no digits of a phone."""
    body: dict[str, object] = {"ref": movement.ref, "at": movement.at}
    if isinstance(movement, Stray):
        body |= {"kind": movement.kind, "amount": _pair(movement.amount)}
    else:
        body |= {"transaction": movement.transaction_id, "amount": _pair(movement.listed)}
        body |= {"booked": _pair(movement.booked), "answered": movement.answered}
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def decode_movement(body: bytes) -> Movement:
    """Read such a body; raise `BadInput` when it is none."""
    try:
        raw = json.loads(body)
        ref, at, amount = _text(raw["ref"]), _text(raw["at"]), _money(raw["amount"])
        datetime.fromisoformat(at)
        if "booked" in raw:
            return Contradiction(
                ref=ref,
                listed=amount,
                booked=_money(raw["booked"]),
                at=at,
                transaction_id=_text(raw["transaction"]),
                # Rows that were stored before it was counted have none.
                answered=_count(raw.get("answered", 0)),
            )
        kind = _text(raw["kind"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadInput("movement", "not a movement of a provider") from error
    if kind not in EXITS or amount.minor <= 0:
        raise BadInput("movement", "no kind of movement, or no amount")
    return Stray(kind=kind, ref=ref, amount=amount, at=at)


def _pair(amount: Money) -> list[object]:
    return [amount.minor, amount.currency.value]


def _money(pair: object) -> Money:
    if not isinstance(pair, list):
        raise TypeError("no amount")
    minor, currency = pair
    if type(minor) is not int:
        raise TypeError("no minor units")
    return Money(minor, Currency(currency))


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise TypeError("no number of times")
    return value


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError("no text")
    return value
