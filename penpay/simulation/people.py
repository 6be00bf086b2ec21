"""Customers: who they are, how they answer prompts, what they ask for, and what they remember of the answers."""

import random
from dataclasses import dataclass, field

from penpay.domain.ids import shard_of
from penpay.messages import Customer
from penpay.simulation.odds import Odds
from penpay.simulation.scale import scaled
from penpay.simulation.truth import Push

STRANGER = "254799000999"
"""A phone that nobody asked to pay."""


@dataclass(frozen=True, slots=True)
class Told:
    """One answer that a customer got. Status 0: the connection broke."""

    status: int
    body: bytes


@dataclass(slots=True)
class Person:
    """A customer with a phone, a linked Deriv account and a memory."""

    user_id: str
    shard: int
    phone: str
    loginid: str
    token: str
    heard: dict[str, list[Told]] = field(default_factory=dict)
    """Every answer by key."""
    mail: list[str] = field(default_factory=list)
    """Codes that Deriv mailed, the newest last."""

    @property
    def customer(self) -> Customer:
        """As the edge reads them."""
        return Customer(
            user_id=self.user_id,
            shard=self.shard,
            status="ACTIVE",
            phone=self.phone,
            phone_mask=f"{self.phone[:4]}*****{self.phone[-3:]}",
            phone_verified=True,
            kyc_tier=1,
            deriv_loginid=self.loginid,
            data_key=f"key of {self.user_id}".encode(),
        )


def person(number: int, user_id: str, shards: int) -> Person:
    """One of the town's people."""
    return Person(
        user_id=user_id,
        shard=shard_of(user_id, shards),
        phone=f"25471200010{number}",
        loginid=f"CR10000{number}",
        token=f"token-of-{number}",
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a payer does with a prompt."""

    code: str
    delay_s: float
    amount_minor: int


class Payers:
    """The hands that hold the phones."""

    def __init__(self, odds: Odds, dice: random.Random) -> None:
        self._odds = odds
        self.dice = dice

    def answer(self, push: Push) -> Answer:
        """Decided when the prompt appears."""
        odds, dice = self._odds, self.dice
        soon_s = scaled(3.0) + scaled(40.0) * dice.random()
        if odds.hits("payer.ignores"):
            return Answer("1037", scaled(60.0), 0)
        if odds.hits("payer.cancels"):
            return Answer(dice.choice(("1032", "1", "2001")), soon_s, 0)
        if odds.hits("payer.pays_late"):
            return Answer("0", dice.choice((scaled(90), scaled(400), scaled(700), scaled(1500))), push.amount_minor)
        if odds.hits("payer.pays_another_amount"):
            return Answer("0", soon_s, max(100, push.amount_minor + 100 * dice.choice((-50, -1, 1, 300))))
        return Answer("0", soon_s, push.amount_minor)

    def payer_of(self, push: Push) -> str:
        """Whose money it is."""
        return STRANGER if self._odds.hits("payer.is_somebody_else") else push.phone

    def shown(self, phone: str) -> str:
        """How a callback shows a payer."""
        return phone if phone == STRANGER else self.dice.choice((phone, masked(phone), ""))


def masked(phone: str) -> str:
    """As Safaricom hides a number."""
    return f"{phone[:4]} ***** {phone[-3:]}"
