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
"""Those that a minute finds in any worlds; how many worlds miss each one tells `penpay simulate --ablations`."""
FIRST = {
    "unit_replay": 14,
    "references_unique": 1,
    "frozen_users": 5,
    "inbox_sweep": 8,
    "foreign_callbacks": 45,
    "list_margin": 96,
    "moved_amount": 9,
    "one_open_equal": 61,
    "same_payout_id": 5,
    "refusal_on_retry": 31,
    "second_evidence": 1,
    "attempt_rows": 7,
    "attempts_closed": 146,
    "abandoned_attempts": 21,
}
"""The first seed that misses one of the others."""


@pytest.mark.parametrize("name", PLANTED)
def test_without_a_safeguard_a_seed_fails(name):
    report = run(range(1, SEEDS_MAX + 1), without=name, until_failed=1)
    assert report.failed, f"nobody missed {name}: {SAFEGUARDS[name].purpose}"


@pytest.mark.parametrize("name", FIRST)
def test_a_seed_that_once_missed_a_safeguard_misses_it(name):
    assert play(seed_of(FIRST[name], without=name)).wrong, f"nobody missed {name}: {SAFEGUARDS[name].purpose}"


def test_every_safeguard_is_missed_by_somebody():
    assert {*PLANTED, *FIRST} == SAFEGUARDS.keys()


def test_what_was_taken_out_is_put_back():
    run([1], without="no_blind_transfer")
    report = run(range(1, 4))
    assert report.failed == 0
