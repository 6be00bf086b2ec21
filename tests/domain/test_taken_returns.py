"""A return that was taken for the customer's, and somebody else got: the dollars are the customer's again, once."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penpay.domain import withdrawal_events as ev
from penpay.domain.decision import Decision, Ignored
from penpay.domain.deliveries import Delivery
from penpay.domain.money import Money, usd
from penpay.domain.withdrawal import FINAL, State, edges
from penpay.domain.withdrawal_row import from_row, to_row
from tests.domain.books import Story, base_row, tells_its_end
from tests.domain.test_withdrawal_rules import (
    SEND,
    failed_twice,
    paying_again,
    return_given_up,
    to_another,
)

PAID = ev.StaffPaid(approval="a,b")
RETURNED = ev.StaffReturned(approval="a,b")
CLOSED = ev.StaffClosed(approval="a,b")
SETTLED = ev.StaffSettled(reference="HAND1", approval="a,b")
ABSENT = ev.StaffProved(executed=False, reference="", approval="a,b")
SHILLINGS = ev.PayoutPaid(receipt="SG1", source="status")


def told(ref: str = "r1") -> ev.ReturnConfirmed:
    return ev.ReturnConfirmed(transaction_id=ref, proof="statement")


def returning() -> Story:
    return failed_twice("2040")


def returned() -> Story:
    story = returning()
    story.happens(told())
    assert story.state is State.REVERSED
    return story


def standing(story: Story, *, lost: Money = SEND) -> None:
    """Nothing of the return is left: the dollars stand here, and those that somebody else got are our loss."""
    assert (story.state, story.questions[-1]) == (State.IN_REVIEW, "contradicting_return")
    amounts = {"customer:USD": -SEND.minor, "suspense:USD": 0, "write_off:USD": lost.minor}
    assert {name: story.balance(name) for name in amounts} == amounts
    assert (story.clearing(), story.saga.return_transaction_id) == (0, "")
    assert isinstance(story.happens(CLOSED), Ignored), "the customer has neither"


def given_back(story: Story) -> None:
    assert (story.state, story.questions, story.balance("customer:USD")) == (State.REVERSED, [], 0)
    assert (story.clearing(), story.balance("suspense:USD")) == (0, 0)
    for again in (RETURNED, PAID, SETTLED):
        assert isinstance(story.happens(again), Ignored), "exactly once"


@pytest.mark.parametrize(
    "exit_", [[RETURNED, told("r2")], [SETTLED]], ids=["once more by the agent", "by hand, with its id"]
)
def test_dollars_that_went_to_somebody_else_are_the_customers_again_and_go_back_once(exit_: list[ev.Event]) -> None:
    story = returned()
    asked = story.happens(to_another())
    assert isinstance(asked, Decision)
    assert [one.reason for one in asked.reviews] == ["Deriv sent 20.00 USD to CR2"]
    standing(story)
    assert isinstance(story.happens(to_another()), Ignored)
    assert isinstance(story.happens(told()), Ignored), "the statement shows it once more"
    for event in exit_:
        story.happens(event)
    given_back(story)
    assert story.balance("deriv_agent:USD") == -SEND.minor, "what somebody else got left the agent besides"
    for known in (to_another(), told()):
        assert isinstance(story.happens(known), Ignored)


def settled_after(story: Story, *exits: ev.Event) -> Story:
    for event in exits:
        story.happens(event)
    return story


def test_the_return_that_people_order_once_more_has_a_hold_an_operation_and_a_reference_of_its_own() -> None:
    story = returned()
    first = story.saga.back.id
    story.happens(to_another())
    assert story.operations[first] == "CONFIRMED", "Deriv did it, for somebody else"
    made = story.happens(RETURNED)
    assert isinstance(made, Decision)
    (second,) = made.new_operations
    assert (second.id == first, second.recipient, second.amount) == (False, "CR1", SEND)
    assert (story.state, story.does(), story.balance("deriv_out:USD")) == (State.RETURN_SENDING, ["submit"], -2000)
    story.happens(told("r2"))
    assert {"return_hold", "return_done", "undone", "return_hold:2", "return_done:2"} <= story.keys
    assert (story.references["deriv_transaction", "r1"], story.references["deriv_transaction", "r2"]) == (
        first,
        second.id,
    )
    given_back(story)
    assert (story.saga.return_transaction_id, story.saga.failure_code) == ("r2", "returned_by_review")


def test_they_may_go_to_somebody_else_again_and_again() -> None:
    story = returned()
    for ref in ("r1", "r2", "r3"):
        story.happens(to_another(ref))
        standing_again = (story.saga.money_at, story.balance("customer:USD"), story.balance("deriv_agent:USD"))
        lost = story.balance("write_off:USD")
        assert standing_again == ("customer", -SEND.minor, SEND.minor - lost)
        story.happens(RETURNED)
        story.happens(told(f"r{int(ref[1]) + 1}"))
        assert story.state is State.REVERSED
    assert {"undone:3", "return_done:4"} <= story.keys
    given_back(story)
    assert story.balance("write_off:USD") == 3 * SEND.minor


@pytest.mark.parametrize("then", [[], [SHILLINGS]], ids=["", "shillings all the same"])
def test_the_books_are_the_same_whichever_is_told_first_and_however_often(then: list[ev.Event]) -> None:
    books = []
    for order in permutations([told(), to_another(), *then]):
        story = returning()
        story.attempted = True
        for event in (*order, *order):
            story.happens(event)
        books.append({name: minor for name, minor in story.balances.items() if minor})
        stands = "gone" if then else "customer"
        known = (story.saga.money_at, story.saga.delivered, story.saga.misdirected_transaction_id)
        assert (story.state, *known) == (State.IN_REVIEW, stands, (), "r1")
        if then:
            story.happens(CLOSED)
            assert (story.state, story.saga.receipt) == (State.COMPLETED, "SG1")
    assert all(one == books[0] for one in books)


def test_dollars_that_stand_again_may_be_paid_out_instead() -> None:
    story = settled_after(returned(), to_another(), PAID, ev.PayoutPaid(receipt="SG2", source="result"))
    assert (story.state, story.questions, story.balance("customer:USD")) == (State.COMPLETED, [], 0)
    assert (story.balance("fx_position:USD"), story.balance("write_off:USD")) == (-SEND.minor, SEND.minor)


def test_what_people_took_for_given_back_by_hand_and_was_a_transfer_of_ours_is_undone_too() -> None:
    """They named the row of the statement that showed it."""
    story = return_given_up()
    story.happens(ev.StaffSettled(reference="r1", approval="a,b"))
    assert story.state is State.REVERSED
    story.happens(to_another())
    standing(story)
    given_back(settled_after(story, SETTLED))


@pytest.mark.parametrize("order", [("r1", "r2"), ("r2", "r1")])
def test_of_two_returns_the_dollars_are_those_of_the_one_that_the_customer_got(order: tuple[str, str]) -> None:
    story = returned()
    story.happens(told("r2"))
    taken, kept = order
    story.happens(to_another(taken))
    assert (story.saga.money_at, story.saga.return_transaction_id) == ("gone", kept)
    assert (story.balance("customer:USD"), story.balance("write_off:USD")) == (0, SEND.minor)
    for exit_ in (RETURNED, PAID, SETTLED):
        assert isinstance(story.happens(exit_), Ignored)
    story.happens(to_another(kept))
    standing(story, lost=usd(2 * SEND.minor))
    given_back(settled_after(story, SETTLED))


def test_each_time_that_they_are_those_of_another_return_is_a_posting_of_its_own() -> None:
    story = settled_after(returned(), told("r2"), to_another("r1"), told("r3"), to_another("r2"))
    assert {"undone", "return_covered:2", "undone:2", "return_covered:3"} <= story.keys
    assert (story.saga.return_transaction_id, story.balance("write_off:USD")) == ("r3", 2 * SEND.minor)
    given_back(settled_after(story, CLOSED))


def test_dollars_of_a_payout_that_failed_are_those_that_had_left_meanwhile() -> None:
    """They had been booked as our loss; to give them back as well would be twice."""
    story = paying_again()
    story.happens(told())
    assert (story.balance("write_off:USD"), story.balance("b2c_out:USD")) == (SEND.minor, -SEND.minor)
    story.attempted = False
    story.happens(ev.PayoutHeld(code="away", attempt=1))
    assert (story.saga.money_at, story.balance("write_off:USD"), story.balance("customer:USD")) == ("gone", 0, 0)
    for exit_ in (RETURNED, PAID, SETTLED):
        assert isinstance(story.happens(exit_), Ignored)
    given_back(settled_after(story, CLOSED))


@pytest.mark.parametrize("first", [to_another(), told("r2")], ids=["somebody else's", "a second return"])
def test_a_claim_that_shillings_were_paid_is_judged_before_anything_else(first: ev.Event) -> None:
    story = returned()
    story.happens(ev.PayoutPaid(receipt="SG1", source="result"))
    story.happens(first)
    for exit_ in (RETURNED, PAID, SETTLED, CLOSED):
        assert isinstance(story.happens(exit_), Ignored)
    story.happens(ABSENT)
    given_back(settled_after(story, SETTLED, CLOSED))


def test_a_frozen_customers_dollars_stand_again_and_go_back_by_two_peoples_decision() -> None:
    story = returned()
    story.frozen = True
    story.happens(to_another())
    standing(story)
    story.frozen = False  # the ledger exempts what two people decided
    given_back(settled_after(story, RETURNED, told("r2")))


def test_a_row_that_did_not_know_what_went_back_is_read() -> None:
    story = returned()
    row = to_row(story.saga, base_row(story.saga))
    assert from_row(row).delivered == (Delivery("r1", SEND, paid=SEND, paid_from="customer"),)
    data = {name: value for name, value in json.loads(row.data).items() if name != "delivered"}
    assert from_row(replace(row, data=json.dumps(data))).delivered == (Delivery("r1", SEND),)


# --- in any order ---------------------------------------------------------------------------------------------------

HANDS = (
    ev.StaffSettled(reference="", approval="a,b"),
    ev.StaffSettled(reference="", approval="a,b", surplus_only=True),
)
TELLING: tuple[ev.Event, ...] = (
    *(told(ref) for ref in ("r1", "r2")),
    *(to_another(ref) for ref in ("r1", "r2")),
    *(RETURNED, PAID, *HANDS, CLOSED, ABSENT, SHILLINGS),
    ev.PayoutPaid(receipt="SG1", source="result"),
    ev.PayoutHeld(code="away", attempt=1),
    ev.ReturnRefused(code="x", attempt=1),
    ev.ReturnOutcomeUnknown(code="silent", attempt=1),
)


class Truth:
    """What left for whom, by what was told, beside the books."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.moved = {one.transaction_id: one.amount.minor for one in story.saga.delivered}
        self.others: set[str] = set()

    def happens(self, event: ev.Event) -> None:
        before = self.story.saga.version, self.story.balance("deriv_agent:USD")
        self.story.happens(event, after_s=5)
        if self.story.saga.version == before[0]:
            return
        match event:
            case ev.ReturnConfirmed(transaction_id=ref):
                self.moved.setdefault(ref, SEND.minor)
            case ev.ReturnPaidAnother(transaction_id=ref):
                self.moved.setdefault(ref, SEND.minor)
                self.others.add(ref)
            case ev.StaffSettled(reference=ref):
                self.moved[ref] = before[1] - self.story.balance("deriv_agent:USD")

    def dollars(self) -> int:
        """Those that the customer got."""
        return sum(minor for ref, minor in self.moved.items() if ref not in self.others)

    def is_told(self) -> None:
        story, saga = self.story, self.story.saga
        for currency in ("KES", "USD"):
            assert sum(minor for account, minor in story.balances.items() if account.endswith(currency)) == 0
        assert story.balance("deriv_agent:USD") == SEND.minor - sum(self.moved.values()), "each movement once"
        dollars = self.dollars()
        shillings = SEND.minor if saga.receipt else 0
        held = -sum(story.balance(f"{name}:USD") for name in ("customer", "suspense", "deriv_out", "b2c_out"))
        assert dollars + shillings + held >= SEND.minor, "the customer's dollars are with nobody"
        if saga.money_at == "customer":
            assert (dollars, shillings, saga.delivered) == (0, 0, ()), "what was given is here to be given again"
        assert sum(one.paid is not None for one in saga.delivered) <= 1
        assert {one.transaction_id for one in saga.delivered} <= self.moved.keys() - self.others
        if story.state in FINAL:
            assert (held, story.clearing()) == (0, 0)
            assert story.state is (State.COMPLETED if shillings else State.REVERSED)
            assert shillings or dollars, "closed, and nobody gave the customer anything"
            assert bool(saga.delivered) >= (story.state is State.REVERSED)
            assert tells_its_end(story), saga


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from([returning, returned, return_given_up, paying_again]),
    st.lists(st.tuples(st.sampled_from(TELLING), st.booleans()), max_size=14),
)
def test_in_any_order_the_customer_has_their_dollars_or_the_books_hold_them_and_nothing_ends_untruly(
    begun: Callable[[], Story], history: list[tuple[ev.Event, bool]]
) -> None:
    story = begun()
    truth = Truth(story)
    for number, (event, story.attempted) in enumerate(history):
        by_hand = isinstance(event, ev.StaffSettled)
        truth.happens(replace(event, reference=f"BY{number}") if by_hand else event)
        truth.is_told()
    assert story.edges <= edges()
    story.attempted = False
    had = truth.dollars()
    for number in range(4):
        if story.state is State.IN_REVIEW:
            for decision in (ABSENT, ev.StaffSettled(reference=f"LAST{number}", approval="a,b"), CLOSED):
                truth.happens(decision)
                truth.is_told()
    assert story.state is not State.IN_REVIEW, f"people have no exit: {story.saga}"
    if story.state in FINAL and not story.saga.receipt:
        assert truth.dollars() == max(had, SEND.minor), "people gave back by hand what was not missing"
