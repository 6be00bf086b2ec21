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
RETURNED = ev.ReturnConfirmed(transaction_id="r1", proof="reply")
REVERSED = dep.RefundConfirmed(receipt="REV1")


def under_way(story: Story) -> Story:
    """From now on what is intended has been attempted: no question takes it back."""
    story.attempted = True
    return story


def unknown_return_given_up() -> Story:
    """People proved that a return had done nothing."""
    story = failed_twice("2040")
    story.happens(ev.ReturnOutcomeUnknown(code="dropped", attempt=1))
    story.happens(ev.ReturnAmbiguous(proof="two rows"))
    story.happens(ev.StaffProved(executed=False, reference="", approval="a,b"))
    return story


def paid_after_a_return() -> Story:
    """People proved that a return had done nothing, and paid out; the payout was asked about."""
    story = unknown_return_given_up()
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


@pytest.mark.parametrize(
    "told", [ev.ReturnRefused(code="x", attempt=1), ev.StaffProved(executed=False, reference="", approval="a,b")]
)
def test_dollars_that_did_not_go_back_pay_for_the_shillings_that_were_paid(told: ev.Event) -> None:
    """What was our loss while they were on their way is none: people have nothing to give away, and close."""
    story = under_way(failed_twice("2040"))
    story.happens(PAID)
    assert story.balance("write_off:KES") == 249_000
    story.happens(told)
    assert (story.state, story.saga.money_at, story.clearing()) == (State.IN_REVIEW, "gone", 0)
    expected = {"customer:USD": 0, "write_off:KES": 0, "mpesa_utility:KES": -249_000, "mpesa_charges:KES": -900}
    assert {name: story.balance(name) for name in expected} == expected
    assert (story.balance("fx_position:USD"), story.balance("fx_position:KES")) == (-2000, 259_000)
    story.happens(ev.StaffReturned(approval="a,b"))
    assert story.state is State.IN_REVIEW
    story.happens(ev.StaffClosed(approval="a,b"))
    assert (story.state, story.questions, story.saga.failure_code) == (State.COMPLETED, [], "")


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


def claimed_after_it_was_taken_back() -> Story:
    """The same of a payout whose intent a question took back."""
    story = sending()
    story.happens(ev.PayoutHeld(code="x", attempt=1))
    story.happens(ev.Parked(error="x"))
    story.happens(CLAIMED)
    return story


def claimed() -> Story:
    """People proved that a payout had done nothing; then a result says that it was paid, and its status never comes."""
    story = under_way(sending())
    story.happens(ev.Parked(error="x"))
    story.happens(ev.StaffProved(executed=False, reference="", approval="a,b"))
    story.happens(CLAIMED)
    assert (story.state, story.saga.money_at, story.saga.receipt) == (State.IN_REVIEW, "customer", "")
    return story


@pytest.mark.parametrize("begun", [claimed, claimed_after_it_was_taken_back])
@pytest.mark.parametrize(
    "decision",
    [
        ev.StaffReturned(approval="a,b"),
        ev.StaffPaid(approval="a,b"),
        ev.StaffSettled(reference="HAND1", approval="a,b"),
    ],
)
def test_a_claimed_payout_is_judged_before_its_dollars_go_anywhere(
    decision: ev.Event, begun: Callable[[], Story]
) -> None:
    story = begun()
    story.happens(decision)
    assert (story.state, story.balance("customer:USD")) == (State.IN_REVIEW, -SEND.minor)
    story.happens(ev.StaffProved(executed=False, reference="", approval="a,b"))
    story.happens(decision)
    assert story.state is not State.IN_REVIEW


def test_people_who_found_the_claimed_payout_book_it_and_close() -> None:
    story = claimed()
    story.happens(ev.StaffProved(executed=True, reference="SG1", approval="a,b"))
    assert (story.state, story.saga.receipt, story.questions) == (
        State.IN_REVIEW,
        "SG1",
        ["parked", "contradicting_payout"],
    )
    assert (story.balance("customer:USD"), story.balance("mpesa_utility:KES")) == (0, -249_000)
    story.happens(ev.StaffClosed(approval="a,b"))
    assert (story.state, story.questions) == (State.COMPLETED, [])


def test_a_claim_against_a_withdrawal_that_was_given_back_is_judged_before_it_is_closed() -> None:
    story = failed_twice("2040")
    story.happens(RETURNED)
    story.happens(CLAIMED)
    story.happens(ev.StaffClosed(approval="a,b"))
    assert story.state is State.IN_REVIEW
    story.happens(ev.StaffProved(executed=True, reference="SG1", approval="a,b"))
    assert (story.balance("mpesa_utility:KES"), story.balance("write_off:KES")) == (-249_000, 249_000)
    story.happens(ev.StaffClosed(approval="a,b"))
    assert (story.state, story.questions) == (State.COMPLETED, [])


def test_derivs_id_that_people_took_for_a_receipt_still_tells_of_its_own_dollars() -> None:
    """Shillings of a payout and dollars of a return, each given up before: two movements, whatever they are called."""
    story = unknown_return_given_up()
    story.happens(ev.StaffSettled(reference="HAND1", approval="a,b"))
    story.happens(CLAIMED)
    story.happens(ev.StaffProved(executed=True, reference="77001", approval="a,b"))
    assert (story.saga.receipt, story.balance("write_off:KES")) == ("77001", 249_000)
    story.happens(ev.ReturnConfirmed(transaction_id="77001", proof="statement"))
    assert (story.state, story.questions[-1]) == (State.IN_REVIEW, "contradicting_return")
    assert (story.balance("write_off:KES"), story.balance("write_off:USD")) == (249_000, SEND.minor)


def test_a_receipt_that_people_took_for_derivs_id_still_tells_of_its_own_shillings() -> None:
    story = refunding()
    story.happens(dep.RefundOutcomeUnknown(code="silent"))
    story.happens(dep.Parked(error="x"))
    story.happens(dep.StaffProved(executed=False, reference="", approval="a,b"))
    story.happens(dep.StaffSettled(reference="HAND1", approval="a,b"))
    story.happens(confirmed("REV1"))
    story.happens(REVERSED)
    assert (story.state, story.questions[-1]) == (Deposits.IN_REVIEW, "contradicting_refund")
    assert (story.balance("write_off:KES"), story.balance("write_off:USD")) == (130_000, 966)
