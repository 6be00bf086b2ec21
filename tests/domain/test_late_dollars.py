"""Dollars of a transfer that was given up, told of while the shillings go back: the customer keeps one of the two."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penpay.domain import deposit_events as ev
from penpay.domain.decision import Decision, Ignored
from penpay.domain.deposit import FINAL, State
from penpay.domain.deposit_row import from_row, to_row
from penpay.domain.money import Money, kes, usd
from tests.domain.books import RECEIVE, SEND, Story, base_row
from tests.domain.test_deposit_rules import accepted, decided_by_people, paid, to_another

ABSENT = ev.StaffProved(executed=False, reference="", approval="a,b")
EXECUTED = ev.StaffProved(executed=True, reference="REV1", approval="a,b")
REFUSED = ev.RefundRefused(code="R000002")
NOT_SENT = ev.RefundNotSent(code="away", attempt=1)
REVERSED = ev.RefundConfirmed(receipt="REV1")
UNKNOWN = ev.RefundOutcomeUnknown(code="silent")
FEWER, MORE = usd(900), usd(1000)
COST: Mapping[Money, int] = {FEWER: 121_050, MORE: 134_500}
"""What dollars that were not asked for like this cost in shillings, to the cent."""
PARTS = ("9.66 USD", "901", "1300.00 KES", "REV1")
"""What the question names when both ways were paid."""
EXITS = (
    ev.StaffRefunded(approval="a,b"),
    ev.StaffCredited(approval="a,b"),
    ev.StaffSettled(reference="HAND1", approval="a,b"),
)


def no_receipt() -> Story:
    """Credited on a query's word: the Reversal waits for the receipt."""
    story = accepted()
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=20)
    story.happens(ev.DerivRefused(code="x", attempt=1))
    assert (story.state, story.saga.refund) == (State.REFUND_SENDING, None)
    return story


def intended() -> Story:
    """A transfer is proven absent by people, who give the shillings back."""
    story = paid()
    story.happens(ev.DerivOutcomeUnknown(code="silent", attempt=1))
    story.happens(ev.DerivAmbiguous(proof="two rows"), after_s=700)
    story.happens(ABSENT)
    story.happens(ev.StaffRefunded(approval="a,b"))
    assert (story.state, story.does()) == (State.REFUND_SENDING, ["submit"])
    return story


def attempted() -> Story:
    """Its rail has made an attempt: it cannot be taken back."""
    story = intended()
    story.attempted = True
    return story


def sent() -> Story:
    story = attempted()
    story.happens(ev.RefundAccepted(conversation_id="AG_1"))
    return story


def unknown() -> Story:
    story = attempted()
    story.happens(UNKNOWN)
    return story


def overdue() -> Story:
    """People are asked about a Reversal that did not end."""
    story = unknown()
    story.happens(ev.Parked(error="x"))
    return story


def refused() -> Story:
    story = sent()
    story.happens(REFUSED)
    return story


def taken_back() -> Story:
    story = intended()
    story.happens(ev.Parked(error="x"))
    return story


def again() -> Story:
    """The first Reversal was refused, and people ordered another."""
    story = refused()
    story.happens(ev.StaffRefunded(approval="a,b"))
    story.happens(ev.RefundAccepted(conversation_id="AG_2"))
    return story


def reversed_() -> Story:
    story = sent()
    story.happens(REVERSED)
    return story


def by_hand() -> Story:
    story = refused()
    story.happens(ev.StaffSettled(reference="REV1", approval="a,b"))
    assert story.state is State.REVERSED
    return story


HERE: Mapping[str, Callable[[], Story]] = {
    "no receipt": no_receipt,
    "intended": intended,
    "refused": refused,
    "taken back": taken_back,
}
"""The shillings stand here, or can be had back: they pay for the dollars, and nothing is sent."""
AWAY: Mapping[str, Callable[[], Story]] = {
    "attempted": attempted,
    "sent": sent,
    "unknown": unknown,
    "overdue": overdue,
    "again": again,
}
"""The shillings may have left: what became of the Reversal is not known yet."""
DONE: Mapping[str, Callable[[], Story]] = {"reversed": reversed_, "by hand": by_hand}
"""The shillings have left."""
FAILED: tuple[ev.Event, ...] = (REFUSED, ABSENT)
"""Ends of a Reversal that did nothing, whichever way it was under way."""


