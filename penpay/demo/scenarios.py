"""What the demo plays: each scenario says what happens on the rails, and in which state the deposit must end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

COMPLETED = "COMPLETED"
FAILED = "FAILED"
REVERSED = "REVERSED"
IN_REVIEW = "IN_REVIEW"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`count` transactions that meet the same fate. `phone`: the sandbox's script for the payer's prompt.

    `deriv`: script of the transfer (of a withdrawal: of the debit), matched by the customer. `kes` is the amount of
    the first deposit; each further one asks for ten shillings more, so that no two look alike. With `usd` it is a
    withdrawal of so many dollars, `b2c` the script of its payout, matched by the payee.
    """

    name: str
    ends: str
    count: int = 1
    kes: int = 1300
    phone: Mapping[str, Any] = field(default_factory=dict)
    deriv: Mapping[str, Any] = field(default_factory=dict)
    forged: bool = False
    receipt: bool = True
    """Whether the end must show a receipt of M-Pesa (a query alone knows none until Pull brings it)."""
    usd: int = 0
    b2c: Mapping[str, Any] = field(default_factory=dict)
    wrong_pin: bool = False


SCENARIOS = (
    Scenario(name="paid at once", ends=COMPLETED, count=30, kes=1000),
    Scenario(name="large, confirmed by a query", ends=COMPLETED, count=2, kes=12_000),
    Scenario(name="cancelled on the phone", ends=FAILED, count=3, kes=1500, phone={"outcome": "1032"}),
    Scenario(name="empty wallet", ends=FAILED, count=3, kes=1600, phone={"outcome": "1"}),
    Scenario(name="nobody answers the prompt", ends=FAILED, count=2, kes=1650, phone={"outcome": "1037"}),
    Scenario(name="callback lost", ends=COMPLETED, count=3, kes=1700, phone={"callback": "lost"}, receipt=False),
    Scenario(name="callback late", ends=COMPLETED, count=2, kes=1800, phone={"callback_delay_s": 4.0}),
    Scenario(name="callback five times", ends=COMPLETED, count=3, kes=1900, phone={"copies": 5}),
    Scenario(name="callback before our reply", ends=COMPLETED, count=2, kes=2000, phone={"before_ack": True}),
    Scenario(
        name="callback forged by a stranger",
        ends=FAILED,
        count=2,
        kes=2100,
        phone={"outcome": "1032", "answer_delay_s": 2.0},
        forged=True,
    ),
    Scenario(name="push answered by a dropped line", ends=COMPLETED, count=2, kes=2200, phone={"fault": "reset_after"}),
    Scenario(name="another amount paid", ends=IN_REVIEW, count=2, kes=2300, phone={"paid_kes": 100}),
    Scenario(name="Deriv drops before executing", ends=COMPLETED, count=2, kes=2400, deriv={"fault": "not_executed"}),
    Scenario(name="Deriv drops after executing", ends=COMPLETED, count=2, kes=2500, deriv={"fault": "executed"}),
    Scenario(
        name="Deriv refuses, money goes back", ends=REVERSED, count=3, kes=2600, deriv={"fault": "refuse", "times": 0}
    ),
    Scenario(
        name="Deriv asks to slow down",
        ends=COMPLETED,
        count=1,
        kes=2700,
        deriv={"fault": "refuse", "error_code": "RateLimit"},
    ),
    Scenario(name="paid out", ends=COMPLETED, count=11, usd=20),
    Scenario(name="wrong PIN first", ends=COMPLETED, count=2, usd=40, wrong_pin=True),
    Scenario(name="payout's answer lost", ends=COMPLETED, count=2, usd=50, b2c={"fault": "reset_after"}),
    Scenario(
        name="payout timed out, then paid", ends=COMPLETED, count=2, usd=60, b2c={"callback": "queue_timeout_then_send"}
    ),
    Scenario(
        name="payout refused, dollars return",
        ends=REVERSED,
        count=2,
        usd=70,
        b2c={"result_code": "2040"},
        receipt=False,
    ),
    Scenario(name="Deriv drops during the debit", ends=COMPLETED, count=2, usd=80, deriv={"fault": "executed"}),
)
DEPOSITS = sum(scenario.count for scenario in SCENARIOS if not scenario.usd)
WITHDRAWALS = sum(scenario.count for scenario in SCENARIOS if scenario.usd)
assert DEPOSITS >= 60
assert WITHDRAWALS >= 20
