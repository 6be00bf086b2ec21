"""Dollars of a debit that the agent's account shows only when people have been asked what became of them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from penpay.domain import withdrawal_events as ev
from penpay.domain.decision import Decision, Ignored, Occasion
from penpay.domain.money import Money, usd
from penpay.domain.presentation import time_text
from penpay.domain.review import Approval, ReviewItem, closing
from penpay.domain.review_view import NOBODY, Preview, Subject, preview, same_money_words
from penpay.domain.rules import Rules
from penpay.domain.strays import Filed, Stray, claimed, same_money, stray_unit
from penpay.domain.unit import ReviewOpened
from penpay.domain.withdrawal import State
from tests.domain.books import T0, Story, base_row
from tests.domain.test_withdrawal_rules import SEND, debited, never_arrived, new

CREDIT = ev.WitnessSeen(transaction_id="a9", amount=SEND)
PAY, RETURN = ev.StaffPaid(approval="a,b"), ev.StaffReturned(approval="a,b")
SETTLED = ev.StaffSettled(reference="u1", approval="a,b")


def executed(arrived: Money | None = None, reference: str = "a9") -> ev.StaffProved:
    return ev.StaffProved(executed=True, reference=reference, approval="a,b", arrived=arrived)


def parked() -> Story:
    """People are asked for another cause; the debit's end comes after that."""
    story = new()
    story.attempted = True
    story.happens(ev.Parked(error="x"))
    story.attempted = False
    story.happens(ev.DebitConfirmed(transaction_id="c1", amount=SEND, proof="reply"))
    assert (story.state, story.saga.money_at) == (State.IN_REVIEW, "deriv_in")
    return story


LATE, FOUND = ["witness_late"], ["witness_missing"]
# where it stands, what happens then: questions, where the dollars stand
ORDERS: tuple[tuple[Callable[[], Story], tuple[ev.Event, ...], list[str], str], ...] = (
    (never_arrived, (CREDIT,), LATE, "customer"),
    (never_arrived, (CREDIT, CREDIT), LATE, "customer"),
    (never_arrived, (CREDIT, executed()), LATE, "customer"),
    (never_arrived, (executed(), CREDIT), FOUND, "customer"),
    (never_arrived, (executed(SEND), CREDIT), FOUND, "customer"),
    (never_arrived, (executed(SEND), executed(SEND)), FOUND, "customer"),
    (never_arrived, (SETTLED, CREDIT), [], "gone"),
    (never_arrived, (SETTLED, executed(SEND)), [], "gone"),
    (parked, (CREDIT,), ["parked"], "customer"),
    (parked, (executed(SEND), CREDIT), ["parked"], "customer"),
    (never_arrived, (replace(CREDIT, amount=usd(1900)),), ["witness_mismatch"], "customer"),
    (never_arrived, (executed(usd(1900)),), ["witness_mismatch"], "customer"),
)


@pytest.mark.parametrize(("begun", "told", "questions", "stands"), ORDERS)
def test_a_late_credit_counts_once_whoever_tells_of_it_and_nothing_is_paid_before_people_decide(
    begun: Callable[[], Story], told: tuple[ev.Event, ...], questions: list[str], stands: str
) -> None:
    story = begun()
    for event in told:
        story.happens(event, after_s=60)
    assert (story.questions, story.saga.money_at, story.balance("deriv_in:USD")) == (questions, stands, 0)
    assert (story.saga.payout, story.saga.back) == (None, None)
    assert -story.balance("customer:USD") == (SEND.minor if stands == "customer" else 0)
    if stands != "customer":
        assert story.balance("deriv_agent:USD") == 0
        return
    assert story.balance("deriv_agent:USD") + story.balance("write_off:USD") == SEND.minor
    for end in (PAY, ev.PayoutPaid(receipt="SG1", source="result")):
        story.happens(end)
    assert (story.state, story.questions, story.clearing()) == (State.COMPLETED, [], 0)


def test_dollars_that_arrived_late_may_go_back() -> None:
    story = never_arrived()
    story.happens(CREDIT)
    assert story.saga.failure_code == "witness_late"
    story.happens(RETURN)
    story.happens(ev.ReturnConfirmed(transaction_id="r1", proof="reply"))
    assert (story.state, story.questions, story.clearing()) == (State.REVERSED, [], 0)


def test_a_credit_that_comes_before_people_are_asked_is_paid_out() -> None:
    story = debited()
    story.happens(CREDIT, after_s=13_000)
    assert (story.state, story.does(), story.questions) == (State.B2C_SENDING, ["submit"], [])


def test_a_credit_that_was_nobodys_uses_up_no_second_reference() -> None:
    story = never_arrived()
    told = story.happens(executed(SEND))
    assert isinstance(told, Decision)
    assert told.references == ()
    assert story.saga.witness_transaction_id == "a9"


def test_the_id_of_the_debit_itself_names_no_credit() -> None:
    story = never_arrived()
    assert isinstance(story.happens(executed(SEND, story.saga.debit_transaction_id)), Ignored)


# --- the other side: what stands in suspense -----------------------------------------------------------------------

