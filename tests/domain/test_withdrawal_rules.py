"""What follows from what: the withdrawal's rules, told as short stories."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penpay.domain import withdrawal_events as ev
from penpay.domain.decision import Ignored, Operation, Rejected
from penpay.domain.fx import Direction, LockedRate
from penpay.domain.money import kes, usd
from penpay.domain.payout_codes import payout_fee
from penpay.domain.rules import Rules
from penpay.domain.unit import OperationState
from penpay.domain.withdrawal import FINAL, TRANSITIONS, State, Withdrawal, edges
from penpay.domain.withdrawal_row import STATUS, from_row, to_row
from penpay.domain.withdrawal_rules import HANDLERS, decide
from tests.domain.books import T0, Story, tells_its_end

SEND = usd(2000)
RECEIVE = kes(249_000)


def new() -> Story:
    withdrawal = Withdrawal(
        id="W",
        shard=3,
        user_id="U",
        state=State.CREATED,
        version=0,
        send=SEND,
        receive=RECEIVE,
        rate=LockedRate(Direction.WITHDRAWAL, 129_500_000, 5_000_000),
        quote_id="",
        phone_mask="2547****126",
        deriv_loginid="CR1",
        created_at=T0,
        updated_at=T0,
        state_since=T0,
        sealed_payee="00ff",
        debit=Operation(id="op-1", state=OperationState.INTENT),
    )
    story = Story(saga=withdrawal, rules=decide, there=to_row, back=from_row)
    story.happens(ev.DebitStarted())
    return story


def debited() -> Story:
    story = new()
    story.happens(ev.DebitConfirmed(transaction_id="c1", amount=SEND, proof="reply"), after_s=1)
    return story


def sending() -> Story:
    story = debited()
    story.happens(ev.WitnessSeen(transaction_id="a1", amount=SEND), after_s=1)
    return story


def awaiting() -> Story:
    story = sending()
    story.happens(ev.PayoutAccepted(conversation_id="AG_1"), after_s=1)
    return story


def failed_twice(code: str, *, apart_s: float = 601) -> Story:
    story = awaiting()
    story.happens(ev.PayoutFailed(code=code, at=story.at), after_s=5)
    story.happens(ev.PayoutNotCompleted(status="Declined", at=story.at + timedelta(seconds=apart_s)), after_s=apart_s)
    return story


def test_a_withdrawal_goes_from_the_debit_to_the_shillings() -> None:
    story = new()
    assert (story.state, story.does()) == (State.DERIV_SENDING, ["submit"])
    story.happens(ev.DebitConfirmed(transaction_id="c1", amount=SEND, proof="reply"))
    assert (story.state, story.does(), story.balance("deriv_in:USD")) == (State.DEBITED, ["probe_witness"], 2000)
    story.happens(ev.WitnessSeen(transaction_id="a1", amount=SEND))
    assert (story.state, story.does(), story.balance("deriv_agent:USD")) == (State.B2C_SENDING, ["submit"], 2000)
    story.happens(ev.PayoutAccepted(conversation_id="AG_1"))
    story.happens(ev.PayoutPaid(receipt="SG1", source="result"))
    assert (story.state, story.clearing(), story.balance("customer:USD")) == (State.COMPLETED, 0, 0)
    assert story.balance("mpesa_utility:KES") == -249_000
    assert (story.balance("fx_position:KES"), story.balance("fx_spread:KES")) == (259_000, -10_000)
    assert (story.balance("mpesa_fees:KES"), story.balance("mpesa_charges:KES")) == (900, -900)


def test_nothing_is_paid_before_the_agents_side_shows_the_dollars() -> None:
    story = debited()
    for _ in range(20):
        story.happens(ev.Woke(), after_s=60)
    assert story.state is State.DEBITED
    assert story.saga.payout is None
    story.happens(ev.Woke(), after_s=15_000)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["witness_missing"])


def test_a_refused_debit_ends_without_money() -> None:
    story = new()
    story.happens(ev.DebitRefused(code="InvalidOTP", attempt=1))
    assert (story.state, story.keys) == (State.FAILED, set())


def test_a_refusal_after_a_lost_reply_proves_nothing() -> None:
    story = new()
    story.happens(ev.DebitOutcomeUnknown(code="dropped", attempt=1))
    story.happens(ev.DebitRefused(code="InvalidOTP", attempt=1))
    assert (story.state, story.does()) == (State.DERIV_UNKNOWN, [])


def test_an_unknown_debit_is_resolved_and_never_sent_again() -> None:
    story = new()
    story.happens(ev.DebitOutcomeUnknown(code="dropped", attempt=1))
    assert story.does() == ["resolve_debit"]
    story.happens(ev.Woke(attempted=True), after_s=30)
    assert story.does() == ["resolve_debit"]
    story.happens(ev.DebitConfirmed(transaction_id="c1", amount=SEND, proof="statement"))
    assert story.state is State.DEBITED


def test_one_side_alone_pays_nobody() -> None:
    story = new()
    story.happens(ev.DebitOutcomeUnknown(code="dropped", attempt=1))
    story.happens(ev.DebitAmbiguous(proof="the agent's credit without the customer's debit"))
    assert (story.state, story.saga.payout) == (State.IN_REVIEW, None)


def test_a_debit_that_shows_up_late_reopens_a_failed_withdrawal() -> None:
    story = new()
    story.happens(ev.DebitOutcomeUnknown(code="dropped", attempt=1))
    story.happens(ev.DebitAbsent(proof="two reads"), after_s=700)
    assert story.state is State.FAILED
    story.happens(ev.DebitConfirmed(transaction_id="c1", amount=SEND, proof="statement"), after_s=60)
    assert (story.state, story.does()) == (State.DEBITED, ["settled", "probe_witness"])


def test_a_witness_of_another_amount_is_looked_at() -> None:
    story = debited()
    story.happens(ev.WitnessSeen(transaction_id="a1", amount=usd(1999)))
    assert (story.state, story.reviews, story.saga.payout) == (State.IN_REVIEW, ["witness_mismatch"], None)


def test_a_lost_acknowledgement_sends_the_same_payout_again_under_its_own_id() -> None:
    story = sending()
    first = story.saga.payout.id
    story.happens(ev.PayoutOutcomeUnknown(code="timeout", attempt=1))
    story.happens(ev.Woke(), after_s=60)
    assert (story.state, story.does(), story.saga.payout.id) == (State.B2C_UNKNOWN, ["submit"], first)
    assert story.saga.payout.attempts_closed == 1
    story.happens(ev.PayoutAccepted(conversation_id="AG_1"))
    assert story.state is State.AWAITING_RESULT


def test_a_payout_that_the_rail_forgot_to_send_again_is_told_again() -> None:
    story = sending()
    story.happens(ev.PayoutOutcomeUnknown(code="timeout", attempt=1))
    story.happens(ev.Woke(), after_s=60)
    story.happens(ev.Woke(), after_s=60)
    assert (story.state, story.does()) == (State.B2C_UNKNOWN, ["submit", "probe_payout"])
    assert (story.saga.payout.state, story.saga.payout.attempts_closed) == (OperationState.INTENT, 1)


def test_a_payout_that_is_sent_again_and_again_without_an_answer_is_asked_about_in_turns() -> None:
    story = sending()
    story.happens(ev.PayoutOutcomeUnknown(code="http_500", attempt=1))
    did = []
    for attempt in (2, 3):
        story.happens(ev.Woke(), after_s=60)
        did.append(story.does())
        story.happens(ev.PayoutOutcomeUnknown(code="http_500", attempt=attempt), after_s=1)
        story.happens(ev.Woke(), after_s=60)
        did.append(story.does())
    assert did == [["submit"], ["probe_payout"]] * 2
    story.happens(ev.PayoutPaid(receipt="SG1", source="status"))
    assert (story.state, story.clearing()) == (State.COMPLETED, 0)


def test_a_payout_without_an_acknowledgement_is_sent_again_for_a_day() -> None:
    story = sending()
    story.happens(ev.PayoutOutcomeUnknown(code="timeout", attempt=1))
    story.happens(ev.Woke(), after_s=Rules().unknown_max_s)
    assert (story.state, story.does()) == (State.B2C_UNKNOWN, ["submit"])
    story.happens(ev.Woke(), after_s=Rules().same_payout_id_s)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["payout_unknown"])


def test_a_payout_that_is_not_sent_again_is_with_a_person_within_four_hours() -> None:
    story = sending()
    story.happens(ev.PayoutOutcomeUnknown(code="timeout", attempt=1))
    story.happens(ev.Woke(), after_s=60)
    story.happens(ev.PayoutTimedOut(), after_s=30)
    story.happens(ev.Woke(), after_s=60)
    assert (story.state, story.does()) == (State.B2C_UNKNOWN, ["probe_payout"])
    story.happens(ev.Woke(), after_s=Rules().unknown_max_s)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["payout_unknown"])


def test_a_result_that_does_not_show_whose_it_is_has_the_status_asked_at_once() -> None:
    story = sending()
    story.happens(ev.PayoutClaimed(), after_s=1)
    assert (story.state, story.does()) == (State.B2C_UNKNOWN, ["probe_payout"])
    story.happens(ev.PayoutAccepted(conversation_id="AG_1"), after_s=1)
    story.happens(ev.PayoutPaid(receipt="SG1", source="status"), after_s=1)
    assert (story.state, story.clearing()) == (State.COMPLETED, 0)


def test_a_debit_that_was_begun_and_of_which_nobody_tells_is_with_a_person_within_four_hours() -> None:
    story = new()
    story.happens(ev.Woke(attempted=True), after_s=Rules().debit_max_s)
    assert (story.state, story.does()) == (State.DERIV_SENDING, ["submit"])
    story.happens(ev.Woke(attempted=True), after_s=Rules().unknown_max_s)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["debit_unknown"])


def test_a_frozen_customers_payout_that_was_never_acknowledged_is_asked_about_and_not_sent_again() -> None:
    story = sending()
    story.happens(ev.PayoutOutcomeUnknown(code="timeout", attempt=1))
    story.frozen = True
    result = story.happens(ev.Woke(), after_s=60)
    assert (story.state, story.does(), result.operations) == (State.B2C_UNKNOWN, ["probe_payout"], ())
    story.happens(ev.Woke(), after_s=Rules().unknown_max_s)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["payout_unknown"])


def test_whether_the_customer_is_frozen_is_asked_each_time_a_standing_payout_is_told_again() -> None:
    """The ledger refuses the intent of a frozen customer, and nobody else tells the saga."""
    story = sending()
    story.happens(ev.PayoutOutcomeUnknown(code="timeout", attempt=1))
    story.happens(ev.Woke(), after_s=60)
    result = story.happens(ev.Woke(), after_s=60)
    assert [(change.to, change.attempts_closed) for change in result.operations] == [(OperationState.INTENT, None)]


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (ev.PayoutAccepted(conversation_id="AG_2"), State.AWAITING_RESULT),
        (ev.PayoutHeld(code="float_low", attempt=2), State.B2C_HELD),
        (ev.PayoutOutcomeUnknown(code="timed_out", attempt=2), State.B2C_UNKNOWN),
    ],
)
def test_a_payout_that_was_asked_for_before_the_pause_and_sent_in_it_ends_like_any_other(
    end: ev.Event, state: State
) -> None:
    """A rail that was asked once more during the first attempt makes the next one as soon as the first has ended."""
    story = sending()
    story.happens(ev.PayoutHeld(code="rate_limited", attempt=1), after_s=12)
    assert story.state is State.B2C_HELD
    story.happens(end, after_s=1)
    assert story.state is state
    if state is State.B2C_HELD:
        assert story.saga.payout.attempts_closed == 2, "the rail makes no other one before it knows"


def test_a_payout_that_failed_for_good_is_brought_back_by_no_late_acknowledgement() -> None:
    story = failed_twice("1")
    assert story.state is State.B2C_HELD
    assert isinstance(story.happens(ev.PayoutAccepted(conversation_id="AG_1"), after_s=1), Ignored)


def test_a_frozen_customer_gets_no_other_payout_after_one_that_failed_for_our_cause() -> None:
    story = failed_twice("1")
    assert story.state is State.B2C_HELD
    story.frozen = True
    story.happens(ev.Woke(), after_s=Rules().held_retry_s)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["account_frozen"])
    assert (story.balance("customer:USD"), story.clearing()) == (-2000, 0)


def held() -> Story:
    story = sending()
    story.happens(ev.PayoutHeld(code="empty", attempt=1))
    return story


def returning() -> Story:
    return failed_twice("2040")


def return_lost() -> Story:
    story = returning()
    story.happens(ev.ReturnOutcomeUnknown(code="timeout", attempt=1))
    return story


@pytest.mark.parametrize(
    ("story", "event"),
    [
        (sending, ev.PayoutHeld(code="empty", attempt=1)),
        (sending, ev.Woke()),
        (held, ev.Woke()),
        (returning, ev.ReturnNotSent(code="away", attempt=1)),
        (returning, ev.ReturnRefused(code="empty", attempt=1, hold=True)),
        (returning, ev.Woke()),
        (return_lost, ev.ReturnAbsent(proof="statement", attempt=1)),
    ],
)
def test_what_a_frozen_customer_would_get_next_waits_for_two_people(
    story: Callable[[], Story], event: ev.Event
) -> None:
    told = story()
    told.frozen = True
    told.happens(event)
    assert (told.state, told.reviews) == (State.IN_REVIEW, ["account_frozen"])
    assert (told.balance("customer:USD"), told.clearing()) == (-2000, 0)


@pytest.mark.parametrize("story", [sending, returning])
def test_what_was_begun_before_the_customer_was_frozen_is_waited_for(story: Callable[[], Story]) -> None:
    told = story()
    state, told.frozen, told.attempted = told.state, True, True
    told.happens(ev.Woke(attempted=True), after_s=10)
    assert (told.state, told.does(), told.reviews) == (state, ["submit"], [])


def test_a_debit_that_never_left_is_not_repeated_for_a_frozen_customer() -> None:
    story = new()
    story.frozen = True
    story.happens(ev.DebitNotSent(code="away", attempt=1))
    assert (story.state, story.saga.failure_code, story.balances) == (State.FAILED, "account_frozen", {})


@pytest.mark.parametrize("conversation_id", ["AG_1", ""], ids=["with its id", "as one that it had already"])
def test_an_acknowledged_payout_whose_result_is_lost_is_with_a_person_within_four_hours(conversation_id: str) -> None:
    story = sending()
    story.happens(ev.PayoutOutcomeUnknown(code="timeout", attempt=1))
    story.happens(ev.PayoutAccepted(conversation_id=conversation_id))
    story.happens(ev.Woke(), after_s=600)
    story.happens(ev.Woke(), after_s=Rules().unknown_max_s - 1)
    assert (story.state, story.does()) == (State.B2C_UNKNOWN, ["probe_payout"])
    story.happens(ev.Woke(), after_s=60)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["payout_unknown"])
    assert story.clearing() == 2000


def test_a_return_of_unknown_outcome_is_with_a_person_within_four_hours() -> None:
    story = failed_twice("2040")
    story.happens(ev.Woke(), after_s=Rules().unknown_max_s + 60)
    assert story.state is State.RETURN_SENDING, "nothing was sent: it waits for the rail"
    story.happens(ev.ReturnOutcomeUnknown(code="dropped", attempt=1))
    story.happens(ev.Woke(), after_s=60)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["return_overdue"])


def test_a_queue_timeout_is_no_failure_and_the_result_wins() -> None:
    story = awaiting()
    story.happens(ev.PayoutTimedOut(), after_s=30)
    assert story.state is State.B2C_UNKNOWN
    story.happens(ev.PayoutPaid(receipt="SG1", source="result"), after_s=3600)
    assert story.state is State.COMPLETED


def test_questions_about_a_payout_that_time_out_keep_their_pace_and_its_end() -> None:
    story = sending()
    story.happens(ev.PayoutOutcomeUnknown(code="timeout", attempt=1))
    story.happens(ev.Woke(), after_s=60)
    story.happens(ev.PayoutTimedOut(), after_s=1)
    asked = 0
    while story.state is State.B2C_UNKNOWN:
        due = story.saga.next_wake_at
        assert isinstance(story.happens(ev.PayoutTimedOut(), after_s=20), Ignored)
        assert story.saga.next_wake_at == due
        story.happens(ev.Woke(), after_s=(due - story.at).total_seconds())
        asked += story.does().count("probe_payout")
    waited_s = (story.at - T0).total_seconds()
    assert waited_s < Rules().unknown_max_s + 120
    assert asked <= waited_s / Rules().refund_probe_s
    assert story.reviews == ["payout_unknown"]


def test_a_failed_result_alone_moves_nothing() -> None:
    story = awaiting()
    story.happens(ev.PayoutFailed(code="2040", at=story.at), after_s=5)
    assert (story.state, story.clearing()) == (State.B2C_UNKNOWN, 2000)
    story.happens(ev.PayoutNotCompleted(status="Declined", at=story.at), after_s=5)
    assert story.state is State.B2C_UNKNOWN, "the two must lie apart"


def test_a_payee_who_cannot_be_paid_gets_the_dollars_back() -> None:
    story = failed_twice("2040")
    assert (story.state, story.does(), story.balance("deriv_out:USD")) == (State.RETURN_SENDING, ["submit"], -2000)
    story.happens(ev.ReturnConfirmed(transaction_id="r1", proof="reply"))
    assert (story.state, story.clearing(), story.balance("deriv_agent:USD")) == (State.REVERSED, 0, 0)


def test_an_empty_float_waits_and_pays_later_under_a_new_id() -> None:
    story = failed_twice("1")
    first = story.saga.payout.id
    assert story.state is State.B2C_HELD
    story.happens(ev.Woke(), after_s=30)
    assert (story.state, story.does()) == (State.B2C_SENDING, ["submit"])
    assert story.saga.payout.id != first
    story.happens(ev.PayoutPaid(receipt="SG1", source="result"))
    assert (story.state, story.clearing()) == (State.COMPLETED, 0)


def test_bad_credentials_stop_all_payouts_at_the_first_hit() -> None:
    story = awaiting()
    story.happens(ev.PayoutFailed(code="2001", at=story.at), after_s=5)
    assert story.does() == ["stop_payouts"]


def test_a_success_after_the_dollars_went_back_is_looked_at() -> None:
    story = failed_twice("2040")
    story.happens(ev.ReturnConfirmed(transaction_id="r1", proof="reply"))
    story.happens(ev.PayoutPaid(receipt="SG1", source="result"))
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["contradicting_payout"])


def test_who_admits_the_next_one_hears_that_a_completed_withdrawal_is_open_again() -> None:
    story = awaiting()
    story.happens(ev.PayoutPaid(receipt="SG1", source="result"))
    assert (story.state, story.does()) == (State.COMPLETED, ["settled"])
    story.happens(ev.PayoutFailed(code="2040", at=story.at), after_s=5)
    assert (story.state, story.does()) == (State.IN_REVIEW, ["settled"])


def test_what_the_status_confirms_of_it_is_our_loss() -> None:
    story = failed_twice("2040")
    story.happens(ev.ReturnConfirmed(transaction_id="r1", proof="reply"))
    story.happens(ev.PayoutPaid(receipt="SG1", source="result"))
    assert (story.does(), story.balance("mpesa_utility:KES")) == (["settled", "probe_payout"], 0)
    story.happens(ev.PayoutPaid(receipt="SG1", source="status"))
    assert (story.balance("mpesa_utility:KES"), story.balance("write_off:KES")) == (-249_000, 249_000)
    assert isinstance(story.happens(ev.PayoutPaid(receipt="SG1", source="status")), Ignored)
    story.happens(ev.StaffClosed(approval="a,b"))
    assert story.state is State.COMPLETED


def test_a_lost_return_is_resolved_by_the_statement() -> None:
    story = failed_twice("2040")
    story.happens(ev.ReturnOutcomeUnknown(code="dropped", attempt=1))
    assert (story.state, story.does()) == (State.RETURN_SENDING, ["resolve"])
    story.happens(ev.Woke(), after_s=30)
    assert story.does() == ["resolve"]
    story.happens(ev.ReturnAbsent(proof="two reads", attempt=1), after_s=700)
    assert story.does() == ["submit"]
    story.happens(ev.ReturnOutcomeUnknown(code="dropped", attempt=2))
    assert isinstance(story.happens(ev.ReturnAbsent(proof="two reads", attempt=1), after_s=1), Ignored)
    assert story.state is State.RETURN_SENDING, "the first attempt's absence says nothing about the second"
    story.happens(ev.ReturnAbsent(proof="two reads", attempt=2), after_s=700)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["return_unknown_twice"])


def test_dollars_that_somebody_else_got_back_are_our_loss_and_a_person_looks() -> None:
    story = failed_twice("2040")
    another = ev.ReturnPaidAnother(transaction_id="r1", loginid="CR2", attempt=1)
    story.happens(another)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["contradicting_return"])
    assert (story.balance("deriv_agent:USD"), story.balance("write_off:USD")) == (0, 2000)
    assert (story.clearing(), story.balance("customer:USD")) == (0, -2000)
    assert isinstance(story.happens(another), Ignored)
    found = ev.ReturnConfirmed(transaction_id="r1", proof="statement")
    assert isinstance(story.happens(found), Ignored), "the statement shows what Deriv said of somebody else"
    story.happens(ev.StaffReturned(approval="a,b"))
    story.happens(ev.ReturnConfirmed(transaction_id="r2", proof="reply"))
    assert (story.state, story.balance("customer:USD")) == (State.REVERSED, 0)


def return_given_up() -> Story:
    """Two people said that the return did nothing."""
    story = failed_twice("2040")
    story.happens(ev.ReturnOutcomeUnknown(code="timed_out", attempt=1))
    story.happens(ev.ReturnAmbiguous(proof="two rows"))
    story.happens(ev.StaffProved(executed=False, reference="", approval="a,b"))
    assert (story.state, story.balance("customer:USD")) == (State.IN_REVIEW, -2000)
    return story


def returned(transaction_id: str = "r1") -> ev.ReturnConfirmed:
    return ev.ReturnConfirmed(transaction_id=transaction_id, proof="reply")


def to_another(transaction_id: str = "r1") -> ev.ReturnPaidAnother:
    return ev.ReturnPaidAnother(transaction_id=transaction_id, loginid="CR2", attempt=1)


def test_a_return_that_succeeds_after_people_settled_by_hand_is_booked_and_looked_at() -> None:
    story = return_given_up()
    story.happens(ev.StaffSettled(reference="HAND1", approval="a,b"))
    story.happens(returned())
    assert (story.state, story.reviews[-1]) == (State.IN_REVIEW, "contradicting_return")
    assert (story.balance("deriv_agent:USD"), story.balance("write_off:USD")) == (-2000, 2000)


def test_a_return_that_succeeds_before_the_payout_is_sent_takes_its_dollars() -> None:
    story = return_given_up()
    story.happens(ev.StaffPaid(approval="a,b"))
    story.happens(returned())
    assert (story.state, story.saga.payout.state) == (State.IN_REVIEW, OperationState.WITHDRAWN)
    assert (story.balance("deriv_agent:USD"), story.balance("customer:USD"), story.clearing()) == (0, 0, 0)
    assert story.balance("write_off:USD") == 0
    story.happens(ev.StaffClosed(approval="a,b"))
    assert story.state is State.REVERSED


def paying_again() -> Story:
    story = return_given_up()
    story.happens(ev.StaffPaid(approval="a,b"))
    story.attempted = True
    return story


def payout_accepted() -> Story:
    story = paying_again()
    story.happens(ev.PayoutAccepted(conversation_id="AG_2"))
    return story


def payout_unknown() -> Story:
    story = paying_again()
    story.happens(ev.PayoutOutcomeUnknown(code="timed_out", attempt=1))
    return story


@pytest.mark.parametrize("story", [paying_again, payout_accepted, payout_unknown])
@pytest.mark.parametrize("late", [returned(), to_another()])
def test_dollars_that_left_after_another_payout_was_sent_are_our_loss_and_stay_a_question(
    story: Callable[[], Story], late: ev.Event
) -> None:
    told = story()
    told.happens(late)
    assert (told.state, told.reviews[-1]) == (State.IN_REVIEW, "contradicting_return")
    assert (told.balance("write_off:USD"), told.balance("b2c_out:USD")) == (2000, -2000)
    told.happens(ev.PayoutPaid(receipt="NLJ0000009", source="result"))
    assert (told.state, told.clearing(), told.questions) == (State.IN_REVIEW, 0, ["contradicting_return"])
    told.happens(ev.StaffClosed(approval="a,b"))
    assert told.state is State.COMPLETED


def test_dollars_that_somebody_else_got_are_told_while_another_payout_waits() -> None:
    story = return_given_up()
    story.happens(ev.StaffPaid(approval="a,b"))
    story.happens(ev.PayoutHeld(code="away", attempt=1))
    story.happens(to_another())
    assert (story.state, story.balance("write_off:USD"), story.balance("customer:USD")) == (
        State.IN_REVIEW,
        2000,
        -2000,
    )


@pytest.mark.parametrize("decision", [ev.StaffPaid(approval="a,b"), ev.StaffReturned(approval="a,b")])
def test_a_decision_to_pay_or_to_give_back_answers_what_it_was_asked(decision: ev.Event) -> None:
    story = return_given_up()
    assert story.questions == ["return_ambiguous"]
    story.happens(decision)
    assert story.questions == []


def test_a_return_that_is_told_again_after_another_one_is_booked_once() -> None:
    story = failed_twice("2040")
    story.happens(returned("r2"))
    story.happens(returned("r1"))
    assert (story.state, story.balance("write_off:USD")) == (State.IN_REVIEW, 2000)
    for known in ("r2", "r1"):
        assert isinstance(story.happens(returned(known)), Ignored)
    for one in ("r2", "r3", "r2", "r3"):
        story.happens(to_another(one))
    assert story.balance("write_off:USD") == 4000


def test_one_transfer_by_hand_settles_what_was_set_aside_and_the_rest() -> None:
    story = debited()
    story.happens(ev.WitnessSeen(transaction_id="a1", amount=usd(2100)))
    story.happens(ev.StaffSettled(reference="HAND1", approval="a,b"))
    assert (story.state, story.balance("deriv_agent:USD"), story.balance("suspense:USD")) == (State.REVERSED, 0, 0)


def test_a_surplus_that_was_given_back_by_hand_is_told_twice_and_the_rest_stays_the_customers() -> None:
    """The answer to the first telling was lost."""
    story = debited()
    story.happens(ev.WitnessSeen(transaction_id="a1", amount=usd(2100)))
    surplus = ev.StaffSettled(reference="HAND1", approval="a,b", surplus_only=True)
    story.happens(surplus)
    assert isinstance(story.happens(surplus), Ignored)
    assert (story.state, story.balance("suspense:USD"), story.balance("customer:USD")) == (State.IN_REVIEW, 0, -2000)


def test_a_debit_that_people_found_is_told_twice_and_does_not_arrive_by_that() -> None:
    """The answer to the first telling was lost. Each side of Deriv's books has an id of its own."""
    story = new()
    story.happens(ev.DebitOutcomeUnknown(code="timed_out", attempt=1))
    story.happens(ev.Woke(), after_s=20_000)
    found = ev.StaffProved(executed=True, reference="c1", approval="a,b")
    story.happens(found)
    assert (story.state, story.saga.money_at) == (State.IN_REVIEW, "deriv_in")
    assert isinstance(story.happens(found), Ignored)
    assert story.saga.money_at == "deriv_in"
    story.happens(ev.StaffProved(executed=True, reference="a1", approval="a,b"))
    assert story.saga.money_at == "customer"


