"""Seeds of simulated worlds: every one of them keeps every promise, and each of them again and again."""

import pytest

from penpay.simulation.play import play
from penpay.simulation.runs import run
from penpay.simulation.world import Seed

SEEDS = 500
AT_ONCE = 50


@pytest.mark.parametrize("first", range(1, SEEDS + 1, AT_ONCE))
def test_worlds_keep_every_promise(first):
    report = run(range(first, first + AT_ONCE))
    assert [(outcome.seed, outcome.wrong) for outcome in report.failing] == []
    assert report.seeds == AT_ONCE
    # Worlds in which nothing is tried or everything fails would prove nothing.
    for end in ("DEPOSIT COMPLETED", "DEPOSIT FAILED", "WITHDRAWAL COMPLETED", "WITHDRAWAL FAILED"):
        assert report.states[end] >= 3, end
    assert len(report.reached) > 40


def test_a_story_changes_nothing():
    told = play(Seed(7, storied=True))
    assert told.story
    assert told.hash == play(Seed(7)).hash


def test_a_world_without_faults_ends_well():
    outcome = play(Seed(11, faults=()))
    assert outcome.wrong == ()
    assert not outcome.reached