def late(story: Story, dollars: Money = RECEIVE, ref: str = "901") -> str:
    """The reason of the question that the late telling puts."""
    told = story.happens(ev.DerivConfirmed(transaction_id=ref, amount=dollars, proof="reply"), after_s=60)
    assert isinstance(told, Decision)
    assert (story.state, story.questions[-1]) == (State.IN_REVIEW, "contradicting_transfer")
    assert not told.effects or [one.name for one in told.effects] == ["settled"]
    return told.reviews[-1].reason


def kept_by_us(story: Story, dollars: Money) -> None:
    """The shillings paid for the dollars: nobody gives them away again, and people close the deposit as done."""
    assert (story.saga.money_at, story.clearing(), story.balance("customer:KES")) == ("gone", 0, 0)
    assert (story.balance("deriv_agent:USD"), story.balance("write_off:USD")) == (-dollars.minor, 0)
    assert (story.balance("mpesa_paybill:KES"), story.balance("fx_position:USD")) == (SEND.minor, dollars.minor)
    rest = SEND.minor - COST.get(dollars, SEND.minor)
    assert (story.balance("suspense:KES"), story.balance("write_off:KES")) == (-max(rest, 0), max(-rest, 0))
    assert story.balance("rounding:KES") == (-73 if dollars == RECEIVE else 0)
    for exit_ in EXITS:
        story.happens(exit_)
        assert story.state is State.IN_REVIEW
    assert story.balance("mpesa_paybill:KES") == SEND.minor - max(rest, 0), "only what the dollars did not cost"
    story.happens(ev.StaffClosed(approval="a,b"))
    assert (story.state, story.questions, story.saga.failure_code) == (State.COMPLETED, [], "")


def given_twice(story: Story, reason: str) -> None:
    """Both ways were paid: the dollars are our loss, the question says so, and people only close."""
    assert all(part in reason for part in PARTS), reason
    assert (story.saga.money_at, story.clearing(), story.balance("customer:KES")) == ("gone", 0, 0)
    assert (story.balance("mpesa_paybill:KES"), story.balance("suspense:KES")) == (0, 0)
    assert (story.balance("deriv_agent:USD"), story.balance("write_off:USD")) == (-RECEIVE.minor, RECEIVE.minor)
    for exit_ in EXITS:
        assert isinstance(story.happens(exit_), Ignored)
    story.happens(ev.StaffClosed(approval="a,b"))
    assert (story.state, story.questions) == (State.COMPLETED, [])


@pytest.mark.parametrize("dollars", [RECEIVE, FEWER, MORE])
@pytest.mark.parametrize("begun", HERE.values(), ids=HERE)
def test_shillings_that_stand_here_pay_and_no_reversal_is_sent(begun: Callable[[], Story], dollars: Money) -> None:
    story = begun()
    late(story, dollars)
    assert story.saga.refund is None or story.saga.refund.state in {"WITHDRAWN", "REFUSED"}
    kept_by_us(story, dollars)


@pytest.mark.parametrize("dollars", [RECEIVE, FEWER, MORE])
@pytest.mark.parametrize("end", FAILED, ids=repr)
@pytest.mark.parametrize("begun", AWAY.values(), ids=AWAY)
def test_shillings_that_did_not_go_back_pay_for_the_dollars(
    begun: Callable[[], Story], end: ev.Event, dollars: Money
) -> None:
    story = begun()
    late(story, dollars)
    assert (story.saga.money_at, story.balance("write_off:USD")) == ("refund_out", dollars.minor)
    for exit_ in (*EXITS, ev.StaffClosed(approval="a,b")):
        assert isinstance(story.happens(exit_), Ignored), "nobody knows yet where the shillings are"
    story.happens(end)
    kept_by_us(story, dollars)


def test_shillings_of_a_reversal_that_never_left_pay_for_the_dollars() -> None:
    story = attempted()
    late(story)
    story.happens(NOT_SENT)
    kept_by_us(story, RECEIVE)


def test_shillings_of_a_reversal_that_another_question_takes_back_pay_for_the_dollars() -> None:
    """It was attempted when the dollars were told of; the attempt's end was lost, and is known to have done nothing."""
    story = attempted()
    late(story)
    story.attempted = False
    story.happens(ev.MpesaPaid(source="callback", amount=SEND, receipt="SECOND1234"))
    assert story.questions[-1] == "contradicting_payment"
    kept_by_us(story, RECEIVE)