def test_a_frozen_customers_dollars_are_booked_and_nothing_is_paid() -> None:
    story = debited()
    story.frozen = True
    story.happens(ev.WitnessSeen(transaction_id="a1", amount=SEND))
    assert (story.state, story.balance("customer:USD"), story.saga.payout) == (State.IN_REVIEW, -2000, None)


def test_a_parked_withdrawal_takes_its_unsent_payout_back_and_staff_may_pay_again() -> None:
    story = sending()
    story.happens(ev.Parked(error="KeyError"))
    assert (story.state, story.balance("customer:USD"), story.clearing()) == (State.IN_REVIEW, -2000, 0)
    story.happens(ev.StaffPaid(approval="a,b"))
    story.happens(ev.PayoutPaid(receipt="SG1", source="result"))
    assert (story.state, story.clearing()) == (State.COMPLETED, 0)


def test_cancel_works_only_before_the_debit() -> None:
    early, late = new(), debited()
    early.happens(ev.CancelRequested())
    assert early.state is State.FAILED
    assert late.happens(ev.CancelRequested()) == Rejected("not_cancellable")


def test_a_second_identical_result_changes_nothing() -> None:
    story = awaiting()
    story.happens(ev.PayoutPaid(receipt="SG1", source="result"))
    assert isinstance(story.happens(ev.PayoutPaid(receipt="SG1", source="status")), Ignored)


