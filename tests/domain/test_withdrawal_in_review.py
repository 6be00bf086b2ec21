"""A withdrawal in review: what was under way when the question came still ends, and nothing is paid twice.

Each row of the table is one situation, one thing that is told then, and what stands afterwards.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

from penpay.domain import withdrawal_events as ev
from penpay.domain.rules import Rules
from penpay.domain.unit import OperationState
from penpay.domain.withdrawal import TRANSITIONS, State
from tests.domain.books import Story
from tests.domain.test_withdrawal_rules import SEND, awaiting, debited, failed_twice, new, sending

APART_S = Rules().second_evidence_s


def asked(story: Story) -> Story:
    """People are asked while a rail has made an attempt: it cannot be taken back."""
    story.attempted = True
    story.happens(ev.Parked(error="x"))
    story.attempted = False
    assert (story.state, story.questions) == (State.IN_REVIEW, ["parked"])
    return story


def sent_again() -> Story:
    """The first attempt of a payout is unknown; the intent of the second stands."""
    story = sending()
    story.happens(ev.PayoutOutcomeUnknown(code="dropped", attempt=1))
    story.happens(ev.Woke(), after_s=60)
    assert (story.saga.payout.state, story.saga.payout.attempts_closed) == (OperationState.INTENT, 1)
    return story


def unknown_payout() -> Story:
    story = sending()
    story.happens(ev.PayoutOutcomeUnknown(code="dropped", attempt=1))
    return story


def failed_once() -> Story:
    story = awaiting()
    story.happens(ev.PayoutFailed(code="2040", at=story.at))
    return story


def returning() -> Story:
    return failed_twice("2040")


def unknown_return() -> Story:
    story = returning()
    story.happens(ev.ReturnOutcomeUnknown(code="dropped", attempt=1))
    return story


def unknown_debit() -> Story:
    story = new()
    story.happens(ev.DebitOutcomeUnknown(code="dropped", attempt=1))
    return story


SITUATIONS: Mapping[str, tuple[Callable[[], Story], str]] = {
    "debit": (new, "debit"),
    "unknown debit": (unknown_debit, "debit"),
    "payout": (sending, "payout"),
    "payout sent again": (sent_again, "payout"),
    "accepted payout": (awaiting, "payout"),
    "unknown payout": (unknown_payout, "payout"),
    "failed payout": (failed_once, "payout"),
    "return": (returning, "back"),
    "unknown return": (unknown_return, "back"),
}
"""What was under way, and the field that holds it. Each is asked about while its rail has made an attempt."""

LATER = timedelta(seconds=2 * APART_S)
DEBITED = ev.DebitConfirmed(transaction_id="c1", amount=SEND, proof="reply")
PAID = ev.PayoutPaid(receipt="SG1", source="result")
RETURNED = ev.ReturnConfirmed(transaction_id="r1", proof="reply")
DECLINED = ev.PayoutNotCompleted(status="Declined", at=awaiting().at + LATER)
FAILED = ev.PayoutFailed(code="2040", at=awaiting().at)

# situation, event: state of the saga, of the operation, where the dollars stand ("" none, gone), and what is done
TABLE: tuple[tuple[str, ev.Event, str, str, str, list[str]], ...] = (
    ("debit", DEBITED, "IN_REVIEW", "CONFIRMED", "deriv_in", ["probe_witness"]),
    ("debit", ev.DebitRefused(code="x", attempt=1), "IN_REVIEW", "REFUSED", "", []),
    ("debit", ev.DebitNotSent(code="x", attempt=1), "IN_REVIEW", "REFUSED", "", []),
    ("debit", ev.DebitOutcomeUnknown(code="x", attempt=1), "IN_REVIEW", "UNKNOWN", "", []),
    ("unknown debit", DEBITED, "IN_REVIEW", "CONFIRMED", "deriv_in", ["probe_witness"]),
    ("unknown debit", ev.DebitRefused(code="x", attempt=1), "IN_REVIEW", "UNKNOWN", "", []),
    ("unknown debit", ev.DebitNotSent(code="x", attempt=2), "IN_REVIEW", "UNKNOWN", "", []),
    ("payout", ev.PayoutAccepted(conversation_id="AG_1"), "IN_REVIEW", "SENT", "b2c_out", []),
    ("payout", ev.PayoutHeld(code="x", attempt=1), "IN_REVIEW", "REFUSED", "customer", []),
    ("payout", ev.PayoutHeld(code="x", attempt=2), "IN_REVIEW", "INTENT", "b2c_out", []),
    ("payout", ev.PayoutOutcomeUnknown(code="x", attempt=1), "IN_REVIEW", "UNKNOWN", "b2c_out", []),
    ("payout", ev.PayoutTimedOut(), "IN_REVIEW", "UNKNOWN", "b2c_out", ["probe_payout"]),
    ("payout", ev.PayoutClaimed(), "IN_REVIEW", "UNKNOWN", "b2c_out", ["probe_payout"]),
    ("payout", PAID, "COMPLETED", "CONFIRMED", "gone", ["settled"]),
    ("payout", FAILED, "IN_REVIEW", "UNKNOWN", "b2c_out", []),
    ("payout", ev.PayoutFailed(code="2001", at=awaiting().at), "IN_REVIEW", "UNKNOWN", "b2c_out", ["stop_payouts"]),
    ("payout", DECLINED, "IN_REVIEW", "INTENT", "b2c_out", []),
    ("payout sent again", ev.PayoutHeld(code="x", attempt=2), "IN_REVIEW", "INTENT", "b2c_out", []),
    ("payout sent again", ev.PayoutHeld(code="x", attempt=1), "IN_REVIEW", "INTENT", "b2c_out", []),
    ("payout sent again", PAID, "COMPLETED", "CONFIRMED", "gone", ["settled"]),
    ("accepted payout", ev.PayoutHeld(code="x", attempt=1), "IN_REVIEW", "SENT", "b2c_out", []),
    ("accepted payout", PAID, "COMPLETED", "CONFIRMED", "gone", ["settled"]),
    ("accepted payout", FAILED, "IN_REVIEW", "UNKNOWN", "b2c_out", []),
    ("accepted payout", DECLINED, "IN_REVIEW", "SENT", "b2c_out", []),
    ("unknown payout", ev.PayoutHeld(code="x", attempt=1), "IN_REVIEW", "UNKNOWN", "b2c_out", []),
    ("unknown payout", ev.PayoutAccepted(conversation_id="AG_1"), "IN_REVIEW", "SENT", "b2c_out", []),
    ("unknown payout", ev.PayoutClaimed(), "IN_REVIEW", "UNKNOWN", "b2c_out", ["probe_payout"]),
    ("unknown payout", ev.PayoutPaid(receipt="SG1", source="status"), "COMPLETED", "CONFIRMED", "gone", ["settled"]),
    ("failed payout", DECLINED, "IN_REVIEW", "REFUSED", "customer", []),
    ("failed payout", ev.PayoutNotCompleted(status="x", at=awaiting().at), "IN_REVIEW", "UNKNOWN", "b2c_out", []),
    ("failed payout", PAID, "COMPLETED", "CONFIRMED", "gone", ["settled"]),
    ("return", RETURNED, "REVERSED", "CONFIRMED", "gone", ["settled"]),
    ("return", ev.ReturnRefused(code="x", attempt=1), "IN_REVIEW", "REFUSED", "customer", []),
    ("return", ev.ReturnRefused(code="x", attempt=1, hold=True), "IN_REVIEW", "REFUSED", "customer", []),
    ("return", ev.ReturnNotSent(code="x", attempt=1), "IN_REVIEW", "REFUSED", "customer", []),
    ("return", ev.ReturnNotSent(code="x", attempt=2), "IN_REVIEW", "INTENT", "deriv_out", []),
    ("return", ev.ReturnOutcomeUnknown(code="x", attempt=1), "IN_REVIEW", "UNKNOWN", "deriv_out", []),
    (
        "return",
        ev.ReturnPaidAnother(transaction_id="r1", loginid="CR2", attempt=1),
        "IN_REVIEW",
        "REFUSED",
        "customer",
        [],
    ),
    ("unknown return", RETURNED, "REVERSED", "CONFIRMED", "gone", ["settled"]),
    ("unknown return", ev.ReturnRefused(code="x", attempt=1), "IN_REVIEW", "UNKNOWN", "deriv_out", []),
    ("unknown return", ev.ReturnNotSent(code="x", attempt=2), "IN_REVIEW", "UNKNOWN", "deriv_out", []),
)
PEOPLES = {ev.DebitAbsent, ev.DebitAmbiguous, ev.ReturnAbsent, ev.ReturnAmbiguous}
"""Answers to searches that the saga asked for: in review nobody waits for them, people prove what they find."""
ELSEWHERE = {ev.WitnessSeen}
"""What arrived of a debit has tests of its own."""


def evidence() -> set[type[ev.Event]]:
    """Every kind that any state of a withdrawal takes from a rail, a callback or a statement."""
    told = {kind for row in TRANSITIONS.values() for kind in row}
    people = {kind for kind in told if kind.__name__.startswith("Staff")}
    return told - people - {ev.Woke, ev.Parked, ev.DebitStarted, ev.CancelRequested}


def test_the_table_has_every_kind_of_evidence() -> None:
    assert {type(row[1]) for row in TABLE} | PEOPLES | ELSEWHERE == evidence()
    assert not PEOPLES & TRANSITIONS[State.IN_REVIEW].keys()


@pytest.mark.parametrize(("situation", "event", "state", "operation", "stands", "does"), TABLE)
def test_what_was_under_way_when_people_were_asked_ends(
    situation: str, event: ev.Event, state: str, operation: str, stands: str, does: list[str]
) -> None:
    begun, slot = SITUATIONS[situation]
    story = asked(begun())
    story.effects = []
    story.happens(event)
    found = (story.state, getattr(story.saga, slot).state, story.saga.money_at, story.does())
    assert found == (state, operation, stands, does)
    if stands not in {"", "gone"}:
        assert abs(story.balance(f"{stands}:USD")) == SEND.minor
    if state != "IN_REVIEW":
        assert (story.questions, story.clearing()) == ([], 0)
        return
    story.happens(ev.StaffReturned(approval="a,b"))
    assert (story.state is State.RETURN_SENDING) == (stands == "customer"), "people give back what is free, and no more"


@pytest.mark.parametrize(("event", "after_s"), [(ev.Woke(), Rules().same_payout_id_s), (ev.Parked(error="x"), 1)])
def test_a_payout_that_may_have_been_taken_keeps_its_dollars_held_when_people_are_asked(
    event: ev.Event, after_s: float
) -> None:
    """No rail has begun the second attempt: its intent is taken back, and the first is as unknown as it was."""
    story = sent_again()
    story.happens(event, after_s=after_s)
    assert (story.state, story.saga.payout.state) == (State.IN_REVIEW, OperationState.UNKNOWN)
    assert (story.balance("b2c_out:USD"), story.balance("customer:USD")) == (-2000, 0)
    for decision in (ev.StaffReturned(approval="a,b"), ev.StaffPaid(approval="a,b")):
        story.happens(decision)
        assert story.state is State.IN_REVIEW
    story.happens(PAID)
    assert (story.state, story.clearing()) == (State.COMPLETED, 0)


def test_questions_about_a_payout_that_time_out_in_review_bring_no_other() -> None:
    story = asked(unknown_payout())
    result = story.happens(ev.PayoutTimedOut())
    assert not getattr(result, "effects", ())


def test_a_failed_result_of_a_payout_that_is_over_is_no_news() -> None:
    story = asked(failed_once())
    story.happens(DECLINED)
    story.happens(ev.PayoutFailed(code="2040", at=story.at), after_s=5)
    assert (story.questions, story.balance("customer:USD")) == (["parked"], -2000)


def test_a_success_after_a_refusal_in_review_moves_nothing_until_the_status_tells() -> None:
    story = asked(sending())
    story.happens(ev.PayoutHeld(code="x", attempt=1))
    story.happens(PAID)
    assert (story.state, story.does(), story.balance("mpesa_utility:KES")) == (State.IN_REVIEW, ["probe_payout"], 0)
    story.happens(ev.PayoutPaid(receipt="SG1", source="status"))
    assert (story.balance("customer:USD"), story.balance("mpesa_utility:KES")) == (0, -249_000)


CLOSED = ev.StaffClosed(approval="a,b")
SETTLED = ev.StaffSettled(reference="HAND1", approval="a,b")
NOT_DONE = ev.StaffProved(executed=False, reference="", approval="a,b")


@pytest.mark.parametrize(
    ("begun", "decided", "state", "code"),
    [
        (unknown_debit, [NOT_DONE, CLOSED], State.FAILED, "closed_by_review"),
        (unknown_payout, [NOT_DONE, SETTLED], State.REVERSED, "returned_by_review"),
        (unknown_return, [NOT_DONE, SETTLED], State.REVERSED, "payout_refused"),
        (debited, [SETTLED], State.REVERSED, "debit_undone"),
        (unknown_payout, [ev.StaffProved(executed=True, reference="SG1", approval="a,b")], State.COMPLETED, ""),
    ],
)
def test_the_customer_is_told_the_end_that_people_decided_or_its_cause_and_not_their_question(
    begun: Callable[[], Story], decided: list[ev.Event], state: State, code: str
) -> None:
    story = asked(begun())
    for event in decided:
        story.happens(event)
    assert (story.state, story.saga.failure_code) == (state, code)
