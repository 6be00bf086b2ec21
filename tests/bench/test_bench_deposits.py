"""`penpay bench deposits`: it measures what it says, and its words follow from its figures."""

from dataclasses import replace

import pytest

from penpay.bench import verdict
from penpay.bench.deposits import Bench, Options, Report, Waiting, run
from penpay.bench.load import Measured, percentile
from penpay.bench.sampling import Sampler, shares
from penpay.bench.usage import cpu_s, file_system, machine_s, rss_bytes, speed

TINY = Options(
    rounds=1, warm_s=0.2, measure_s=1.5, in_flight=8, half_s=1.0, paced_s=0.0, waiting=20, settle_s=0.5, answer_s=0.05
)
ROUND = Measured(
    took_s=10.0,
    asked=2000,
    accepted=2000,
    ended={"COMPLETED": 2000},
    refused={},
    unfinished=0,
    used=2400,
    post_s=[0.01, 0.02, 0.06],
    whole_s=[0.1, 0.2, 0.6],
    cpu_s={"node": 9.5, "mariadb": 3.0},
    machine_s=13.0,
)


@pytest.fixture(scope="module")
def report() -> Report:
    return run(TINY)


def test_deposits_complete_and_the_books_hold(report):
    assert report.broken == []
    assert report.rounds[0].ended.keys() == {"COMPLETED"}
    assert report.rounds[0].completed_per_s > 0
    assert report.rounds[0].refused == {}
    assert report.rounds[0].unfinished == 0


def test_every_process_is_seen_to_work(report):
    assert report.rounds[0].cpu_s.keys() == {"node", "sandbox", "mariadb", "redis", "generator"}
    assert report.rounds[0].cpu_s["node"] > 0
    assert sum(report.parts.values()) == pytest.approx(1.0)
    assert "database: statements and rows" in report.parts


def test_waiting_payers_survive_a_kill(report):
    assert report.waiting.count == TINY.waiting
    assert report.waiting.settled_bytes > 0
    assert 0 < report.waiting.cold_s < 60


def test_the_machine_is_timed_before_each_round_and_around_the_half_rate(report):
    assert len(report.speeds) == TINY.rounds + 2
    assert min(*report.speeds, speed()) > 0


def test_each_part_prints_its_row(report):
    text = "\n".join(verdict.lines(report))
    for words in (
        "completed deposits:",
        "requests/s (half of that)",
        "waiting for their payer",
        "cold start",
        "limited",
    ):
        assert words in text
    assert {"completed_per_s", "post_p99_s", "waiting_bytes", "cold_start_s", "books"} == verdict.as_json(report)[
        "verdicts"
    ].keys()


@pytest.mark.parametrize(
    ("report", "missed"),
    [
        (Report(rounds=[ROUND]), set()),
        (Report(rounds=[replace(ROUND, ended={"COMPLETED": 1999})]), {"completed_per_s"}),
        (Report(half=ROUND), set()),
        (Report(half=replace(ROUND, post_s=[0.061])), {"post_p99_s"}),
        (Report(waiting=Waiting(10_000, 100 << 20, 200 << 20, 180 << 20, 10.0, 0)), set()),
        (Report(waiting=Waiting(10_000, 100 << 20, 200 << 20, (180 << 20) + 1, 10.0, 0)), {"waiting_bytes"}),
        (Report(waiting=Waiting(10_000, 100 << 20, 200 << 20, 180 << 20, 10.1, 0)), {"cold_start_s"}),
        (Report(broken=["a deposit was lost"]), {"books"}),
    ],
)
def test_a_missed_goal_is_said(report, missed):
    assert {name for name, met in verdict.verdicts(report) if not met} == missed
    assert ("MISSED" in "\n".join(verdict.lines(report))) == bool(missed - {"books"})


def test_a_machine_that_became_slower_is_said():
    assert "66% as fast" in "\n".join(verdict.lines(Report(half=ROUND, speeds=[600.0, 610.0, 590.0, 380.0, 412.0])))
    assert "as fast" not in "\n".join(verdict.lines(Report(half=ROUND)))


def test_the_limit_names_who_was_busy():
    assert "the node's loop" in verdict.limit(ROUND)
    assert "the machine" in verdict.limit(replace(ROUND, cpu_s={"node": 5.0}, machine_s=19.9 * 64))
    assert "neither" in verdict.limit(replace(ROUND, cpu_s={"node": 1.0}, machine_s=1.0))
    assert "noisy" in verdict.limit(replace(ROUND, machine_s=20.0))


def test_customers_are_enough_for_every_part():
    assert Options().customers >= 20_000
    assert Options(rounds=0, half_s=0, paced_s=0, waiting=0).customers > 0


def test_a_report_is_stopped_with_its_installation_also_when_it_never_started():
    with Bench(TINY, lambda _: None) as bench:
        folder = bench._rig.folder.path
        assert folder.is_dir()
    assert not folder.exists()


def test_percentiles_of_few_and_none():
    assert percentile([], 0.99) == 0.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert percentile([1.0, 2.0], 0.99) == 2.0


def test_a_sampler_counts_the_time_of_this_process():
    sampler = Sampler()
    sampler.start()
    began_s = cpu_s_of_us()
    while cpu_s_of_us() - began_s < 0.1:
        sum(range(10_000))
    counts = sampler.stop()
    assert sum(counts.values()) >= 5
    assert sum(shares(counts).values()) == pytest.approx(1.0)


def test_usage_is_read_from_the_system(tmp_path):
    import os  # noqa: PLC0415 - only here

    assert rss_bytes(os.getpid()) > 1 << 20
    assert machine_s() > cpu_s(os.getpid()) >= 0
    assert file_system(tmp_path)
    assert cpu_s(2**22 + 1) == rss_bytes(2**22 + 1) == 0


def cpu_s_of_us() -> float:
    import time  # noqa: PLC0415 - only here

    return time.process_time()
