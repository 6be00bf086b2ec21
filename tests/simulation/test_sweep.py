"""Every named step of both sagas, with a crash just before it and just after it took effect."""

import pytest

from penpay.simulation.sweep import WAYS, sweep

ENDS = {
    "a deposit that is credited": {"DEPOSIT COMPLETED"},
    "a deposit that is given back": {"DEPOSIT REVERSED"},
    "a withdrawal that is paid": {"WITHDRAWAL COMPLETED"},
    "a withdrawal that is returned": {"WITHDRAWAL REVERSED"},
}
LEAST = 16
"""Steps times sides of the shortest way."""


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_single_crash_at_any_step_breaks_no_promise(way):
    plain, *crashed = sweep(ways=[way])
    assert set(plain.outcome.states) == ENDS.get(way.name, set(plain.outcome.states))
    assert plain.outcome.wrong == ()
    assert [([str(point) for point in one.points], one.outcome.wrong) for one in crashed if one.outcome.wrong] == []
    assert all(one.missed == 0 for one in crashed), "every crash happens"
    assert len(crashed) >= LEAST
