"""Dollars stand aside for a customer who then gets more than was theirs: they go against our loss, and not to them."""

from itertools import permutations

import pytest

from penpay.domain import withdrawal_events as ev
from penpay.domain.decision import Decision, Ignored
from penpay.domain.money import usd
from penpay.domain.review import Action
from penpay.domain.review_view import Subject, actions_of
from penpay.domain.withdrawal import State
from tests.domain.books import Story
from tests.domain.test_exits import question, row
from tests.domain.test_taken_returns import (
    ABSENT,
    CLOSED,
    FEWER,
    RETURNED,
    SEND,
    SHILLINGS,
    returned,
    settled_after,
    told,
)
from tests.domain.test_withdrawal_rules import debited, to_another

OURS = ev.StaffOwned(approval="a,b")
SURPLUS = ev.StaffSettled(reference="HAND1", approval="a,b", surplus_only=True)
REST = SEND.minor - FEWER.minor


def stands(story: Story) -> tuple[int, int]:
    """What is set aside, and what we lost."""
    aside = story.saga.set_aside.minor if story.saga.set_aside is not None else 0
    assert aside == -story.balance("suspense:USD")
    return aside, story.balance("write_off:USD")


def too_few_then_more() -> Story:
    """1900 of 2000 went back, and then 2000 of a return that had been given up."""
    story = settled_after(returned(FEWER), told("r2"))
    assert (story.state, stands(story)) == (State.IN_REVIEW, (REST, SEND.minor))
    return story


def test_what_was_set_aside_goes_against_what_left_beyond_it_and_nobody_is_paid_once_more() -> None:
    story = too_few_then_more()
    assert isinstance(story.happens(CLOSED), Ignored), "money is set aside"
    story.happens(OURS)
    assert (story.state, stands(story), story.does()) == (State.IN_REVIEW, (0, SEND.minor - REST), [])
    assert story.balance("deriv_agent:USD") == SEND.minor - FEWER.minor - SEND.minor, "no dollar moved"
    assert isinstance(story.happens(OURS), Ignored), "once"
    assert isinstance(story.happens(SURPLUS), Ignored), "nothing is owed any more"
    story.happens(CLOSED)
    assert (story.state, story.questions) == (State.REVERSED, [])


def test_whoever_is_asked_about_the_second_is_told_what_is_ours() -> None:
    asked = returned(FEWER).happens(told("r2"))
    assert isinstance(asked, Decision)
    assert [one.reason for one in asked.reviews] == [
        "Deriv executed 20.00 USD, beyond what was the customer's: of what is set aside 1.00 USD are ours"
    ]


def test_no_more_of_it_is_ours_than_we_lost() -> None:
    story = settled_after(returned(usd(1_000)), told("r2", usd(300)))
    story.happens(OURS)
    assert stands(story) == (700, 0)
    assert isinstance(story.happens(OURS), Ignored)
    assert isinstance(story.happens(CLOSED), Ignored), "the others are the customer's"
    assert settled_after(story, SURPLUS, CLOSED).state is State.REVERSED


@pytest.mark.parametrize("name", ["nothing was lost", "shillings were lost", "the dollars stand here", "a claim"])
def test_without_dollars_that_we_lost_nothing_of_it_is_ours(name: str) -> None:
    """Nor while a claim that shillings were paid is not judged."""
    story = {
        "nothing was lost": lambda: returned(FEWER),
        "shillings were lost": lambda: settled_after(returned(FEWER), SHILLINGS),
        "the dollars stand here": lambda: settled_after(
            debited(), ev.WitnessSeen(transaction_id="a1", amount=usd(2100))
        ),
        "a claim": lambda: settled_after(too_few_then_more(), ev.PayoutPaid(receipt="SG1", source="result")),
    }[name]()
    assert isinstance(story.happens(OURS), Ignored)
    if name == "a claim":
        assert stands(settled_after(story, ABSENT, OURS)) == (0, SEND.minor - REST)


@pytest.mark.parametrize("taken", ["r1", "r2"])
def test_if_somebody_else_got_one_of_the_two_it_stands_aside_again_as_far_as_it_is_the_customers(taken: str) -> None:
    story = settled_after(too_few_then_more(), OURS, CLOSED)
    story.happens(to_another(taken))
    assert (story.state, story.questions) == (State.IN_REVIEW, ["contradicting_return"])
    owed = 0 if taken == "r1" else REST
    lost = FEWER.minor if taken == "r1" else SEND.minor
    assert stands(story) == (owed, lost)
    assert isinstance(story.happens(OURS), Ignored), "what is left was paid for, or went to somebody else"
    story.happens(to_another("r2" if taken == "r1" else "r1"))
    assert (story.balance("customer:USD"), stands(story)) == (-SEND.minor, (0, FEWER.minor + SEND.minor))
    assert settled_after(story, RETURNED, told("r3")).state is State.REVERSED


def test_it_may_be_ours_once_more_with_a_posting_of_its_own() -> None:
    story = settled_after(too_few_then_more(), OURS, to_another("r2"), told("r3"), OURS)
    assert {"netted", "netting_undone", "netted:2"} <= story.keys
    assert stands(story) == (0, SEND.minor + SEND.minor - REST)
    assert settled_after(story, CLOSED).state is State.REVERSED


def test_the_books_are_the_same_whenever_people_say_so() -> None:
    """Somebody else got a third one, in any order with what people decide."""
    books = []
    for order in permutations([told("r2"), told("r3"), to_another("r3")]):
        story = settled_after(returned(FEWER), *(event for one in order for event in (one, OURS)), OURS)
        assert stands(story) == (0, SEND.minor + SEND.minor - REST)
        books.append({name: minor for name, minor in story.balances.items() if minor})
    assert all(one == books[0] for one in books)


def test_the_exit_is_offered_where_it_does_something() -> None:
    found = {
        stands: Action.OWN in actions_of(Subject(item=question(), row=row("WITHDRAWAL", "IN_REVIEW", stands, "")))
        for stands in ("gone, and a surplus is here", "fewer went back, then more", "the dollars are here")
    }
    assert [name for name, offered in found.items() if offered] == ["fewer went back, then more"]