@pytest.mark.parametrize("source", ["result", "status"])
def test_a_second_receipt_of_a_completed_payout_is_looked_at_and_books_nothing(source: str) -> None:
    story = awaiting()
    story.happens(ev.PayoutPaid(receipt="SG1", source="result"))
    booked = dict(story.balances)
    story.happens(ev.PayoutPaid(receipt="SG2", source=source))
    assert (story.state, story.reviews, story.saga.receipt) == (State.IN_REVIEW, ["contradicting_payout"], "SG1")
    assert story.balances == booked
    assert isinstance(story.happens(ev.PayoutPaid(receipt="SG1", source="status")), Ignored)
    story.happens(ev.StaffClosed(approval="a,b"))
    assert story.state is State.COMPLETED


@pytest.mark.parametrize(
    ("shillings", "fee"), [(100, 0), (101, 5), (1_500, 5), (1_501, 9), (5_001, 11), (20_001, 13), (250_000, 13)]
)
def test_the_fee_is_the_tariffs(shillings: int, fee: int) -> None:
    assert payout_fee(kes(shillings * 100)) == kes(fee * 100)


def test_every_state_and_event_has_its_place() -> None:
    assert TRANSITIONS.keys() == set(State) == STATUS.keys()
    assert {event for row in TRANSITIONS.values() for event in row} == set(HANDLERS)


