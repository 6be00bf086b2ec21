"""Bugs that seeds found: what each was, its seeds, and the tests of its own that fail without its cure.

What changes the order of calls moves every world, and a seed may then no longer show its bug: its own tests do.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from penpay.simulation.play import play
from penpay.simulation.world import Seed

ROOT = Path(__file__).parents[2]
_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Found:
    """One bug. `also`: the troubles that its seeds were played with besides. `pinned_by`: names of tests, by file."""

    was: str
    seeds: tuple[int, ...]
    also: tuple[str, ...] = ()
    pinned_by: Mapping[str, Sequence[str]]


FOUND = (
    Found(
        was="a ledger that lost its lease while its shard was starting was taken for a living one, for ever",
        seeds=(67,),
        pinned_by={
            "tests/supervisors/test_strategies.py": [
                "test_a_child_that_is_ready_and_over_in_one_breath_is_not_taken_for_a_living_one",
            ],
        },
    ),
    Found(
        was="a node woke up behind a second attempt and told the end of the first one: the saga broke and was parked",
        seeds=(128, 381),
        also=("node.pause_before_call",),
        pinned_by={
            "tests/actors/test_saga.py": [
                "test_the_late_end_of_an_attempt_that_is_over_says_nothing_about_the_next_one",
            ],
        },
    ),
    Found(
        was="the simulation: a callback denied the payment, and the world ended before the true one was asked about",
        seeds=(1239,),
        pinned_by={
            "tests/simulation/test_healing.py": [
                "test_a_deposit_that_failed_and_still_asks_about_a_claim_of_payment_is_waited_for",
            ],
        },
    ),
    Found(
        was="a debit's first byte left long after its row said so, and it was executed behind its settle window",
        seeds=(50225,),
        pinned_by={
            "tests/rails/test_gate.py": ["test_what_stood_still_between_its_row_and_its_first_byte_is_not_sent"],
        },
    ),
    Found(
        was="a customer was frozen while their payout had no acknowledgement: it was neither sent nor asked about",
        seeds=(201764, 213988),
        pinned_by={
            "tests/domain/test_withdrawal_rules.py": [
                "test_a_frozen_customers_payout_that_was_never_acknowledged_is_asked_about_and_not_sent_again",
                "test_whether_the_customer_is_frozen_is_asked_each_time_a_standing_payout_is_told_again",
            ],
        },
    ),
    Found(
        was="a rail began anew while the database was away and went on under the epoch of the incarnation before: a "
        "debit that this one had begun was its own for ever, and nobody gave it an end",
        seeds=(242665,),
        pinned_by={
            "tests/rails/test_limits.py": ["test_a_sender_that_begins_without_the_database_goes_on_under_no_old_epoch"],
            "tests/domain/test_withdrawal_rules.py": [
                "test_a_debit_that_was_begun_and_of_which_nobody_tells_is_with_a_person_within_four_hours",
            ],
        },
    ),
    Found(
        was="Safaricom said that it had a payout already, its result was lost, and we took it for one never heard of: "
        "it was asked about for a day before a person was",
        seeds=(300007,),
        pinned_by={
            "tests/domain/test_withdrawal_rules.py": [
                "test_an_acknowledged_payout_whose_result_is_lost_is_with_a_person_within_four_hours",
            ],
        },
    ),
    Found(
        was="two nodes held a saga while its shard moved; the one that lost the race told the end of an attempt that "
        "the other had gone on from, and the payout was never sent again",
        seeds=(301136,),
        pinned_by={
            "tests/actors/test_saga.py": [
                "test_nor_does_it_when_the_saga_learns_only_from_a_lost_race_that_the_attempt_is_over",
            ],
        },
    ),
    Found(
        was="a node stood still before its first byte, another one called that attempt unknown; the first one came "
        "back, said that nothing had been sent, and let an equal transfer go, whose row was taken for the lost "
        "one's",
        seeds=(430233,),
        pinned_by={
            "tests/rails/test_deriv.py": [
                "test_what_ended_after_its_lease_had_passed_blocks_its_equals_until_its_shard_knows",
            ],
        },
    ),
    Found(
        was="the simulation: nobody answered the alert when a late refusal of our initiator stopped payouts once more",
        seeds=(447349, 1044746, 1053291),
        pinned_by={
            "tests/simulation/test_healing.py": ["test_somebody_is_on_call_whenever_a_late_result_stops_payouts"],
        },
    ),
    Found(
        was="Safaricom's queue had given up a payout that was never acknowledged: it was not sent again, and yet asked "
        "about for the day in which it might have been",
        seeds=(712919,),
        pinned_by={
            "tests/domain/test_withdrawal_rules.py": [
                "test_a_payout_that_is_not_sent_again_is_with_a_person_within_four_hours",
            ],
        },
    ),
    Found(
        was="the simulation: a customer cancelled just when their saga was made to break, and their request broke, too",
        seeds=(920564,),
        pinned_by={
            "tests/simulation/test_healing.py": [
                "test_whoever_asks_a_saga_that_the_dice_break_meanwhile_has_no_answer_and_broke_nothing",
            ],
        },
    ),
    Found(
        was="the tail of a payout's UUID had twelve decimal digits and was taken for a phone that anybody may read",
        seeds=(817024,),
        pinned_by={
            "tests/contracts/store/test_invariants.py": ["test_digits_within_something_longer_are_no_phone"],
        },
    ),
    Found(
        was="the list of payments corrected an amount that staff had been told, while a Reversal over the other one "
        "was on its way; and the simulation's rail reversed whatever it was asked, where the sandbox refuses",
        seeds=(912743, 930788),
        pinned_by={
            "tests/domain/test_deposit_rules.py": [
                "test_a_reversal_of_another_amount_is_refused_and_the_payment_stands_as_it_arrived",
            ],
            "tests/contracts/rails/test_daraja.py": ["test_a_reversal_gives_a_payment_back_once"],
        },
    ),
    Found(
        was="a callback claimed a payment of another amount, which no query knew or answered; the list was "
        "not asked, and the question could be closed with the shillings outside of the books",
        seeds=(1021137, 1021545, 1023305, 1029359),
        pinned_by={
            "tests/domain/test_deposit_rules.py": [
                "test_a_query_confirms_what_the_claim_says_not_what_was_asked",
                "test_a_claim_is_looked_up_in_the_list_as_well",
                "test_a_claim_is_judged_by_people_before_its_question_is_closed",
            ],
        },
    ),
    Found(
        was="a unit whose asker had given up was recorded behind the rows from which the customer's next request had "
        "been judged: more than a day's limit at once, or two prompts on one phone",
        seeds=(1023727,),
        pinned_by={
            "tests/actors/test_user.py": ["test_what_may_still_be_recorded_counts_before_anything_else_begins"],
            "tests/ledger/test_faults.py": ["test_nor_is_one_that_the_database_was_asked_for_in_vain"],
        },
    ),
    Found(
        was="balances that a node with a clock ahead had taken in waited for the clock of the only node that may read",
        seeds=(1400749,),
        pinned_by={
            "tests/rails/test_pollers.py": ["test_a_result_is_read_whatever_the_clock_of_the_node_that_took_it_in"],
        },
    ),
    Found(
        was="a late result reopened a completed withdrawal, and the customer's actor, which had read that it was over, "
        "let the next one in beside it",
        seeds=(1601300,),
        pinned_by={
            "tests/domain/test_withdrawal_rules.py": [
                "test_who_admits_the_next_one_hears_that_a_completed_withdrawal_is_open_again",
            ],
            "tests/actors/test_withdrawals.py": [
                "test_an_ended_withdrawal_that_opens_again_as_the_next_one_begins_takes_nothing_from_it",
            ],
        },
    ),
    Found(
        was="a node that had stood still in a call took the attempt that its successor had made of the same operation "
        "for its own, and nobody gave that one an end",
        seeds=(1726538,),
        pinned_by={
            "tests/rails/test_deriv.py": [
                "test_what_another_owner_left_of_an_operation_that_is_under_way_here_is_given_its_end",
            ],
        },
    ),
    Found(
        was="the simulation: who paid while a node stood still between the last answer and its commit seemed wronged",
        seeds=(1745252,),
        pinned_by={
            "tests/simulation/test_denied.py": [
                "test_who_paid_and_was_told_otherwise_is_named_where_it_could_be_known",
            ],
        },
    ),
    Found(
        was="a node started under a clock that had been set ahead, and let an equal transfer go before Deriv had told "
        "it the time; the resolver took that one for the lost one",
        seeds=(1905524,),
        pinned_by={
            "tests/rails/test_deriv.py": [
                "test_no_clock_of_ours_frees_the_equals_of_an_unknown_before_deriv_has_told_the_time",
            ],
            "tests/faults/test_F101_clocks_jump.py": [
                "test_no_time_of_ours_frees_what_an_attempt_blocks_unless_deriv_does_not_tell_its_own",
            ],
        },
    ),
    Found(
        was="Deriv moved less than asked; the debit that waited for its credit in vain was given another customer's, "
        "whose own saga had not asked yet",
        seeds=(1917846,),
        pinned_by={
            "tests/rails/test_withdrawals.py": [
                "test_a_credit_that_a_debit_under_way_can_have_made_is_not_given_to_one_that_waits",
            ],
            "tests/rails/test_credits.py": ["test_a_credit_that_one_debit_only_can_have_made_waits_for_nobody_else"],
        },
    ),
    Found(
        was="a ledger was ended in the middle of a unit, and the saga that waited for it broke instead of reading "
        "again",
        seeds=(2000716,),
        pinned_by={
            "tests/actors/test_saga.py": ["test_a_unit_whose_outcome_is_unknown_is_decided_again_from_the_row"],
        },
    ),
)


@pytest.mark.parametrize(
    "seed", [Seed(number, also=found.also) for found in FOUND for number in found.seeds], ids=lambda seed: seed.number
)
def test_a_seed_that_once_failed_holds(seed):
    assert play(seed).wrong == ()


@pytest.mark.parametrize("found", FOUND, ids=lambda found: found.seeds[0])
def test_its_bug_has_tests_of_its_own(found):
    assert found.pinned_by
    for path, names in found.pinned_by.items():
        there = {node.name for node in ast.parse((ROOT / path).read_text("utf-8")).body if isinstance(node, _FUNCTIONS)}
        assert names
        assert set(names) <= there
