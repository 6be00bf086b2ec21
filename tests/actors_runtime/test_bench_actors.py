"""The comparison of `penpay bench actors`: it measures, and it says when a floor is missed."""

from dataclasses import replace

import pytest

from penpay.bench.actors import Row, limit, lines, run, verdicts

THREADS = Row("ThreadingActor", 1000, 5000.0, 24000.0, 1.0, 1.0, 1.0, 1.0, 1.05)
RESIDENT = Row("AsyncioActor", 1000, 40000.0, 6000.0, 1.0, 1.0, 1.0, 1.0, 0.99)
ENTITY = Row("EntityActor", 1000, 150000.0, 1600.0, 1.0, 1.0, 1.0, 1.0, 0.99)


def test_the_floors_are_met_exactly():
    assert [verdict["ok"] for verdict in verdicts([THREADS, RESIDENT, ENTITY])] == [True, True]


@pytest.mark.parametrize(
    "row",
    [
        replace(RESIDENT, start_s=39999.0),
        replace(RESIDENT, rss_bytes=6001.0),
        replace(ENTITY, start_s=149999.0),
        replace(ENTITY, rss_bytes=1601.0),
    ],
)
def test_a_missed_floor_is_said(row):
    assert [verdict["ok"] for verdict in verdicts([THREADS, row])] == [False]
    assert any("MISSED" in line for line in lines([THREADS, row]))


def test_a_count_without_threads_is_shown_but_not_judged():
    alone = replace(ENTITY, count=100_000)
    assert verdicts([THREADS, alone]) == []
    assert any("100,000" in line for line in lines([THREADS, alone]))


def test_the_limit_is_named():
    assert "99% of a core" in limit([RESIDENT])


def test_every_kind_is_really_measured_in_its_own_process():
    rows = run((50,), alone=None, repeats=1)
    assert [row.kind for row in rows] == ["ThreadingActor", "AsyncioActor", "EntityActor"]
    assert all(row.start_s > 0 and row.tell_s > 0 and row.ask_s > 0 and row.stop_s > 0 for row in rows)