amounts = st.sampled_from([SEND, SEND, SEND, usd(1)])
attempts = st.integers(min_value=1, max_value=3)
codes = st.sampled_from(["1", "2040", "2001", "17"])
times = st.sampled_from([T0, T0 + timedelta(hours=1), T0 + timedelta(hours=9)])
things: st.SearchStrategy[Any] = st.one_of(
    st.builds(ev.DebitConfirmed, transaction_id=st.sampled_from(["c1", "c2"]), amount=amounts, proof=st.just("reply")),
    st.builds(ev.DebitRefused, code=st.just("x"), attempt=attempts),
    st.builds(ev.DebitNotSent, code=st.just("x"), attempt=attempts),
    st.builds(ev.DebitOutcomeUnknown, code=st.just("x"), attempt=attempts),
    st.builds(ev.DebitAbsent, proof=st.just("x")),
    st.builds(ev.DebitAmbiguous, proof=st.just("x")),
    st.builds(
        ev.WitnessSeen, transaction_id=st.sampled_from(["a1", "a2"]), amount=st.sampled_from([SEND, usd(1), usd(2100)])
    ),
    st.builds(ev.PayoutAccepted, conversation_id=st.just("AG")),
    st.builds(ev.PayoutHeld, code=st.just("x"), attempt=attempts),
    st.builds(ev.PayoutOutcomeUnknown, code=st.just("x"), attempt=attempts),
    st.builds(ev.PayoutPaid, receipt=st.sampled_from(["S1", "S2"]), source=st.just("result")),
    st.builds(ev.PayoutFailed, code=codes, at=times),
    st.builds(ev.PayoutTimedOut),
    st.builds(ev.PayoutClaimed),
    st.builds(ev.PayoutNotCompleted, status=st.just("Declined"), at=times),
    st.builds(ev.ReturnConfirmed, transaction_id=st.sampled_from(["r1", "r2"]), proof=st.just("reply")),
    st.builds(
        ev.ReturnPaidAnother,
        transaction_id=st.sampled_from(["r1", "r2", "H1"]),
        loginid=st.just("CR2"),
        attempt=attempts,
    ),
    st.builds(ev.ReturnRefused, code=st.just("x"), attempt=attempts, hold=st.booleans()),
    st.builds(ev.ReturnNotSent, code=st.just("x"), attempt=attempts),
    st.builds(ev.ReturnOutcomeUnknown, code=st.just("x"), attempt=attempts),
    st.builds(ev.ReturnAbsent, proof=st.just("x"), attempt=st.integers(1, 2)),
    st.builds(ev.ReturnAmbiguous, proof=st.just("x")),
    st.builds(ev.CancelRequested),
    st.builds(ev.Woke, attempted=st.booleans()),
    st.builds(ev.Parked, error=st.just("x")),
    st.builds(ev.StaffPaid, approval=st.just("a,b")),
    st.builds(ev.StaffReturned, approval=st.just("a,b")),
    st.builds(
        ev.StaffProved,
        executed=st.booleans(),
        reference=st.sampled_from(["c1", "a1", "S1", "r1"]),
        approval=st.just("a,b"),
        arrived=st.sampled_from([None, SEND, usd(1)]),
    ),
    st.builds(
        ev.StaffSettled,
        reference=st.sampled_from(["H1", "H2"]),
        approval=st.just("a,b"),
        surplus_only=st.booleans(),
    ),
    st.builds(ev.StaffClosed, approval=st.just("a,b")),
)