@pytest.mark.parametrize("end", [REVERSED, EXECUTED], ids=repr)
@pytest.mark.parametrize("begun", AWAY.values(), ids=AWAY)
def test_a_reversal_that_ends_paid_was_the_second_payment(begun: Callable[[], Story], end: ev.Event) -> None:
    story = begun()
    late(story)
    told = story.happens(end)
    assert isinstance(told, Decision)
    given_twice(story, told.reviews[-1].reason)


@pytest.mark.parametrize("begun", DONE.values(), ids=DONE)
def test_dollars_behind_shillings_that_went_back_were_the_second_payment(begun: Callable[[], Story]) -> None:
    story = begun()
    given_twice(story, late(story))


def test_a_reversal_that_executes_after_its_shillings_paid_is_our_loss_and_named() -> None:
    story = sent()
    late(story)
    story.happens(REFUSED)
    told = story.happens(REVERSED)
    assert isinstance(told, Decision)
    assert all(part in told.reviews[-1].reason for part in PARTS)
    assert (story.balance("write_off:KES"), story.balance("write_off:USD")) == (SEND.minor, 0)
    assert (story.balance("mpesa_paybill:KES"), story.saga.money_at) == (0, "gone")


def test_of_two_late_transfers_the_shillings_pay_for_one() -> None:
    story = sent()
    late(story)
    late(story, ref="902")
    story.happens(REFUSED)
    assert (story.saga.money_at, story.balance("customer:KES")) == ("gone", 0)
    assert (story.balance("deriv_agent:USD"), story.balance("write_off:USD")) == (-2 * 966, 966)


def test_both_of_two_late_transfers_stand_before_people() -> None:
    story = sent()
    late(story)
    reason = late(story, ref="902")
    assert all(part in reason for part in ("9.66 USD", "901", "902"))
    told = story.happens(REVERSED)
    assert isinstance(told, Decision)
    assert all(part in told.reviews[-1].reason for part in (*PARTS, "902"))


@pytest.mark.parametrize(("misdirected", "kept"), [("901", "902"), ("902", "901")])
def test_of_two_late_transfers_one_went_to_somebody_else_and_the_shillings_pay_for_the_other(
    misdirected: str, kept: str
) -> None:
    story = sent()
    late(story)
    late(story, ref="902")
    story.happens(to_another(misdirected))
    story.happens(REFUSED)
    assert (story.saga.money_at, story.balance("customer:KES")) == ("gone", 0), "the customer has dollars for them"
    for exit_ in EXITS:
        assert isinstance(story.happens(exit_), Ignored)
    story.happens(ev.StaffClosed(approval="a,b"))
    assert (story.state, story.saga.deriv_transaction_id) == (State.COMPLETED, kept)


def test_when_both_went_to_somebody_else_the_shillings_are_the_customers() -> None:
    story = sent()
    late(story)
    late(story, ref="902")
    story.happens(to_another("902"))
    story.happens(to_another("901"))
    story.happens(REFUSED)
    assert (story.saga.money_at, story.balance("customer:KES")) == ("customer", -SEND.minor)
    assert (story.balance("deriv_agent:USD"), story.balance("write_off:USD")) == (-2 * 966, 2 * 966)


@pytest.mark.parametrize("dollars", [(FEWER, RECEIVE), (RECEIVE, FEWER)])
def test_the_shillings_pay_for_the_most_dollars_so_that_none_are_left_over(dollars: tuple[Money, Money]) -> None:
    story = sent()
    for ref, amount in zip(("901", "902"), dollars, strict=True):
        late(story, amount, ref=ref)
    story.happens(REFUSED)
    assert (story.balance("suspense:KES"), story.balance("write_off:USD")) == (0, FEWER.minor)


def test_a_row_that_knew_one_delivery_is_read() -> None:
    story = sent()
    late(story)
    row = to_row(story.saga, base_row(story.saga))
    before = {**json.loads(row.data), "delivered_minor": RECEIVE.minor}
    assert before.pop("delivered") == [["901", RECEIVE.minor]]
    assert from_row(replace(row, data=json.dumps(before))) == story.saga


def test_dollars_that_somebody_else_got_leave_the_shillings_to_the_customer() -> None:
    story = sent()
    late(story)
    story.happens(to_another("901"))
    story.happens(REFUSED)
    assert (story.saga.money_at, story.balance("customer:KES")) == ("customer", -SEND.minor)
    story.happens(ev.StaffRefunded(approval="a,b"))
    assert story.state is State.REFUND_SENDING


