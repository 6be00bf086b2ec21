"""`penpay bench withdrawals`: it measures what it says, and its words follow from its figures."""

from dataclasses import replace

import pytest

from actors.wakeups import PAGE_MAX
from penpay.bench import withdrawal_verdict as verdict
from penpay.bench.withdrawals import Open, Options, Report, run
from tests.bench.test_bench_deposits import ROUND

# More withdrawals of one shard than it wakes at once, so that the payers beside them have to come later.
TINY = Options(rounds=1, warm_s=0.5, measure_s=3.0, in_flight=4, waiting=PAGE_MAX + 10, payers=10, shards=1)


@pytest.fixture(scope="module")
def report() -> Report:
    return run(TINY)


def test_withdrawals_complete_and_the_books_hold(report):
    assert report.broken == []
    assert report.rounds[0].ended.keys() == {"COMPLETED"}
    assert report.rounds[0].refused == {}
    assert report.pins_per_s > 0


def test_open_withdrawals_survive_a_kill_and_go_first(report):
    assert (report.open.count, report.open.payers) == (TINY.waiting, TINY.payers)
    assert 0 < report.open.cold_s < 60
    assert report.open.urgent_first == 1.0


def test_each_part_prints_its_row(report):
    text = "\n".join(verdict.lines(report))
    for words in ("completed withdrawals:", "past the debit", "among those that moved first", "limited"):
        assert words in text
    figures = verdict.as_json(report)
    assert figures["verdicts"].keys() == {"completed_per_s", "cold_start_s", "urgent_first", "books"}


@pytest.mark.parametrize(
    ("report", "missed"),
    [
        (Report(rounds=[ROUND], pins_per_s=400.0), set()),
        (Report(rounds=[ROUND], pins_per_s=401.0), {"completed_per_s"}),
        (Report(open=Open(10_000, 500, 10.0, 0.99)), set()),
        (Report(open=Open(10_000, 500, 10.1, 0.99)), {"cold_start_s"}),
        (Report(open=Open(10_000, 500, 10.0, 0.98)), {"urgent_first"}),
        (Report(broken=["one was lost"]), {"books"}),
    ],
)
def test_a_missed_goal_is_said(report, missed):
    assert {name for name, met in verdict.verdicts(report) if not met} == missed
    assert ("MISSED" in "\n".join(verdict.lines(report))) == bool(missed - {"books"})


def test_there_are_customers_for_every_part():
    options = Options()
    assert options.customers >= options.waiting + options.payers + options.measured
    assert replace(options, rounds=0, waiting=0, payers=0).customers > 0
