"""A withdrawal in review: what was under way when the question came still ends, and nothing is paid twice."""

import pytest

from penpay.domain import withdrawal_events as ev
from penpay.domain.rules import Rules
from penpay.domain.unit import OperationState
from penpay.domain.withdrawal import State
from tests.domain.books import Story
from tests.domain.test_withdrawal_rules import sending


def sent_again() -> Story:
    """The first attempt of a payout is unknown; the intent of the second stands, and no rail has begun it."""
    story = sending()
    story.happens(ev.PayoutOutcomeUnknown(code="dropped", attempt=1))
    story.happens(ev.Woke(), after_s=60)
    assert (story.saga.payout.state, story.saga.payout.attempts_closed) == (OperationState.INTENT, 1)
    return story


@pytest.mark.parametrize(("event", "after_s"), [(ev.Woke(), Rules().same_payout_id_s), (ev.Parked(error="x"), 1)])
def test_a_payout_that_may_have_been_taken_keeps_its_dollars_held_when_people_are_asked(
    event: ev.Event, after_s: float
) -> None:
    story = sent_again()
    story.happens(event, after_s=after_s)
    assert (story.state, story.saga.payout.state) == (State.IN_REVIEW, OperationState.UNKNOWN)
    assert (story.balance("b2c_out:USD"), story.balance("customer:USD")) == (-2000, 0)
    for decision in (ev.StaffReturned(approval="a,b"), ev.StaffPaid(approval="a,b")):
        story.happens(decision)
        assert story.state is State.IN_REVIEW
    story.happens(ev.PayoutPaid(receipt="SG1", source="result"))
    assert (story.state, story.clearing()) == (State.COMPLETED, 0)
