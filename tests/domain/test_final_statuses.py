"""A status that is final and not Completed, read twice: people are asked, hours before a silent one is given up.

It moves no money: dollars go back, and another payout begins, only behind a failed result as well.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest

from penpay.domain import deposit_events as dv
from penpay.domain import withdrawal_events as ev
from penpay.domain.deposit import State as DepositState
from penpay.domain.rules import Rules
from penpay.domain.unit import OperationState
from penpay.domain.withdrawal import State
from tests.domain.books import SEND, Story
from tests.domain.test_deposit_in_review import refunding, unknown_refund
from tests.domain.test_withdrawal_rules import awaiting, failed_twice, sending

APART_S = Rules().second_evidence_s
UNTOLD_S = Rules().untold_s


def asked_about() -> Story:
    """Acknowledged; its result did not come in ten minutes."""
    story = awaiting()
    story.happens(ev.Woke(), after_s=Rules().status_after_s)
    assert (story.state, story.does()) == (State.B2C_UNKNOWN, ["probe_payout"])
    return story


def never_acknowledged() -> Story:
    story = sending()
    story.happens(ev.PayoutOutcomeUnknown(code="timeout", attempt=1))
    return story


def sent_again() -> Story:
    story = never_acknowledged()
    story.happens(ev.Woke(), after_s=60)
    assert story.saga.payout.state is OperationState.INTENT
    return story


def says(story: Story, status: str = "Declined", *, after_s: float = 60.0) -> None:
    story.happens(ev.PayoutNotCompleted(status=status, at=story.at + timedelta(seconds=after_s)), after_s=after_s)


@pytest.mark.parametrize("begun", [asked_about, never_acknowledged, sent_again])
def test_a_final_status_that_is_read_twice_asks_people_and_moves_nothing(begun: Callable[[], Story]) -> None:
    story = begun()
    says(story)
    says(story, after_s=APART_S - 1)
    assert (story.state, story.reviews) == (State.B2C_UNKNOWN, []), "the two must lie apart"
    says(story, after_s=1)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["payout_unknown"])
    assert story.saga.payout.state is OperationState.UNKNOWN
    for decision in (ev.StaffReturned(approval="a,b"), ev.StaffPaid(approval="a,b"), ev.StaffClosed(approval="a,b")):
        story.happens(decision)
        assert (story.state, story.balance("b2c_out:USD")) == (State.IN_REVIEW, -2000), "nobody knows yet"


def test_people_say_what_became_of_it() -> None:
    story = asked_about()
    says(story)
    says(story, after_s=APART_S)
    story.happens(ev.StaffProved(executed=False, reference="", approval="a,b"))
    story.happens(ev.StaffReturned(approval="a,b"))
    assert (story.state, story.does()) == (State.RETURN_SENDING, ["submit"])


@pytest.mark.parametrize("source", ["result", "status"])
def test_a_success_wins_before_and_behind_the_question(source: str) -> None:
    for readings in (1, 2):
        story = asked_about()
        for _ in range(readings):
            says(story, after_s=APART_S)
        story.happens(ev.PayoutPaid(receipt="SG1", source=source), after_s=5)
        assert (story.state, story.questions, story.clearing()) == (State.COMPLETED, [], 0)


def test_a_failed_result_that_comes_between_needs_a_status_behind_itself() -> None:
    story = asked_about()
    says(story)
    story.happens(ev.PayoutFailed(code="2040", at=story.at + timedelta(seconds=APART_S)), after_s=APART_S)
    says(story, after_s=APART_S - 1)
    assert (story.state, story.reviews) == (State.B2C_UNKNOWN, [])
    says(story, after_s=APART_S + 1)
    assert story.state is State.RETURN_SENDING


def test_what_was_read_about_one_payout_says_nothing_about_the_next() -> None:
    story = asked_about()
    says(story)
    story.happens(ev.PayoutFailed(code="1", at=story.at), after_s=5)
    says(story, after_s=APART_S)
    story.happens(ev.Woke(), after_s=30)
    assert (story.state, story.saga.declined_at) == (State.B2C_SENDING, None)
    story.happens(ev.PayoutOutcomeUnknown(code="timeout", attempt=1))
    says(story)
    assert (story.state, story.reviews) == (State.B2C_UNKNOWN, [])


def test_two_pieces_of_evidence_still_give_the_dollars_back_without_people() -> None:
    assert failed_twice("2040").state is State.RETURN_SENDING


# --- the same of a Reversal -----------------------------------------------------------------------------------------


def accepted_refund() -> Story:
    story = refunding()
    story.happens(dv.RefundAccepted(conversation_id="AG_1"))
    return story


def declined(story: Story, *, after_s: float) -> None:
    story.happens(dv.RefundNotCompleted(status="Declined", at=story.at + timedelta(seconds=after_s)), after_s=after_s)


@pytest.mark.parametrize("begun", [accepted_refund, unknown_refund])
def test_a_reversal_that_is_twice_said_not_to_have_completed_is_with_people(begun: Callable[[], Story]) -> None:
    story = begun()
    declined(story, after_s=60)
    declined(story, after_s=APART_S - 1)
    assert (story.state, story.reviews) == (DepositState.REFUND_SENDING, [])
    declined(story, after_s=1)
    assert (story.state, story.reviews) == (DepositState.IN_REVIEW, ["refund_overdue"])
    assert (story.balance("refund_out:KES"), story.saga.money_at) == (-SEND.minor, "refund_out")
    story.happens(dv.RefundConfirmed(receipt="REV1"))
    assert (story.state, story.questions, story.clearing()) == (DepositState.REVERSED, [], 0)


def test_a_reversal_that_nothing_can_be_asked_about_is_with_people_once_its_result_is_late() -> None:
    story = unknown_refund()
    story.happens(dv.RefundUntold(), after_s=60)
    story.happens(dv.RefundUntold(), after_s=UNTOLD_S - 1)
    assert (story.state, story.reviews) == (DepositState.REFUND_SENDING, [])
    story.happens(dv.RefundUntold(), after_s=1)
    assert (story.state, story.reviews) == (DepositState.IN_REVIEW, ["refund_overdue"])
    story.happens(dv.StaffProved(executed=False, reference="", approval="a,b"))
    assert story.balance("customer:KES") == -SEND.minor


def test_an_acknowledgement_that_comes_late_brings_the_question_back_to_the_status() -> None:
    story = unknown_refund()
    story.happens(dv.RefundUntold(), after_s=60)
    story.happens(dv.RefundAccepted(conversation_id="AG_1"), after_s=60)
    story.happens(dv.RefundUntold(), after_s=UNTOLD_S)
    assert (story.state, story.reviews) == (DepositState.REFUND_SENDING, [])
    declined(story, after_s=60)
    assert story.state is DepositState.REFUND_SENDING


def test_a_reversal_that_waits_to_be_sent_is_not_given_up_for_what_was_said_before() -> None:
    story = refunding()
    for event in (dv.RefundUntold(), dv.RefundNotCompleted(status="Declined", at=story.at)):
        for after_s in (60, UNTOLD_S):
            story.happens(event, after_s=after_s)
    assert (story.state, story.reviews) == (DepositState.REFUND_SENDING, [])
