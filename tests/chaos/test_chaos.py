"""Both directions on two nodes that are killed, while servers and lines break: nothing is lost and nothing doubled."""

import pytest

from penpay.chaos.plan import Kind, Plan
from penpay.chaos.run import run


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(Plan(transactions=60, nodes=2, kill_every_s=4.0, seed=3), id="sixty"),
        pytest.param(Plan(transactions=500, nodes=2, seed=5), id="five_hundred", marks=pytest.mark.slow),
        pytest.param(Plan(transactions=500, nodes=1, seed=6), id="on_one_node", marks=pytest.mark.slow),
    ],
)
def test_nothing_is_lost_or_doubled_whatever_breaks(plan: Plan) -> None:
    outcome = run(plan)
    assert outcome.problems == []
    assert outcome.accepted + outcome.held == plan.transactions
    assert outcome.blows[Kind.KILL] > 1
