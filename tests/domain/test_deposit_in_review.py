"""A deposit in review: what was under way when the question came still ends, and nothing is given twice.

Each row of the table is one situation, one thing that is told then, and what stands afterwards.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from penpay.domain import deposit_events as ev
from penpay.domain.deliveries import Delivery
from penpay.domain.deposit import TRANSITIONS, State
from tests.domain.books import RECEIVE, SEND, T0, Story
from tests.domain.test_deposit_rules import accepted, callback, confirmed, paid, started, to_another


def asked(story: Story) -> Story:
    """People are asked while a rail has made an attempt: it cannot be taken back."""
    story.attempted = True
    story.happens(ev.Parked(error="x"))
    story.attempted = False
    assert (story.state, story.questions) == (State.IN_REVIEW, ["parked"])
    return story


def claimed() -> Story:
    """A payment is claimed, by somebody who may know, before the push was acknowledged."""
    story = started()
    story.happens(callback("CLAIM12345", trusted=False, checkout_request_id="ws_1"))
    assert story.saga.held_receipt == "CLAIM12345"
    return story


def unknown_transfer() -> Story:
    story = paid()
    story.happens(ev.DerivOutcomeUnknown(code="silent", attempt=1))
    return story


def refunding() -> Story:
    story = paid()
    story.happens(ev.DerivRefused(code="x", attempt=1))
    assert story.state is State.REFUND_SENDING
    return story


def unknown_refund() -> Story:
    story = refunding()
    story.happens(ev.RefundOutcomeUnknown(code="silent"))
    return story


SITUATIONS: Mapping[str, tuple[Callable[[], Story], str]] = {
    "push": (started, "stk"),
    "claimed push": (claimed, "stk"),
    "accepted push": (accepted, "stk"),
    "transfer": (paid, "transfer"),
    "unknown transfer": (unknown_transfer, "transfer"),
    "refund": (refunding, "refund"),
    "unknown refund": (unknown_refund, "refund"),
}
"""What was under way, and the field that holds it. Each is asked about while its rail has made an attempt."""

OURS = ev.StkAccepted(checkout_request_id="ws_1", pushed_at=T0)
NO = ev.MpesaRefused(source="callback", code="1032", final=True)
REVERSED = ev.RefundConfirmed(receipt="REV1")

# situation, event: state of the saga, of the operation, where the shillings stand ("" none, gone), and what is done
TABLE: tuple[tuple[str, ev.Event, str, str, str, list[str]], ...] = (
    ("push", OURS, "IN_REVIEW", "SENT", "", []),
    ("push", ev.StkRefused(code="x"), "IN_REVIEW", "REFUSED", "", []),
    ("push", ev.StkNotSent(code="x", attempt=1), "IN_REVIEW", "REFUSED", "", []),
    ("push", ev.StkOutcomeUnknown(code="x", attempted_at=T0), "IN_REVIEW", "UNKNOWN", "", []),
    ("push", callback(), "IN_REVIEW", "CONFIRMED", "suspense", ["settled"]),
    ("claimed push", OURS, "IN_REVIEW", "SENT", "", ["probe_stk"]),
    ("claimed push", ev.StkRefused(code="x"), "IN_REVIEW", "REFUSED", "", []),
    ("accepted push", NO, "IN_REVIEW", "REFUSED", "", []),
    ("accepted push", ev.MpesaRefused(source="query", code="1032", final=True), "IN_REVIEW", "SENT", "", []),
    ("accepted push", ev.MpesaRefused(source="callback", code="500", final=False), "IN_REVIEW", "SENT", "", []),
    ("accepted push", callback(), "IN_REVIEW", "CONFIRMED", "suspense", ["settled"]),
    ("transfer", confirmed(), "COMPLETED", "CONFIRMED", "gone", []),
    ("transfer", NO, "IN_REVIEW", "INTENT", "deriv_out", []),
    ("transfer", ev.StkRefused(code="x"), "IN_REVIEW", "INTENT", "deriv_out", []),
    ("transfer", ev.DerivRefused(code="x", attempt=1), "IN_REVIEW", "REFUSED", "customer", []),
    ("transfer", ev.DerivRefused(code="x", attempt=1, hold=True), "IN_REVIEW", "REFUSED", "customer", []),
    ("transfer", ev.DerivRefused(code="x", attempt=2), "IN_REVIEW", "INTENT", "deriv_out", []),
    ("transfer", ev.DerivNotSent(code="x", attempt=1), "IN_REVIEW", "REFUSED", "customer", []),
    ("transfer", ev.DerivNotSent(code="x", attempt=2), "IN_REVIEW", "INTENT", "deriv_out", []),
    ("transfer", ev.DerivOutcomeUnknown(code="x", attempt=1), "IN_REVIEW", "UNKNOWN", "deriv_out", []),
    (
        "transfer",
        ev.DerivPaidAnother(transaction_id="991", loginid="CR2", attempt=1),
        "IN_REVIEW",
        "REFUSED",
        "customer",
        [],
    ),
    ("unknown transfer", confirmed(), "COMPLETED", "CONFIRMED", "gone", []),
    ("unknown transfer", ev.DerivRefused(code="x", attempt=1), "IN_REVIEW", "UNKNOWN", "deriv_out", []),
    ("unknown transfer", ev.DerivNotSent(code="x", attempt=2), "IN_REVIEW", "UNKNOWN", "deriv_out", []),
    ("refund", ev.RefundAccepted(conversation_id="AG_1"), "IN_REVIEW", "SENT", "refund_out", []),
    ("refund", REVERSED, "REVERSED", "CONFIRMED", "gone", []),
    ("refund", ev.RefundRefused(code="x"), "IN_REVIEW", "REFUSED", "customer", []),
    ("refund", ev.RefundNotSent(code="x", attempt=1), "IN_REVIEW", "REFUSED", "customer", []),
    ("refund", ev.RefundNotSent(code="x", attempt=2), "IN_REVIEW", "INTENT", "refund_out", []),
    ("refund", ev.RefundOutcomeUnknown(code="x"), "IN_REVIEW", "UNKNOWN", "refund_out", []),
    ("unknown refund", REVERSED, "REVERSED", "CONFIRMED", "gone", []),
    ("unknown refund", ev.RefundNotSent(code="x", attempt=1), "IN_REVIEW", "UNKNOWN", "refund_out", []),
)
PEOPLES = {
    *(ev.DerivAbsent, ev.DerivAmbiguous, ev.RecipientChecked, ev.QueryPending, ev.PullClean),
    *(ev.RefundNotCompleted, ev.RefundUntold),
}
"""Answers to searches that the saga asked for: in review nobody waits for them, people prove what they find."""


def evidence() -> set[type[ev.Event]]:
    """Every kind that any state of a deposit takes from a rail, a callback, a list or a statement."""
    told = {kind for row in TRANSITIONS.values() for kind in row}
    people = {kind for kind in told if kind.__name__.startswith("Staff")}
    return told - people - {ev.Woke, ev.Parked, ev.StkStarted, ev.CancelRequested}


def test_the_table_has_every_kind_of_evidence() -> None:
    assert {type(row[1]) for row in TABLE} | PEOPLES == evidence()
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
        assert abs(story.balance(f"{stands}:KES")) == SEND.minor
    if state != "IN_REVIEW":
        assert (story.questions, story.clearing()) == ([], 0)
        return
    story.happens(ev.StaffRefunded(approval="a,b"))
    free = stands in {"customer", "suspense"}
    assert (story.state is State.REFUND_SENDING) == free, "people give back what is free, and no more"


def test_a_claim_of_another_push_than_the_one_acknowledged_in_review_is_dropped() -> None:
    story = asked(claimed())
    story.happens(ev.StkAccepted(checkout_request_id="ws_2", pushed_at=T0))
    assert (story.saga.held_receipt, story.questions) == ("", ["parked", "evidence_unusable"])


CLOSED = ev.StaffClosed(approval="a,b")
SETTLED = ev.StaffSettled(reference="HAND1", approval="a,b")
NOT_DONE = ev.StaffProved(executed=False, reference="", approval="a,b")


@pytest.mark.parametrize(
    ("begun", "decided", "state", "code"),
    [
        (started, [NOT_DONE, CLOSED], State.FAILED, "closed_by_review"),
        (unknown_transfer, [NOT_DONE, SETTLED], State.REVERSED, "refunded_by_review"),
        (unknown_refund, [NOT_DONE, SETTLED], State.REVERSED, "deriv_refused"),
        (
            unknown_transfer,
            [NOT_DONE, ev.StaffRefunded(approval="a,b"), REVERSED],
            State.REVERSED,
            "refunded_by_review",
        ),
        (unknown_transfer, [ev.StaffProved(executed=True, reference="7", approval="a,b")], State.COMPLETED, ""),
    ],
)
def test_the_customer_is_told_the_end_that_people_decided_or_its_cause_and_not_their_question(
    begun: Callable[[], Story], decided: list[ev.Event], state: State, code: str
) -> None:
    story = asked(begun())
    for event in decided:
        story.happens(event)
    assert (story.state, story.saga.failure_code) == (state, code)


def taken_before_it_was_known_what_paid() -> Story:
    """As an earlier version left it: somebody else got the dollars, and the shillings count as gone."""
    story = paid()
    story.happens(confirmed())
    story.saga = replace(story.saga, delivered=(Delivery("991", RECEIVE),))
    story.happens(to_another("991"))
    assert (story.saga.money_at, story.saga.refund_receipt) == ("gone", "")
    return story


def test_what_nobody_gave_back_is_told_as_closed() -> None:
    story = taken_before_it_was_known_what_paid()
    story.happens(CLOSED)
    assert (story.state, story.saga.failure_code) == (State.FAILED, "closed_by_review")
