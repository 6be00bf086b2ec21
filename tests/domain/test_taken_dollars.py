"""Dollars that were taken for the customer's, and somebody else got: the shillings are the customer's again, once."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penpay.domain import deposit_events as ev
from penpay.domain.decision import Ignored
from penpay.domain.deliveries import Delivery
from penpay.domain.deposit import FINAL, State
from penpay.domain.deposit_row import from_row, to_row
from penpay.domain.money import Money, kes, usd
from tests.domain.books import RECEIVE, SEND, Story, base_row, tells_its_end
from tests.domain.test_deposit_rules import accepted, decided_by_people, executed_twice, paid, to_another

FEWER, MORE = usd(900), usd(1000)
COST = {RECEIVE: SEND.minor, FEWER: 121_050, MORE: 134_500}
CREDITED = ev.StaffCredited(approval="a,b")
REFUNDED = ev.StaffRefunded(approval="a,b")
CLOSED = ev.StaffClosed(approval="a,b")
SETTLED = ev.StaffSettled(reference="HAND1", approval="a,b")
SURPLUS = ev.StaffSettled(reference="HAND2", approval="a,b", surplus_only=True)
REVERSED = ev.RefundConfirmed(receipt="REV1")
REFUSED = ev.RefundRefused(code="R000002")
LISTED = ev.MpesaPaid(source="pull", amount=kes(500_000), receipt="NLJ7RT61SV")
"""The list of payments corrects what was believed."""


def told(ref: str = "901", dollars: Money = RECEIVE) -> ev.DerivConfirmed:
    return ev.DerivConfirmed(transaction_id=ref, amount=dollars, proof="statement")


def delivered(dollars: Money = RECEIVE) -> Story:
    story = paid()
    story.happens(told(dollars=dollars))
    assert (story.state is State.COMPLETED) == (dollars == RECEIVE)
    return story


def believed() -> Story:
    """Credited on a query's word, which knows no amount."""
    story = accepted()
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=20)
    story.happens(told())
    assert story.state is State.COMPLETED
    return story


def standing(story: Story, place: str, minor: int, lost: Money = RECEIVE) -> None:
    """Nothing of the exchange is left: these shillings stand here, and the dollars are our loss."""
    assert (story.state, story.questions[-1]) == (State.IN_REVIEW, "contradicting_transfer")
    assert story.saga.delivered == ()
    amounts = {"customer:KES": 0, "suspense:KES": 0, "write_off:KES": 0, f"{place}:KES": -minor}
    amounts |= dict.fromkeys(("fx_position:KES", "fx_position:USD", "fx_spread:KES", "rounding:KES"), 0)
    amounts |= {"write_off:USD": lost.minor, "deriv_agent:USD": -lost.minor}
    assert {name: story.balance(name) for name in amounts} == amounts
    assert isinstance(story.happens(CLOSED), Ignored), "the customer has neither"
    assert isinstance(story.happens(CREDITED), Ignored), "one transfer of a deposit is confirmed, and no second"


def given_back(story: Story) -> None:
    assert (story.state, story.saga.failure_code, story.questions) == (State.REVERSED, "refunded_by_review", [])
    assert (story.balance("mpesa_paybill:KES"), story.balance("customer:KES"), story.clearing()) == (0, 0, 0)
    for again in (REFUNDED, SETTLED):
        assert isinstance(story.happens(again), Ignored), "exactly once"


@pytest.mark.parametrize("exit_", [[REFUNDED, REVERSED], [SETTLED]], ids=["refund", "settle"])
@pytest.mark.parametrize("dollars", [RECEIVE, FEWER, MORE])
def test_shillings_that_paid_for_dollars_of_somebody_else_go_back_once(dollars: Money, exit_: list[ev.Event]) -> None:
    story = delivered(dollars)
    story.happens(to_another("901"))
    standing(story, "customer", SEND.minor, lost=dollars)
    assert isinstance(story.happens(to_another("901")), Ignored)
    assert isinstance(story.happens(told(dollars=dollars)), Ignored), "the statement shows it once more"
    for event in exit_:
        story.happens(event)
    given_back(story)