def decided_by_people(story: Any) -> None:
    """Nobody knows more than that nothing was executed; dollars on their way to us are found, or given back there."""
    for number in range(4):
        story.happens(ev.StaffProved(executed=False, reference="", approval="a,b"))
        if story.saga.money_at == "deriv_in" and story.ids % 2:
            story.happens(ev.StaffProved(executed=True, reference=f"FOUND{number}", approval="a,b"))
        story.happens(ev.StaffSettled(reference=f"HAND{number}", approval="a,b"))
        story.happens(ev.StaffClosed(approval="a,b"))


starts = st.sampled_from([new, debited, sending, awaiting, lambda: failed_twice("2040"), lambda: failed_twice("1")])


@settings(max_examples=400, deadline=None)
@given(
    starts,
    st.lists(st.tuples(things, st.sampled_from([0, 5, 61, 700, 20_000]), st.integers(0, 8)), max_size=12),
)
def test_no_order_of_events_breaks_the_books(start: Any, history: list[tuple[Any, int, int]]) -> None:
    story = start()
    for event, after_s, chance in history:
        story.frozen, story.attempted = chance == 0, chance == 1
        over = story.state in FINAL
        story.happens(event, after_s=after_s)
        assert not over or story.state in FINAL or "settled" in story.does(), "nobody hears that it is open again"
        for currency in ("KES", "USD"):
            assert sum(minor for account, minor in story.balances.items() if account.endswith(currency)) == 0
        if story.state is State.FAILED:
            assert not {"debited"} & story.keys, "FAILED while dollars were booked"
        if story.saga.set_aside is not None:
            assert story.saga.money_at == "customer", "only beside dollars that stand here, so nobody has had them"
        if story.state in FINAL:
            assert (story.clearing(), story.balance("customer:USD"), story.balance("suspense:USD")) == (0, 0, 0)
            assert tells_its_end(story), story.saga
        elif story.state is not State.IN_REVIEW:
            assert story.saga.next_wake_at is not None, f"{story.state} waits for nothing"
    assert story.edges <= edges()
    if story.state is State.IN_REVIEW:
        story.frozen = False
        decided_by_people(story)
        assert story.state in FINAL, f"people have no exit: {story.saga}"
        assert tells_its_end(story), story.saga