STRAY = Stray(kind="credit", ref="77001", amount=SEND, at=time_text(T0 + timedelta(seconds=20)))


def as_stored(opened: ReviewOpened) -> ReviewItem:
    return ReviewItem(
        id=opened.id,
        shard=0,
        transaction_id=opened.transaction_id,
        operation_id=opened.operation_id,
        kind=opened.kind,
        reason=opened.reason,
        owner_role=opened.owner_role,
        opened_at=T0,
        due_at=opened.due_at,
        evidence=opened.evidence,
    )


def listed(stray: Stray = STRAY) -> ReviewItem:
    (opened,) = stray_unit(stray, review_id="S", now=T0, actor="inbox").reviews
    return as_stored(opened)


def missing() -> ReviewItem:
    told = debited().happens(ev.Woke(), after_s=20_000)
    assert isinstance(told, Decision)
    (opened,) = told.reviews
    return as_stored(opened)


def test_what_is_claimed_leaves_suspense_and_with_the_debits_own_posting_the_books_stand_where_they_stood() -> None:
    story = debited()
    found = stray_unit(STRAY, review_id="S", now=T0, actor="inbox")
    unit = claimed(closing(listed(), NOBODY, at=T0), STRAY, operation_id="op-1", actor="staff:A")
    assert (unit.unit_id, unit.new_operations) == ("review:S:closed", ())
    assert [(one.kind, one.ref, one.operation_id) for one in unit.references] == [
        ("deriv_credit_claimed", "77001", "op-1")
    ]
    assert [(one.item_id, one.kind) for one in unit.reviews_closed] == [("S", "credit_unmatched")]
    sums = {"deriv_agent": 0, "suspense": 0}
    for posting in (*found.postings, *unit.postings):
        for entry in posting.entries:
            sums[entry.account.code] += entry.amount_minor
    assert sums == {"deriv_agent": 0, "suspense": 0}
    story.happens(ev.Woke(), after_s=20_000)
    story.happens(executed(SEND))
    assert (story.balance("deriv_agent:USD"), story.balance("deriv_in:USD")) == (SEND.minor, 0)


@pytest.mark.parametrize(
    ("stray", "same"),
    [
        (STRAY, True),
        (replace(STRAY, at=time_text(T0 + timedelta(days=2))), True),
        (replace(STRAY, at=time_text(T0 - timedelta(seconds=299))), True),
        (replace(STRAY, at=time_text(T0 - timedelta(seconds=301))), False),
        (replace(STRAY, amount=usd(2001)), False),
        (replace(STRAY, kind="debit"), False),
    ],
)
def test_dollars_of_nobody_are_shown_beside_the_debit_that_may_have_sent_them(stray: Stray, same: bool) -> None:
    asked, question = missing(), listed(stray)
    assert same_money(asked, [asked, question]) == ((question,) if same else ())
    assert same_money(question, [asked, question]) == ((asked,) if same else ())
    words = same_money_words(replace(asked, same_money=same_money(asked, [question])))
    assert ("decide executed about the withdrawal" in words) is same


def looked_at(named: Filed | None, ref: str = "77001") -> Preview:
    story = never_arrived()
    row = replace(story.there(story.saga, base_row(story.saga)), type="WITHDRAWAL")
    subject = Subject(item=missing(), row=row, named=named)
    occasion = Occasion(story.at, ("1", "2", "3"))
    return preview(subject, "executed", Approval("a", "b", ref), rules=Rules(), occasion=occasion)


def shown(seen: Preview) -> list[tuple[str, int]]:
    return [(entry.account.code.value, entry.amount_minor) for entry in seen.entries]


@pytest.mark.parametrize(("named", "leaves"), [(Filed(item=listed()), 1), (None, 0)])
def test_whoever_looks_before_deciding_sees_what_would_leave_suspense(named: Filed | None, leaves: int) -> None:
    out = [("suspense", SEND.minor), ("deriv_agent", -SEND.minor)]
    assert shown(looked_at(named)) == [*out * leaves, ("deriv_agent", SEND.minor), ("deriv_in", -SEND.minor)]


def test_dollars_of_another_amount_are_shown_as_they_would_be_booked() -> None:
    """They are not listed beside the debit, and people may name them all the same."""
    fewer = Filed(item=listed(replace(STRAY, amount=usd(1_900))))
    assert shown(looked_at(fewer)) == [
        *(("suspense", 1_900), ("deriv_agent", -1_900)),
        *(("deriv_agent", 1_900), ("deriv_in", -2_000), ("write_off", 100)),
    ]


def test_dollars_that_were_decided_about_are_refused_before_the_decision() -> None:
    over = replace(listed(), closed_at=T0, resolution="A and B, ticket")
    assert "is decided: item S, A and B, ticket" in looked_at(Filed(item=over)).refusal
    assert "the credit of another debit, op-9" in looked_at(Filed(item=over, claimed_by="op-9")).refusal
    mine = never_arrived().saga.debit.id
    assert shown(looked_at(Filed(item=over, claimed_by=mine))) == [
        *(("deriv_agent", SEND.minor), ("deriv_in", -SEND.minor)),
    ], "the same decision told again: it has left suspense"