def test_the_books_are_the_same_whichever_is_told_first() -> None:
    books = []
    for order in permutations([told(), to_another("901")]):
        story = paid()
        for event in order:
            story.happens(event)
        books.append({name: minor for name, minor in story.balances.items() if minor})
        assert (story.saga.money_at, story.saga.paid) == ("customer", SEND)
    assert books[0] == books[1]


def test_a_reversal_that_is_refused_leaves_them_where_they_are_for_another_decision() -> None:
    story = delivered()
    story.happens(to_another("901"))
    story.happens(REFUNDED)
    story.happens(REFUSED)
    assert (story.saga.money_at, story.balance("customer:KES")) == ("customer", -SEND.minor)
    story.happens(SETTLED)
    given_back(story)


@pytest.mark.parametrize("decision", [SURPLUS, SETTLED], ids=["surplus", "settle"])
def test_of_shillings_whose_rest_people_gave_back_only_what_the_dollars_cost_is_left(decision: ev.Event) -> None:
    story = delivered(FEWER)
    story.happens(decision)
    story.happens(to_another("901"))
    standing(story, "suspense", COST[FEWER], lost=FEWER)
    assert isinstance(story.happens(REFUNDED), Ignored), "a Reversal would give the rest back a second time"
    story.happens(ev.StaffSettled(reference="HAND3", approval="a,b"))
    assert (story.balance("mpesa_paybill:KES"), story.balance("suspense:KES")) == (0, 0)
    story.happens(CLOSED)
    given_back(story)
    assert story.saga.refund_receipt == "HAND3"


def test_what_the_list_corrected_after_they_had_paid_stands_as_it_arrived() -> None:
    story = believed()
    story.happens(LISTED)
    story.happens(to_another("901"))
    standing(story, "suspense", LISTED.amount.minor)
    assert (story.saga.paid, story.saga.set_aside) == (LISTED.amount, None)
    story.happens(SETTLED)
    given_back(story)


def test_what_was_paid_from_suspense_stands_in_suspense_again() -> None:
    story = believed()
    story.happens(LISTED)
    story.happens(to_another("901"))
    story.happens(told("902"))
    assert (story.saga.money_at, story.balance("fx_position:USD")) == ("gone", RECEIVE.minor)
    story.happens(to_another("902"))
    assert (story.saga.money_at, story.balance("suspense:KES")) == ("suspense", -LISTED.amount.minor)
    assert (story.balance("fx_position:USD"), story.balance("write_off:USD")) == (0, 2 * RECEIVE.minor)
    story.happens(SETTLED)
    given_back(story)


@pytest.mark.parametrize("order", [("901", "902"), ("902", "901")])
def test_of_two_transfers_the_shillings_pay_for_the_one_that_the_customer_got(order: tuple[str, str]) -> None:
    story = executed_twice()
    taken, kept = order
    story.happens(to_another(taken, attempt=2))
    assert (story.saga.money_at, story.balance("customer:KES")) == ("gone", 0)
    assert (story.balance("fx_position:USD"), story.balance("write_off:USD")) == (RECEIVE.minor, RECEIVE.minor)
    for exit_ in (CREDITED, REFUNDED, SETTLED):
        assert isinstance(story.happens(exit_), Ignored)
    story.happens(to_another(kept, attempt=2))
    assert (story.saga.money_at, story.balance("customer:KES")) == ("customer", -SEND.minor)
    assert (story.balance("fx_position:USD"), story.balance("write_off:USD")) == (0, 2 * RECEIVE.minor)
    story.happens(SETTLED)
    given_back(story)