def test_dollars_that_never_arrived_at_ours_are_found_by_people_and_go_back() -> None:
    story = debited()
    story.happens(ev.Woke(), after_s=20_000)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["witness_missing"])
    story.happens(ev.StaffProved(executed=True, reference="a9", approval="a,b"))
    story.happens(ev.StaffReturned(approval="a,b"))
    story.happens(ev.ReturnConfirmed(transaction_id="r1", proof="reply"))
    assert (story.state, story.clearing()) == (State.REVERSED, 0)


def never_arrived() -> Story:
    story = debited()
    story.happens(ev.Woke(), after_s=20_000)
    return story


def test_dollars_that_deriv_itself_gave_back_leave_nothing_in_the_books_and_pay_nobody() -> None:
    story = never_arrived()
    story.happens(ev.StaffSettled(reference="u1", approval="a,b"))
    assert (story.state, story.saga.money_at, story.questions) == (State.REVERSED, "gone", [])
    assert not any(story.balances.values())
    assert (story.saga.payout, story.saga.back, story.does()) == (None, None, [])
    assert story.saga.return_transaction_id == "u1"
    assert story.saga.completed_at == story.at
    # It moved nothing on the agent's account: whoever compares that with Deriv's list does not look for it there.
    assert {kind for kind, ref in story.references if ref == "u1"} == {"deriv_debit"}
    assert isinstance(story.happens(ev.StaffSettled(reference="u1", approval="a,b")), Ignored)


