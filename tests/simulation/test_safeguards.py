"""Whoever takes a safeguard out is found: planted bugs, each in worlds that know the faults it is made for."""

import pytest

from penpay.simulation.runs import run
from penpay.simulation.safeguards import SAFEGUARDS

SEEDS_MAX = 600
"""Most are missed by one of the first few; how many of a thousand worlds do tells `penpay simulate --ablations`."""


@pytest.mark.parametrize("name", SAFEGUARDS)
def test_without_a_safeguard_a_seed_fails(name):
    report = run(range(1, SEEDS_MAX + 1), without=name, until_failed=1)
    assert report.failed, f"nobody missed {name}: {SAFEGUARDS[name].purpose}"


def test_what_was_taken_out_is_put_back():
    run([1], without="no_blind_transfer")
    report = run(range(1, 4))
    assert report.failed == 0
