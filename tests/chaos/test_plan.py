"""The plan: everything that will happen comes from the seed, and the rails can tell what they are told."""

import itertools
from collections import Counter

import pytest

from penpay.chaos.plan import PEOPLE_MAX, Kind, Plan
from penpay.sandbox.steps import daraja_step, deriv_step, stk_step


def turns(plan):
    return [turn for person in range(1, plan.people + 1) for turn in plan.turns(person)]


def blows(plan, count=500):
    return list(itertools.islice(plan.storm(), count))


def test_a_seed_draws_the_same_people_and_the_same_storm():
    plan, again, other = Plan(seed=7), Plan(seed=7), Plan(seed=8)
    assert turns(plan) == turns(again) != turns(other)
    assert blows(plan) == blows(again) != blows(other)


@pytest.mark.parametrize("transactions", [1, 2, 60, 61, 500, 2000])
def test_as_many_turns_as_asked_for_and_half_of_them_in_each_direction(transactions):
    plan = Plan(transactions=transactions)
    assert 1 <= plan.people <= PEOPLE_MAX
    directions = Counter(turn.direction for turn in turns(plan))
    assert directions.total() == transactions
    assert abs(directions["deposit"] - directions["withdrawal"]) <= max(1, transactions // 5)


def test_a_debit_is_known_by_its_amount():
    amounts = [turn.minor for turn in turns(Plan()) if turn.direction == "withdrawal"]
    assert len(set(amounts)) == len(amounts)
    assert min(amounts) >= 500
    assert max(amounts) <= 100_000


def test_the_storm_comes_in_order_with_a_kill_at_every_beat_and_everything_else_in_time():
    storm = blows(Plan(kill_every_s=4.0), 2000)
    assert [blow.at_s for blow in storm] == sorted(blow.at_s for blow in storm)
    kills = [blow.at_s for blow in storm if blow.kind is Kind.KILL]
    assert kills == [4.0 * number for number in range(1, len(kills) + 1)]
    assert {blow.kind for blow in storm} == set(Kind)
    assert all(0.0 <= blow.away_s <= 2.0 for blow in storm)


def test_every_script_is_one_that_the_sandbox_takes():
    for turn in turns(Plan(transactions=5000)):
        stk_step(turn.phone)
        if turn.payout:
            daraja_step({"op": "b2c", **turn.payout})
        for op, step in (("paymentagent_transfer", turn.transfer), ("paymentagent_withdraw", turn.debit)):
            if step:
                deriv_step({"op": op, **step})