def test_shillings_that_went_back_all_the_same_are_made_up_for() -> None:
    """The dollars were somebody else's, and a Reversal that was our loss had executed: that is one payment."""
    story = paid()
    story.happens(ev.DerivOutcomeUnknown(code="silent", attempt=1))
    story.happens(ev.DerivAmbiguous(proof="two rows"), after_s=700)
    story.happens(ev.StaffProved(executed=False, reference="", approval="a,b"))
    story.happens(REFUNDED)
    story.attempted = True
    story.happens(told())
    story.happens(REFUSED)
    story.happens(REVERSED)
    assert (story.saga.money_at, story.balance("write_off:KES")) == ("gone", SEND.minor)
    story.happens(to_another("901"))
    standing_again = ("customer:KES", "write_off:KES", "mpesa_paybill:KES", "fx_position:USD")
    assert [story.balance(name) for name in standing_again] == [0, 0, 0, 0]
    for exit_ in (CREDITED, REFUNDED, SETTLED):
        assert isinstance(story.happens(exit_), Ignored)
    story.happens(CLOSED)
    given_back(story)


def test_each_time_that_they_pay_and_stand_again_is_a_posting_of_its_own() -> None:
    story = delivered(FEWER)
    story.happens(to_another("901"))
    story.happens(told("902"))
    story.happens(to_another("902"))
    assert {"done_otherwise", "undone", "done_otherwise:2", "undone:2"} <= story.keys
    for ref in ("903", "904"):
        story.attempted = False
        story.happens(REFUNDED)
        story.attempted = True
        story.happens(told(ref))
        story.happens(REFUSED)
        assert story.saga.money_at == "gone"
        story.happens(to_another(ref))
    assert {"covered:3", "undone:3", "covered:4", "undone:4"} <= story.keys
    assert (story.saga.money_at, story.balance("customer:KES")) == ("customer", -SEND.minor)
    story.happens(SETTLED)
    given_back(story)


def test_a_row_that_did_not_know_what_paid_is_read() -> None:
    story = delivered()
    row = to_row(story.saga, base_row(story.saga))
    assert from_row(row).delivered == (Delivery("901", RECEIVE, paid=SEND, paid_from="customer"),)
    data = json.loads(row.data)
    before = replace(row, data=json.dumps({**data, "delivered": [["901", RECEIVE.minor]]}))
    assert from_row(before).delivered == (Delivery("901", RECEIVE),)


# --- in any order ---------------------------------------------------------------------------------------------------

TELLING: tuple[ev.Event, ...] = (
    *(told(ref, dollars) for ref in ("901", "902") for dollars in (RECEIVE, FEWER, MORE)),
    *(to_another(ref) for ref in ("901", "902")),
    *(CREDITED, REFUNDED, SETTLED, SURPLUS, CLOSED, REVERSED, REFUSED, LISTED),
    ev.RefundAccepted(conversation_id="AG_1"),
    ev.StaffProved(executed=False, reference="", approval="a,b"),
)


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from([paid, delivered, believed, executed_twice]),
    st.lists(st.tuples(st.sampled_from(TELLING), st.booleans()), max_size=14),
)
def test_in_any_order_the_customer_has_dollars_or_shillings_and_the_books_know(
    begun: Callable[[], Story], history: list[tuple[ev.Event, bool]]
) -> None:
    story = begun()
    for event, story.attempted in history:
        story.happens(event, after_s=5)
        if story.saga.delivered:
            assert story.saga.money_at in {"gone", "refund_out"}, "the customer has the dollars"
        if story.saga.refund_receipt:
            assert story.saga.money_at in {"gone", "deriv_out"}, "the payer has the shillings"
        assert sum(one.paid is not None for one in story.saga.delivered) <= 1
        for currency in ("KES", "USD"):
            assert sum(amount for account, amount in story.balances.items() if account.endswith(currency)) == 0
    if story.state is State.IN_REVIEW:
        story.attempted = False
        decided_by_people(story)
        assert story.state in FINAL, f"people have no exit: {story.saga}"
    if story.state in FINAL:
        bought = sum(one.amount.minor for one in story.saga.delivered if one.paid is not None)
        assert story.balance("fx_position:USD") == bought
        assert (story.balance("customer:KES"), story.balance("suspense:KES"), story.clearing()) == (0, 0, 0)
        assert tells_its_end(story), story.saga
        assert (story.state is State.REVERSED) == (bool(story.saga.refund_receipt) and not story.saga.delivered)