@pytest.mark.parametrize("arrived", [100, 500_000])
def test_shillings_that_arrived_otherwise_than_believed_pay_as_they_were_believed(arrived: int) -> None:
    """The list corrects the amount meanwhile: a surplus stays aside, a shortage stays our loss."""
    story = sent()
    late(story)
    story.happens(ev.MpesaPaid(source="pull", amount=kes(arrived), receipt="NLJ7RT61SV"))
    story.happens(REFUSED)
    surplus = arrived - SEND.minor
    assert (story.saga.money_at, story.balance("write_off:USD")) == ("gone", 0)
    assert (story.balance("suspense:KES"), story.balance("write_off:KES")) == (-max(surplus, 0), max(-surplus, 0))
    assert story.balance("mpesa_paybill:KES") == arrived


# --- the other way round: shillings that went back all the same, while the dollars are on their way ------------------


def credited_again() -> Story:
    """People proved that a Reversal had done nothing, and credited; then it is told that it had executed."""
    story = overdue()
    story.happens(ABSENT)
    story.attempted = False
    story.happens(ev.StaffCredited(approval="a,b"))
    story.attempted = True
    story.happens(REVERSED)
    assert (story.state, story.questions) == (State.IN_REVIEW, ["contradicting_refund"])
    assert (story.saga.money_at, story.balance("write_off:KES")) == ("deriv_out", SEND.minor)
    return story


TRANSFER_FAILED: tuple[ev.Event, ...] = (
    ev.DerivRefused(code="x", attempt=1),
    ev.DerivNotSent(code="x", attempt=1),
    ABSENT,
    to_another("7"),
)


@pytest.mark.parametrize("end", TRANSFER_FAILED, ids=repr)
def test_shillings_of_a_transfer_that_did_nothing_make_up_for_those_that_went_back(end: ev.Event) -> None:
    story = credited_again()
    story.happens(end)
    assert (story.saga.money_at, story.clearing(), story.balance("customer:KES")) == ("gone", 0, 0)
    assert (story.balance("mpesa_paybill:KES"), story.balance("write_off:KES")) == (0, 0)
    for exit_ in EXITS:
        assert isinstance(story.happens(exit_), Ignored)
    story.happens(ev.StaffClosed(approval="a,b"))
    assert (story.state, story.questions) == (State.REVERSED, [])


def test_dollars_behind_a_reversal_that_had_executed_were_the_second_payment() -> None:
    story = credited_again()
    told = story.happens(ev.DerivConfirmed(transaction_id="901", amount=RECEIVE, proof="reply"))
    assert isinstance(told, Decision)
    assert all(part in told.reviews[-1].reason for part in PARTS)
    assert (story.saga.money_at, story.clearing(), story.balance("write_off:KES")) == ("gone", 0, SEND.minor)
    story.happens(ev.StaffClosed(approval="a,b"))
    assert (story.state, story.questions) == (State.COMPLETED, [])


# --- in any order ---------------------------------------------------------------------------------------------------

BEGINNINGS = (*HERE.values(), *AWAY.values(), *DONE.values(), credited_again)
TELLING: tuple[ev.Event, ...] = (
    *(ev.DerivConfirmed(transaction_id="901", amount=dollars, proof="reply") for dollars in (RECEIVE, FEWER, MORE)),
    ev.DerivConfirmed(transaction_id="902", amount=RECEIVE, proof="statement"),
    *(to_another("901"), to_another("902"), REVERSED, EXECUTED, NOT_SENT, *FAILED, *TRANSFER_FAILED, *EXITS),
)
"""What decides where the money is. Among all other events, in the story of any order, these are rare."""


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(BEGINNINGS), st.lists(st.tuples(st.sampled_from(TELLING), st.booleans()), max_size=12))
def test_what_left_one_way_is_never_free_to_leave_the_other(
    begun: Callable[[], Story], history: list[tuple[ev.Event, bool]]
) -> None:
    story = begun()
    for event, story.attempted in history:
        story.happens(event, after_s=5)
        if story.saga.delivered:
            assert story.saga.money_at in {"gone", "refund_out"}, "the customer has the dollars"
        if story.saga.refund_receipt:
            assert story.saga.money_at in {"gone", "deriv_out"}, "the payer has the shillings"
        for currency in ("KES", "USD"):
            assert sum(amount for account, amount in story.balances.items() if account.endswith(currency)) == 0
    if story.state is State.IN_REVIEW:
        story.attempted = False
        decided_by_people(story)
        assert story.state in FINAL, f"people have no exit: {story.saga}"
