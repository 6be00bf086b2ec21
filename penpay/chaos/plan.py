"""What will happen, drawn from a seed: who asks for what, what the rails make of it, and what breaks when."""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

Step = Mapping[str, Any]
Direction = Literal["deposit", "withdrawal"]

PEOPLE_MAX = 100
TURNS_WISHED = 4
"""Transactions per person, one after the other: a customer has one withdrawal open at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much, for how long, and how rough. The same plan draws the same people and the same storm."""

    transactions: int = 2000
    seed: int = 1
    minutes: float = 15.0
    nodes: int = 1
    kill_every_s: float = 5.0

    @property
    def people(self) -> int:
        """How many share the transactions."""
        return max(1, min(PEOPLE_MAX, -(-self.transactions // TURNS_WISHED)))

    def turns(self, person: int) -> "Sequence[Turn]":
        """What person number 1, 2, … asks for, in order: in turn a deposit and a withdrawal."""
        dice = random.Random(f"{self.seed}/people/{person}")  # noqa: S311 - a plan, not a secret
        numbers = range(person - 1, self.transactions, self.people)
        directions: Iterator[Direction] = itertools.cycle(("deposit", "withdrawal"))
        if person % 2 == 0:
            next(directions)
        return [_turn(dice, number, direction) for number, direction in zip(numbers, directions, strict=False)]

    def storm(self) -> "Iterator[Blow]":
        """Everything that breaks, in the order of its time; without end, so whoever plays it ends it."""
        dice = random.Random(f"{self.seed}/storm")  # noqa: S311 - the same
        kills = (Blow(at_s, Kind.KILL) for at_s in itertools.count(self.kill_every_s, self.kill_every_s))
        kill, at_s = next(kills), 0.0
        while True:
            at_s += dice.uniform(1.0, 2.0 * self.kill_every_s)
            while kill.at_s <= at_s:
                yield kill
                kill = next(kills)
            (kind,) = dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
            yield Blow(at_s, kind, away_s=dice.uniform(0.0, 2.0))


@dataclass(frozen=True, slots=True)
class Turn:
    """One transaction to be asked for, and the scripts of the rails for it. `minor` is cents of its currency."""

    direction: Direction
    minor: int
    fate: str
    phone: Step = field(default_factory=dict)
    transfer: Step = field(default_factory=dict)
    debit: Step = field(default_factory=dict)
    payout: Step = field(default_factory=dict)

    @property
    def amount(self) -> str:
        """As it goes over the wire."""
        return f"{self.minor // 100}.{self.minor % 100:02d}"


class Kind(StrEnum):
    """What breaks."""

    KILL = "node killed"
    PAUSE = "node paused beyond its lease"
    DATABASE_KILLED = "database killed"
    DATABASE_RESTARTED = "database restarted"
    REDIS_FLUSHED = "redis flushed"
    REDIS_KILLED = "redis killed"
    DERIV_CUT = "Deriv's sockets cut"
    DERIV_UPDATING = "Deriv updating"
    DARAJA_CUT = "Safaricom's sockets cut"
    FORGED = "callbacks forged"


_WEIGHTS = {
    Kind.PAUSE: 1,
    Kind.DATABASE_KILLED: 2,
    Kind.DATABASE_RESTARTED: 1,
    Kind.REDIS_FLUSHED: 2,
    Kind.REDIS_KILLED: 2,
    Kind.DERIV_CUT: 3,
    Kind.DERIV_UPDATING: 1,
    Kind.DARAJA_CUT: 3,
    Kind.FORGED: 2,
}


@dataclass(frozen=True, slots=True)
class Blow:
    """One thing that breaks, so many seconds after the storm began. `away_s`: how long it stays away, where it can."""

    at_s: float
    kind: Kind
    away_s: float = 0.0


_DEPOSITS: Sequence[tuple[int, str, Mapping[str, Step]]] = (
    (48, "paid", {}),
    (6, "cancelled on the phone", {"phone": {"outcome": "1032"}}),
    (6, "callback lost", {"phone": {"callback": "lost"}}),
    (4, "callback late", {"phone": {"callback_delay_s": 3.0}}),
    (5, "callback four times", {"phone": {"copies": 4}}),
    (4, "callback before our reply", {"phone": {"before_ack": True}}),
    (4, "push taken, reply lost", {"phone": {"fault": "reset_after"}}),
    (2, "push not taken, line cut", {"phone": {"fault": "reset"}}),
    (2, "query says cancelled, callback lost", {"phone": {"query": ["1032"], "callback": "lost"}}),
    (1, "another amount paid", {"phone": {"paid_kes": 77}}),
    (5, "credited, reply lost", {"transfer": {"fault": "executed"}}),
    (3, "credit cut before it happened", {"transfer": {"fault": "not_executed"}}),
    (3, "credited, no reply", {"transfer": {"fault": "no_reply"}}),
    (2, "credited, reply late", {"transfer": {"fault": "late_reply", "fault_delay_s": 6.0}}),
    (2, "credited, reply twice", {"transfer": {"fault": "duplicate_reply"}}),
    (3, "credit refused", {"transfer": {"fault": "refuse"}}),
)
_WITHDRAWALS: Sequence[tuple[int, str, Mapping[str, Step]]] = (
    (52, "paid out", {}),
    (6, "result lost", {"payout": {"callback": "lost"}}),
    (6, "payout taken, reply lost", {"payout": {"fault": "reset_after"}}),
    (3, "payout taken, reply late", {"payout": {"fault": "late", "fault_delay_s": 6.0}}),
    (5, "timed out, then paid", {"payout": {"callback": "queue_timeout_then_send", "callback_delay_s": 1.0}}),
    (4, "result three times", {"payout": {"copies": 3}}),
    (4, "result late", {"payout": {"callback_delay_s": 3.0}}),
    (5, "payout refused", {"payout": {"result_code": "2040"}}),
    (6, "debited, line cut", {"debit": {"fault": "executed"}}),
    (4, "debit cut before it happened", {"debit": {"fault": "not_executed"}}),
    (5, "debited, no reply", {"debit": {"fault": "no_reply"}}),
)
_FATES: Mapping[Direction, Mapping[str, Mapping[str, Step]]] = {
    "deposit": {fate: steps for _, fate, steps in _DEPOSITS},
    "withdrawal": {fate: steps for _, fate, steps in _WITHDRAWALS},
}
_LEAST_USD_MINOR = 500
_LEAST_KES = 400
_SAME_KES = 1300
"""One deposit in ten is of this amount, so that equal ones meet."""


def turn_of(direction: Direction, minor: int, fate: str) -> Turn:
    """A turn that meets a fate of this name."""
    return Turn(direction, minor, fate, **_FATES[direction][fate])


def _turn(dice: random.Random, number: int, direction: Direction) -> Turn:
    """Amounts of withdrawals are all different: the sandbox knows a debit by its amount."""
    if direction == "withdrawal":
        weights = [weight for weight, _, _ in _WITHDRAWALS]
        ((_, fate, _),) = dice.choices(_WITHDRAWALS, weights)
        return turn_of(direction, _LEAST_USD_MINOR + number, fate)
    ((_, fate, _),) = dice.choices(_DEPOSITS, [weight for weight, _, _ in _DEPOSITS])
    kes = _SAME_KES if dice.random() < 0.1 else _LEAST_KES + number % 2000
    drawn = turn_of(direction, kes * 100, fate)
    return replace(drawn, phone={"answer_delay_s": round(dice.uniform(0.2, 2.0), 2), **drawn.phone})
