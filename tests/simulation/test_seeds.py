"""Seeds of simulated worlds: every one of them keeps every promise, and each of them again and again."""

from penpay.simulation.play import play
from penpay.simulation.runs import run
from penpay.simulation.world import Seed

SEEDS = 500


def test_five_hundred_worlds_keep_every_promise():
    report = run(range(1, SEEDS + 1))
    assert [(outcome.seed, outcome.wrong) for outcome in report.failing] == []
    assert report.seeds == SEEDS
    # Worlds in which nothing is tried or everything fails would prove nothing.
    for end in (
        "DEPOSIT COMPLETED",
        "DEPOSIT REVERSED",
        "DEPOSIT FAILED",
        "WITHDRAWAL COMPLETED",
        "WITHDRAWAL REVERSED",
    ):
        assert report.states[end] >= 10, end


def test_a_story_changes_nothing():
    told = play(Seed(7, storied=True))
    assert told.story
    assert told.hash == play(Seed(7)).hash


def test_a_world_without_faults_ends_well():
    outcome = play(Seed(11, faults=()))
    assert outcome.wrong == ()
    assert not outcome.reached
