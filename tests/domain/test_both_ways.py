"""Money that left both ways, or twice, is looked at by people: the end of the one does not answer for the other."""

from collections.abc import Callable

import pytest

from penpay.domain import deposit_events as dep
from penpay.domain import withdrawal_events as ev
from penpay.domain.deposit import State as Deposits
from penpay.domain.withdrawal import State
from tests.domain.books import Story
from tests.domain.test_deposit_in_review import refunding
from tests.domain.test_deposit_rules import callback, confirmed, paid, to_another
from tests.domain.test_withdrawal_rules import SEND, failed_twice, sending

PAID = ev.PayoutPaid(receipt="SG1", source="status")
CLAIMED = ev.PayoutPaid(receipt="SG1", source="result")
RETURNED = ev.ReturnConfirmed(transaction_id="r1", amount=SEND, proof="reply")
REVERSED = dep.RefundConfirmed(receipt="REV1")


def under_way(story: Story) -> Story:
    """From now on what is intended has been attempted: no question takes it back."""
    story.attempted = True
    return story


def paid_after_a_return() -> Story:
    """People proved that a return had done nothing, and paid out; the payout was asked about."""
    story = failed_twice("2040")
    story.happens(ev.ReturnOutcomeUnknown(code="dropped", attempt=1))
    story.happens(ev.ReturnAmbiguous(proof="two rows"))
    story.happens(ev.StaffProved(executed=False, reference="", approval="a,b"))
    story.happens(ev.StaffPaid(approval="a,b"))
    story.happens(ev.PayoutOutcomeUnknown(code="dropped", attempt=1))
    story.happens(ev.Parked(error="x"))
    return story


def credited_after_a_refund() -> Story:
    """People proved that a Reversal had done nothing, and credited; the transfer was asked about."""
    story = refunding()
    story.happens(dep.RefundOutcomeUnknown(code="silent"))
    story.happens(dep.Parked(error="x"))
    story.happens(dep.StaffProved(executed=False, reference="", approval="a,b"))
    story.happens(dep.StaffCredited(approval="a,b"))
    story.happens(dep.DerivOutcomeUnknown(code="silent", attempt=1))
    story.happens(dep.Parked(error="x"))
    return story


def transferred_twice() -> Story:
    """The first attempt was proven absent, and the second one is under way."""
    story = paid()
    story.happens(dep.DerivOutcomeUnknown(code="timed_out", attempt=1))
    story.happens(dep.DerivAbsent(proof="two reads", attempt=1), after_s=700)
    return under_way(story)


# what was under way, what is told against it, the question, and the end that comes then
CASES: tuple[tuple[Callable[[], Story], object, str, object], ...] = (
    (lambda: under_way(failed_twice("2040")), PAID, "contradicting_payout", RETURNED),
    (lambda: under_way(failed_twice("2040")), CLAIMED, "contradicting_payout", RETURNED),
    (paid_after_a_return, RETURNED, "contradicting_return", PAID),
    (credited_after_a_refund, REVERSED, "contradicting_refund", confirmed("8")),
    (lambda: under_way(refunding()), confirmed("8"), "contradicting_transfer", REVERSED),
    (lambda: under_way(refunding()), callback("SECOND1234"), "contradicting_payment", REVERSED),
    (transferred_twice, to_another("7", attempt=1), "contradicting_transfer", confirmed("8")),
)


@pytest.mark.parametrize(("begun", "told", "question", "end"), CASES)
def test_the_end_of_the_one_does_not_answer_for_the_other(
    begun: Callable[[], Story], told: object, question: str, end: object
) -> None:
    story = begun()
    story.happens(told)
    assert (str(story.state), story.questions[-1]) == ("IN_REVIEW", question)
    story.happens(end)
    assert (str(story.state), question in story.questions) == ("IN_REVIEW", True)
    assert (story.saga.money_at, story.clearing(), story.saga.next_wake_at) == ("gone", 0, None)


def test_people_who_give_back_all_the_same_have_answered() -> None:
    story = under_way(failed_twice("2040"))
    story.happens(PAID)
    story.happens(ev.ReturnRefused(code="x", attempt=1))
    story.happens(ev.StaffReturned(approval="a,b"))
    story.happens(RETURNED)
    assert (story.state, story.questions) == (State.REVERSED, [])


def test_people_who_credit_all_the_same_have_answered() -> None:
    story = paid()
    story.happens(to_another("7"))
    story.happens(dep.StaffCredited(approval="a,b"))
    story.happens(confirmed("8"))
    assert (story.state, story.questions) == (Deposits.COMPLETED, [])


def test_a_payout_after_a_question_that_it_answers_ends() -> None:
    story = under_way(sending())
    story.happens(ev.Parked(error="x"))
    story.happens(PAID)
    assert (story.state, story.questions) == (State.COMPLETED, [])