def test_the_id_of_the_debit_does_not_say_that_its_dollars_are_back() -> None:
    story = never_arrived()
    debit = story.saga.debit_transaction_id
    assert debit
    assert isinstance(story.happens(ev.StaffSettled(reference=debit, approval="a,b")), Ignored)
    assert (story.state, story.saga.money_at) == (State.IN_REVIEW, "deriv_in")


def test_dollars_that_are_on_their_way_to_us_are_no_surplus() -> None:
    story = never_arrived()
    settled = ev.StaffSettled(reference="u1", approval="a,b", surplus_only=True)
    assert isinstance(story.happens(settled), Ignored)
    assert story.balance("deriv_in:USD") == 2000


def test_the_end_of_a_payout_does_not_answer_what_another_ones_callback_asks() -> None:
    story = awaiting()
    story.questions = ["evidence_unusable"]
    story.happens(ev.PayoutPaid(receipt="SG1", source="result"))
    assert (story.state, story.questions) == (State.COMPLETED, ["evidence_unusable"])


def test_a_payout_without_an_outcome_is_settled_by_what_people_know() -> None:
    story = awaiting()
    story.happens(ev.Woke(), after_s=601)
    story.happens(ev.Woke(), after_s=20_000)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["payout_unknown"])
    story.happens(ev.StaffProved(executed=True, reference="SG1", approval="a,b"))
    assert (story.state, story.saga.receipt, story.clearing()) == (State.COMPLETED, "SG1", 0)


@pytest.mark.parametrize(("arrived", "stands"), [(1900, {"write_off": 100}), (2100, {"suspense": -100})])
def test_what_arrived_of_a_debit_is_booked_and_people_decide(arrived: int, stands: dict[str, int]) -> None:
    story = debited()
    story.happens(ev.WitnessSeen(transaction_id="a1", amount=usd(arrived)))
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["witness_mismatch"])
    found = {name: story.balance(f"{name}:USD") for name in ("write_off", "suspense") if story.balance(f"{name}:USD")}
    assert (found, story.balance("deriv_agent:USD"), story.balance("customer:USD")) == (stands, arrived, -2000)
    if arrived > 2000:
        assert isinstance(story.happens(ev.StaffPaid(approval="a,b")), Ignored), "the surplus is settled first"
        story.happens(ev.StaffSettled(reference="HAND1", approval="a,b", surplus_only=True))
    story.happens(ev.StaffPaid(approval="a,b"))
    story.happens(ev.PayoutPaid(receipt="SG1", source="result"))
    assert (story.state, story.clearing()) == (State.COMPLETED, 0)
