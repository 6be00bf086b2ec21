"""Whoever takes a safeguard out is found: planted bugs, each in worlds that know the faults it is made for."""

import pytest

from penpay.simulation.play import play
from penpay.simulation.runs import run, seed_of
from penpay.simulation.safeguards import SAFEGUARDS

SEEDS_MAX = 60
PLANTED = (
    "commit_unknown",
    "fence",
    "mailboxes",
    "inbox_dedupe",
    "wake_ups",
    "paid_amount",
    "asked_payer",
    "grace",
    "clean_list",
    "payment_watch",
    "late_success",
    "no_blind_transfer",
    "no_blind_debit",
    "settle_window",
    "their_clock",
    "balances_join",
    "one_withdrawal",
    "daily_limit",
    "call_in_time",
    "doubted_payout",
)
"""Those that a minute finds; the others take hundreds of seeds: `penpay simulate --ablations`."""
FIRST = {"list_margin": 96}
"""The first seed that misses one of the others."""


@pytest.mark.parametrize("name", PLANTED)
def test_without_a_safeguard_a_seed_fails(name):
    report = run(range(1, SEEDS_MAX + 1), without=name, until_failed=1)
    assert report.failed, f"nobody missed {name}: {SAFEGUARDS[name].purpose}"


@pytest.mark.parametrize("name", FIRST)
def test_a_seed_that_once_missed_a_safeguard_misses_it(name):
    assert play(seed_of(FIRST[name], without=name)).wrong, f"nobody missed {name}: {SAFEGUARDS[name].purpose}"


def test_what_was_taken_out_is_put_back():
    run([1], without="no_blind_transfer")
    report = run(range(1, 4))
    assert report.failed == 0
