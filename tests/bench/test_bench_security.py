"""`penpay bench security`: it would see a login that tells who has an account."""

import random

import pytest

from penpay.bench import security
from penpay.bench.security import Options, Report, mann_whitney_p


@pytest.fixture(scope="module")
def report() -> Report:
    return security.run(Options(logins=20, rush=10, hashes=4))


def test_it_measures_what_it_says(report):
    assert len(report.known_s) == len(report.unknown_s) == 20
    assert min(report.known_s + report.unknown_s) > 0
    assert report.lane_per_s > 0
    assert report.health_max_s > 0
    text = "\n".join(security.lines(report))
    assert "Mann-Whitney p" in text
    assert "limited by the slow hash" in text


def drawn(seed, mean_s, count=200):
    dice = random.Random(seed)
    return [dice.gauss(mean_s, 0.005) for _ in range(count)]


def test_equal_times_are_not_told_apart_and_different_ones_are():
    assert mann_whitney_p(drawn(1, 0.05), drawn(2, 0.05)) > 0.05
    assert mann_whitney_p(drawn(1, 0.05), drawn(2, 0.053)) < 0.001
    assert mann_whitney_p([1.0] * 30, [1.0] * 30) == 1.0


def test_the_value_is_that_of_the_books():
    # Hollander and Wolfe's example of two samples has U = 15 and, by this approximation, p = 0.2544.
    first = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
    second = [1.15, 0.88, 0.90, 0.74, 1.21]
    assert mann_whitney_p(first, second) == pytest.approx(0.2450, abs=0.02)


@pytest.mark.parametrize(
    ("report", "missed"),
    [
        (Report(drawn(1, 0.05), drawn(2, 0.05), 20.0, 0.1), set()),
        (Report(drawn(1, 0.05), drawn(2, 0.08), 20.0, 0.1), {"difference", "indistinguishable"}),
        (Report(drawn(1, 0.05), drawn(2, 0.05), 20.0, 0.3), {"health"}),
    ],
)
def test_a_missed_goal_is_said(report, missed):
    assert {name for name, met in security.verdicts(report) if not met} == missed
    assert ("MISSED" in "\n".join(security.lines(report))) == bool(missed)
