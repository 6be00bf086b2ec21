"""What follows from what: the deposit's rules, told as short stories."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penpay.domain import deposit_events as ev
from penpay.domain.decision import Ignored, Rejected
from penpay.domain.deposit import FINAL, TRANSITIONS, State, edges
from penpay.domain.deposit_row import STATUS
from penpay.domain.deposit_rules import HANDLERS
from penpay.domain.money import kes, usd
from penpay.domain.rules import Rules
from penpay.domain.unit import OperationState
from tests.domain.books import RECEIVE, SEND, T0, Story, new_deposit, tells_its_end

EVENTS = tuple(HANDLERS)


def started(**more: bool) -> Story:
    story = Story(saga=new_deposit(**more))
    story.happens(ev.StkStarted())
    return story


def accepted(**more: bool) -> Story:
    story = started(**more)
    story.happens(ev.RecipientChecked(ok=True), after_s=0.1)
    story.happens(ev.StkAccepted(checkout_request_id="ws_1", pushed_at=story.at), after_s=0.5)
    return story


def callback(receipt: str = "NLJ7RT61SV", *, amount: int = SEND.minor, late_s: float = 20, **more: Any) -> ev.MpesaPaid:
    return ev.MpesaPaid(
        source="callback", amount=kes(amount), receipt=receipt, paid_at=T0 + timedelta(seconds=late_s), **more
    )


def paid() -> Story:
    story = accepted()
    story.happens(callback(), after_s=20)
    return story


def confirmed(transaction_id: str = "991") -> ev.DerivConfirmed:
    return ev.DerivConfirmed(transaction_id=transaction_id, amount=RECEIVE, proof="reply")


# --- the good way -----------------------------------------------------------------------------------------------


def test_a_deposit_goes_from_the_prompt_to_the_dollars() -> None:
    story = started()
    assert (story.state, story.does()) == (State.STK_SENDING, ["check_recipient"])
    story.happens(ev.RecipientChecked(ok=True))
    assert story.does() == ["submit"]
    story.happens(ev.StkAccepted(checkout_request_id="ws_1", pushed_at=story.at), after_s=1)
    assert story.state is State.AWAITING_PAYER
    story.happens(callback(), after_s=10)
    assert (story.state, story.does()) == (State.DERIV_SENDING, ["settled", "submit"])
    assert (story.balance("mpesa_paybill:KES"), story.balance("deriv_out:KES")) == (130_000, -130_000)
    story.happens(confirmed(), after_s=1)
    assert story.state is State.COMPLETED
    assert story.clearing() == 0
    assert story.balance("deriv_agent:USD") == -966
    assert story.deposit.next_wake_at is None


@pytest.mark.parametrize(
    ("code", "told"), [("agent_funds", "float_low"), ("PaymentAgentTransferError", "recipient_refused")]
)
def test_a_check_that_fails_for_our_shortage_blames_nobody_else(code: str, told: str) -> None:
    story = started()
    story.happens(ev.RecipientChecked(ok=False, code=code))
    assert (story.state, story.deposit.failure_code) == (State.FAILED, told)


def test_a_second_identical_callback_changes_nothing() -> None:
    story = paid()
    before = story.deposit
    assert isinstance(story.happens(callback()), Ignored)
    assert story.deposit == before


def test_a_receipt_that_a_stranger_named_is_not_taken_for_the_true_one() -> None:
    story = accepted()
    story.happens(callback("FORGED0001", trusted=False, known_sender=False), after_s=5)
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=1)
    assert (story.state, story.deposit.receipt) == (State.DERIV_SENDING, "")
    story.happens(ev.MpesaPaid(source="pull", amount=SEND, receipt="NLJ7RT61SV", paid_at=T0), after_s=60)
    assert (story.state, story.deposit.receipt) == (State.DERIV_SENDING, "NLJ7RT61SV")
    assert story.balance("mpesa_paybill:KES") == SEND.minor


def test_what_a_stranger_says_of_amount_and_payer_moves_no_books() -> None:
    story = accepted()
    forged = callback("FORGED0001", amount=25_000_000, trusted=False, known_sender=False, payer_matches=False)
    story.happens(forged, after_s=5)
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=1)
    assert (story.state, story.balance("mpesa_paybill:KES")) == (State.DERIV_SENDING, SEND.minor)


def test_a_stranger_books_nothing_in_front_of_a_person() -> None:
    story = accepted()
    story.happens(ev.Parked(error="KeyError"), after_s=5)
    before = story.deposit
    assert isinstance(story.happens(callback("FORGED0001", trusted=False, known_sender=False), after_s=5), Ignored)
    assert story.deposit == before
    story.happens(ev.MpesaPaid(source="pull", amount=SEND, receipt="NLJ7RT61SV", paid_at=T0), after_s=60)
    assert (story.state, story.deposit.receipt) == (State.IN_REVIEW, "NLJ7RT61SV")


def test_a_callback_before_the_acknowledgement_is_not_lost() -> None:
    story = started()
    story.happens(callback(trusted=False), after_s=1)
    assert story.state is State.STK_SENDING
    story.happens(ev.StkAccepted(checkout_request_id="ws_1", pushed_at=story.at), after_s=1)
    assert (story.state, story.does()) == (State.AWAITING_PAYER, ["probe_stk"])
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=1)
    assert story.state is State.DERIV_SENDING
    assert story.deposit.receipt == "NLJ7RT61SV"


def claimed_while_unknown() -> Story:
    story = started()
    story.happens(ev.StkOutcomeUnknown(code="timed_out", attempted_at=story.at), after_s=30)
    story.happens(callback(trusted=False, checkout_request_id="ws_7"), after_s=5)
    return story


def test_a_claim_names_the_push_to_ask_about_when_its_acknowledgement_is_lost() -> None:
    story = claimed_while_unknown()
    assert (story.state, story.does(), story.deposit.known_checkout_id) == (State.STK_UNKNOWN, ["probe_stk"], "ws_7")
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=1)
    assert (story.state, story.deposit.receipt) == (State.DERIV_SENDING, "NLJ7RT61SV")


def test_a_claim_of_another_push_than_the_acknowledged_one_is_dropped_and_shown_to_a_person() -> None:
    story = claimed_while_unknown()
    story.happens(ev.StkAccepted(checkout_request_id="ws_1", pushed_at=story.at), after_s=5)
    assert (story.state, story.reviews, story.does()) == (State.AWAITING_PAYER, ["evidence_unusable"], [])
    assert (story.deposit.held_receipt, story.deposit.known_checkout_id) == ("", "ws_1")
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=20)
    assert (story.state, story.deposit.receipt) == (State.DERIV_SENDING, "")


# --- nobody paid ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["1", "1032", "1037", "2001"])
def test_a_refusal_by_callback_ends_without_money(code: str) -> None:
    story = accepted()
    story.happens(ev.MpesaRefused(source="callback", code=code), after_s=5)
    assert story.state is State.FAILED
    assert story.deposit.failure_code == f"mpesa_{code}"
    assert not story.keys


def test_a_query_alone_fails_nothing_before_the_grace_has_passed() -> None:
    story = accepted()
    assert isinstance(story.happens(ev.MpesaRefused(source="query", code="1032"), after_s=30), Ignored)
    assert story.state is State.AWAITING_PAYER


def test_two_agreeing_queries_after_the_grace_fail_it_and_one_does_not() -> None:
    story = accepted()
    story.happens(ev.MpesaRefused(source="query", code="1032"), after_s=181)
    assert story.state is State.AWAITING_PAYER
    story.happens(ev.MpesaRefused(source="query", code="1032"), after_s=30)
    assert story.state is State.FAILED


def test_a_query_that_decides_nothing_is_no_failed_one() -> None:
    story = accepted()
    story.happens(ev.MpesaRefused(source="query", code="4999", final=False), after_s=181)
    assert (story.state, story.deposit.failed_queries) == (State.AWAITING_PAYER, 0)
    story.happens(ev.MpesaRefused(source="query", code="1032"), after_s=20)
    story.happens(ev.MpesaRefused(source="query", code="4999", final=False), after_s=20)
    story.happens(ev.MpesaRefused(source="query", code="1032"), after_s=20)
    assert (story.state, story.deposit.failed_queries) == (State.AWAITING_PAYER, 1)


def failed_by_queries() -> Story:
    story = accepted()
    story.happens(ev.MpesaRefused(source="query", code="1032"), after_s=181)
    story.happens(ev.MpesaRefused(source="query", code="1032"), after_s=20)
    assert story.state is State.FAILED
    return story


def test_the_list_is_looked_at_before_a_second_failed_query_is_believed() -> None:
    story = accepted()
    story.happens(ev.MpesaRefused(source="query", code="1032"), after_s=181)
    assert story.does() == ["probe_pull"]
    story.happens(ev.MpesaPaid(source="pull", amount=SEND, receipt="NLJ7RT61SV", paid_at=T0), after_s=5)
    assert (story.state, story.deposit.receipt) == (State.DERIV_SENDING, "NLJ7RT61SV")


def test_a_payment_that_the_list_shows_after_false_queries_is_credited() -> None:
    story = failed_by_queries()
    assert story.deposit.next_wake_at is None
    story.happens(ev.MpesaPaid(source="pull", amount=SEND, receipt="NLJ7RT61SV", paid_at=T0), after_s=5)
    assert (story.state, story.deposit.receipt, story.deposit.failure_code) == (State.DERIV_SENDING, "NLJ7RT61SV", "")


def test_a_payment_that_the_list_shows_after_the_payer_s_side_said_no_is_credited() -> None:
    story = accepted()
    story.happens(ev.MpesaRefused(source="callback", code="1032"), after_s=5)
    assert (story.state, story.deposit.next_wake_at) == (State.FAILED, None)
    story.happens(ev.MpesaPaid(source="pull", amount=SEND, receipt="NLJ7RT61SV", paid_at=story.at), after_s=60)
    assert (story.state, story.deposit.receipt, story.deposit.failure_code) == (State.DERIV_SENDING, "NLJ7RT61SV", "")


def test_a_push_that_nobody_knows_fails_only_after_a_quarter_of_an_hour_and_a_clean_list() -> None:
    story = started()
    story.happens(ev.StkOutcomeUnknown(code="timeout", attempted_at=story.at))
    assert story.state is State.STK_UNKNOWN
    story.happens(ev.PullClean(until=story.at), after_s=600)
    assert story.state is State.STK_UNKNOWN
    story.happens(ev.PullClean(until=T0 + timedelta(seconds=500)), after_s=400)
    assert story.state is State.STK_UNKNOWN, "the list must reach beyond the quarter of an hour"
    story.happens(ev.PullClean(until=story.at), after_s=1)
    assert story.state is State.FAILED


def test_a_query_confirms_what_the_claim_says_not_what_was_asked() -> None:
    story = accepted(verify_first=True)
    story.happens(callback(amount=SEND.minor - 100), after_s=20)
    assert (story.state, story.balances) == (State.AWAITING_PAYER, {})
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=20)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["amount_mismatch"])
    assert story.balance("suspense:KES") == -(SEND.minor - 100)
    assert "probe_pull" in story.does()


@pytest.mark.parametrize(("paid_s", "leads_to"), [(650, State.DERIV_SENDING), (721, State.REFUND_SENDING)])
def test_a_push_that_waited_for_its_turn_is_paid_in_time(paid_s: int, leads_to: State) -> None:
    """Its acknowledgement comes last: when it was pushed is not known yet, only when it must have been."""
    story = started()
    paid_at = story.at + timedelta(seconds=paid_s)
    claim = ev.MpesaPaid(source="callback", amount=SEND, receipt="NLJ7RT61SV", paid_at=paid_at, trusted=False)
    story.happens(claim, after_s=paid_s)
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=5)
    assert story.state is leads_to


def test_a_claim_with_a_receipt_takes_the_place_of_one_that_said_nothing() -> None:
    story = accepted(verify_first=True)
    story.happens(ev.MpesaPaid(source="callback", amount=SEND, trusted=False), after_s=20)
    story.happens(callback(amount=SEND.minor - 100), after_s=1)
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=20)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["amount_mismatch"])
    assert story.balance("suspense:KES") == -(SEND.minor - 100)


def test_the_list_corrects_the_amount_of_a_claim() -> None:
    story = accepted(verify_first=True)
    story.happens(callback(amount=SEND.minor - 100), after_s=20)
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=20)
    story.happens(ev.MpesaPaid(source="pull", amount=SEND, receipt=story.saga.receipt), after_s=20)
    assert (story.state, story.balance("suspense:KES")) == (State.IN_REVIEW, -SEND.minor)
    assert story.balance("mpesa_paybill:KES") == SEND.minor


def test_a_claim_of_somebody_else_stays_one_when_a_query_confirms_it() -> None:
    story = accepted(verify_first=True)
    story.happens(callback(payer_matches=False), after_s=20)
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=20)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["wrong_payer"])


def test_a_claim_is_looked_up_in_the_list_as_well() -> None:
    story = accepted()
    story.happens(ev.MpesaRefused(source="callback", code="1032"), after_s=5)
    story.happens(callback(trusted=False), after_s=5)
    asked = set(story.does())
    for _ in range(2):
        story.happens(ev.Woke(), after_s=30)
        asked |= set(story.does())
    assert asked == {"probe_stk", "probe_pull"}


@pytest.mark.parametrize("executed", [True, False])
def test_a_claim_is_judged_by_people_before_its_question_is_closed(executed: bool) -> None:
    story = accepted()
    story.happens(ev.MpesaRefused(source="callback", code="1032"), after_s=5)
    story.happens(callback(amount=SEND.minor - 100, trusted=False), after_s=5)
    while story.state is State.FAILED:
        story.happens(ev.Woke(), after_s=600)
    assert story.reviews == ["payment_unconfirmed"]
    assert isinstance(story.happens(ev.StaffClosed(approval="a,b")), Ignored), "nobody has looked at the claim"
    story.happens(ev.StaffProved(executed=executed, reference="NLJ7RT61SV" if executed else "", approval="a,b"))
    assert story.balance("suspense:KES") == (-(SEND.minor - 100) if executed else 0)
    if not executed:
        story.happens(ev.StaffClosed(approval="a,b"))
        assert (story.state, story.deposit.failure_code) == (State.FAILED, "mpesa_1032"), "that is why, as before"


def test_a_push_unknown_for_hours_is_shown_to_a_person_once_and_still_asked_about() -> None:
    story = started()
    story.happens(ev.StkOutcomeUnknown(code="timeout", attempted_at=story.at))
    story.happens(ev.Woke(), after_s=Rules().unknown_max_s)
    story.happens(ev.Woke(), after_s=3600)
    assert (story.state, story.reviews, story.answered) == (State.STK_UNKNOWN, ["payment_awaited"], set())
    assert story.does() in (["probe_stk"], ["probe_pull"])
    story.happens(callback(), after_s=60)
    assert (story.state, story.answered) == (State.DERIV_SENDING, {"payment_awaited"})


def test_a_push_unknown_for_a_day_is_with_a_person() -> None:
    story = started()
    story.happens(ev.StkOutcomeUnknown(code="timeout", attempted_at=story.at))
    story.happens(ev.Woke(), after_s=Rules().unknown_max_s)
    story.happens(ev.Woke(), after_s=Rules().stk_watch_max_s)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["payment_awaited", "payment_unknown"])


def test_an_intent_too_old_to_be_sent_fails_without_a_push() -> None:
    story = started()
    story.happens(ev.Woke(attempted=False), after_s=121)
    assert story.state is State.FAILED
    assert story.deposit.stk is not None
    assert story.deposit.stk.state is OperationState.WITHDRAWN


def test_cancel_works_only_before_the_push() -> None:
    early, late = started(), accepted()
    early.happens(ev.CancelRequested())
    assert (early.state, early.deposit.failure_code) == (State.FAILED, "cancelled")
    assert late.happens(ev.CancelRequested()) == Rejected("not_cancellable")


# --- money that comes another way -------------------------------------------------------------------------------


def test_a_late_success_reopens_a_failed_deposit_and_is_credited_when_it_was_paid_in_time() -> None:
    story = accepted()
    story.happens(ev.MpesaRefused(source="callback", code="1037"), after_s=60)
    story.happens(callback(late_s=300), after_s=3600 * 40)
    assert story.state is State.DERIV_SENDING
    story.happens(confirmed())
    assert story.state is State.COMPLETED


def test_a_payment_made_after_ten_minutes_is_refunded_from_suspense() -> None:
    story = accepted()
    story.happens(ev.MpesaRefused(source="callback", code="1037"), after_s=60)
    story.happens(callback(late_s=700), after_s=700)
    assert (story.state, story.balance("suspense:KES"), story.balance("refund_out:KES")) == (
        State.REFUND_SENDING,
        0,
        -130_000,
    )
    story.happens(ev.RefundAccepted())
    story.happens(ev.RefundConfirmed(receipt="R1"))
    assert story.state is State.REVERSED
    assert (story.clearing(), story.balance("mpesa_paybill:KES")) == (0, 0)


@pytest.mark.parametrize("verify_first", [False, True])
def test_nobody_pays_after_we_heard_of_it(verify_first: bool) -> None:
    """A provider's clock that is ahead of ours, or in another zone, makes no payment late."""
    story = accepted(verify_first=verify_first)
    story.happens(callback(late_s=3 * 3600), after_s=20)
    if verify_first:
        story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=900)
    assert (story.state, story.deposit.paid_at) == (State.DERIV_SENDING, T0 + timedelta(seconds=20.6))


@pytest.mark.parametrize(
    ("amount", "payer_matches", "kind"),
    [(129_900, True, "amount_mismatch"), (130_100, True, "amount_mismatch"), (130_000, False, "wrong_payer")],
)
def test_what_arrives_otherwise_goes_to_suspense_and_a_person(amount: int, payer_matches: bool, kind: str) -> None:
    story = accepted()
    story.happens(callback(amount=amount, payer_matches=payer_matches), after_s=5)
    assert (story.state, story.reviews, story.balance("suspense:KES")) == (State.IN_REVIEW, [kind], -amount)
    assert story.balance("customer:KES") == 0


def test_a_large_payment_waits_for_a_query() -> None:
    story = accepted(verify_first=True)
    story.happens(callback(), after_s=5)
    assert (story.state, story.does(), story.keys) == (State.AWAITING_PAYER, ["probe_stk"], set())
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=5)
    assert (story.state, story.deposit.receipt) == (State.DERIV_SENDING, "NLJ7RT61SV")


def test_a_held_payment_that_no_query_confirms_goes_to_a_person_and_never_fails() -> None:
    story = accepted(verify_first=True)
    story.happens(callback(), after_s=5)
    for _ in range(40):
        story.happens(ev.MpesaRefused(source="query", code="1032"), after_s=15)
        story.happens(ev.PullClean(until=story.at), after_s=15)
        story.happens(ev.Woke(attempted=True), after_s=15)
        assert story.state is not State.FAILED
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["payment_unconfirmed"])


def test_a_claim_that_comes_behind_a_long_silence_is_asked_about_before_a_person_is() -> None:
    story = accepted()
    story.happens(callback(trusted=False), after_s=3 * 3600)
    came_at = story.at
    asked = set()
    while story.state is not State.IN_REVIEW:
        asked |= set(story.does())
        story.happens(ev.Woke(), after_s=(story.deposit.next_wake_at - story.at).total_seconds())
    assert asked >= {"probe_stk", "probe_pull"}
    assert story.reviews == ["payment_unconfirmed"]
    assert timedelta(minutes=5) < story.at - came_at < timedelta(minutes=15)


def test_a_late_claim_is_looked_for_in_the_list_where_queries_say_nothing() -> None:
    """As they do of another amount: without the list nobody would ever know how much arrived."""
    story = accepted()
    story.happens(ev.MpesaRefused(source="callback", code="1032"), after_s=5)
    assert story.state is State.FAILED
    story.happens(callback(trusted=False, amount=129_900), after_s=5)
    asked = [*story.does()]
    for _ in range(3):
        story.happens(ev.QueryPending(), after_s=1)
        story.happens(ev.Woke(attempted=True), after_s=30)
        asked += story.does()
    assert {"probe_stk", "probe_pull"} <= set(asked)
    story.happens(ev.PullClean(until=story.at), after_s=1)
    assert story.deposit.held_receipt
    story.happens(ev.MpesaPaid(source="pull", amount=kes(129_900), receipt="NLJ7RT61SV"), after_s=1)
    assert (story.state, story.reviews, story.balance("suspense:KES")) == (
        State.IN_REVIEW,
        ["amount_mismatch"],
        -129_900,
    )


def test_a_query_credits_and_the_receipt_comes_later() -> None:
    story = accepted()
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=30)
    assert (story.state, story.deposit.receipt, story.reviews) == (State.DERIV_SENDING, "", ["receipt_missing"])
    posted = set(story.keys)
    story.happens(callback(), after_s=100)
    assert (story.deposit.receipt, story.keys) == ("NLJ7RT61SV", posted)


@pytest.mark.parametrize("delivered", [False, True])
def test_a_receipt_of_another_payer_that_comes_later_posts_nothing_and_is_shown_to_a_person(delivered: bool) -> None:
    story = accepted()
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=30)
    if delivered:
        story.happens(confirmed())
    posted = set(story.keys)
    listed = ev.MpesaPaid(source="pull", amount=SEND, receipt="NLJ7RT61SV", payer_matches=False)
    story.happens(listed, after_s=100)
    assert (story.state, story.deposit.receipt) == (State.IN_REVIEW, "NLJ7RT61SV")
    assert (story.reviews, story.answered) == (["receipt_missing", "wrong_payer"], {"receipt_missing"})
    assert {key for key in story.keys if key.startswith("suspense")} == set()
    if delivered:
        assert story.keys == posted


def test_dollars_that_arrive_answer_no_question_about_who_paid() -> None:
    story = accepted()
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=30)
    story.happens(ev.DerivOutcomeUnknown(code="dropped", attempt=1))
    story.happens(ev.MpesaPaid(source="pull", amount=SEND, receipt="NLJ7RT61SV", payer_matches=False), after_s=100)
    story.happens(confirmed())
    assert (story.state, story.deposit.failure_code) == (State.IN_REVIEW, "wrong_payer")


def test_what_is_given_back_to_whoever_paid_asks_nobody_who_that_was() -> None:
    story = accepted()
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=30)
    story.happens(ev.DerivRefused(code="PaymentAgentTransferError", attempt=1))
    story.happens(ev.MpesaPaid(source="pull", amount=SEND, receipt="NLJ7RT61SV", payer_matches=False), after_s=100)
    assert (story.state, story.reviews) == (State.REFUND_SENDING, ["receipt_missing"])
    assert story.deposit.refund is not None


def test_a_refund_without_a_receipt_waits_for_one() -> None:
    story = accepted()
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=30)
    story.happens(ev.DerivRefused(code="PaymentAgentTransferError", attempt=1))
    assert (story.state, story.deposit.refund) == (State.REFUND_SENDING, None)
    story.happens(ev.Woke(attempted=True), after_s=60)
    assert story.does() == ["probe_pull"]
    story.happens(ev.MpesaPaid(source="pull", amount=SEND, receipt="ABC1234567"))
    assert story.does() == ["submit"]
    assert story.deposit.refund is not None


def test_a_second_receipt_for_a_completed_deposit_is_looked_at() -> None:
    story = paid()
    story.happens(confirmed())
    story.happens(callback("OTHER12345"))
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["contradicting_payment"])


def asked_while_sending() -> Story:
    story = paid()
    story.attempted = True
    story.happens(callback("OTHER12345"))
    assert (story.state, story.balance("deriv_out:KES")) == (State.IN_REVIEW, -130_000)
    return story


@pytest.mark.parametrize(
    "end",
    [
        ev.DerivRefused(code="x", attempt=1),
        ev.DerivRefused(code="x", attempt=1, hold=True),
        ev.DerivNotSent(code="x", attempt=1),
    ],
)
def test_a_transfer_that_did_nothing_while_people_were_asked_leaves_its_shillings_free(end: ev.Event) -> None:
    story = asked_while_sending()
    story.happens(end)
    assert story.deposit.transfer is not None
    assert story.deposit.transfer.state is OperationState.REFUSED
    assert (story.state, story.balance("deriv_out:KES"), story.balance("customer:KES")) == (
        State.IN_REVIEW,
        0,
        -130_000,
    )
    story.happens(ev.StaffRefunded(approval="a,b"))
    assert story.does() == ["submit"]


def test_a_refusal_in_review_proves_nothing_while_an_attempt_is_unknown() -> None:
    story = asked_while_sending()
    story.happens(ev.DerivOutcomeUnknown(code="silent", attempt=1))
    story.happens(ev.DerivRefused(code="x", attempt=2))
    story.happens(ev.DerivNotSent(code="x", attempt=2))
    assert story.deposit.transfer is not None
    assert story.deposit.transfer.state is OperationState.UNKNOWN
    assert story.balance("deriv_out:KES") == -130_000


# --- a query that was believed about another amount --------------------------------------------------------------


def believed() -> Story:
    story = accepted()
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=30)
    return story


def standing(story: Story) -> dict[str, int]:
    names = ("mpesa_paybill", "customer", "suspense", "deriv_out", "write_off")
    return {name: story.balance(f"{name}:KES") for name in names if story.balance(f"{name}:KES")}


@pytest.mark.parametrize("arrived", [100, 129_900, 500_000])
def test_what_has_not_left_yet_stands_in_suspense_as_it_arrived(arrived: int) -> None:
    story = believed()
    story.happens(callback(amount=arrived), after_s=5)
    assert (story.state, story.reviews[-1]) == (State.IN_REVIEW, "amount_mismatch")
    assert standing(story) == {"mpesa_paybill": arrived, "suspense": -arrived}
    story.happens(ev.StaffRefunded(approval="a,b"))
    assert story.does() == ["submit"]
    story.happens(ev.RefundConfirmed(receipt="R1"))
    assert (story.state, standing(story)) == (State.REVERSED, {})


@pytest.mark.parametrize(
    ("arrived", "stands"),
    [(100, {"mpesa_paybill": 100, "write_off": 129_900}), (500_000, {"mpesa_paybill": 500_000, "suspense": -370_000})],
)
def test_of_what_has_left_the_difference_is_booked_and_people_close_it(arrived: int, stands: dict[str, int]) -> None:
    story = believed()
    story.happens(confirmed(), after_s=1)
    story.happens(callback(amount=arrived), after_s=5)
    assert (story.state, story.reviews[-1]) == (State.IN_REVIEW, "amount_mismatch")
    assert standing(story) == stands
    if "suspense" in stands:
        assert isinstance(story.happens(ev.StaffClosed(approval="a,b")), Ignored), "shillings of the payer stand here"
        story.happens(ev.StaffSettled(reference="HAND1", approval="a,b"))
    story.happens(ev.StaffClosed(approval="a,b"))
    assert (story.state, story.balance("suspense:KES")) == (State.COMPLETED, 0)


def test_the_end_of_a_transfer_does_not_answer_a_question_about_its_payment() -> None:
    story = believed()
    story.attempted = True
    story.happens(callback(amount=500_000), after_s=5)
    assert standing(story) == {"mpesa_paybill": 500_000, "suspense": -370_000, "deriv_out": -130_000}
    story.happens(confirmed(), after_s=1)
    assert (story.state, story.clearing()) == (State.IN_REVIEW, 0)


def listed(story: Story, arrived: int) -> None:
    """The list of payments names the same receipt with another amount, twice."""
    for _ in range(2):
        story.happens(ev.MpesaPaid(source="pull", amount=kes(arrived), receipt="NLJ7RT61SV"), after_s=5)
    assert (story.state, story.reviews[-1]) == (State.IN_REVIEW, "amount_mismatch")
    assert story.balance("mpesa_paybill:KES") == arrived


@pytest.mark.parametrize("arrived", [100, 129_900, 500_000])
def test_shillings_of_a_transfer_that_did_nothing_come_back_as_they_arrived(arrived: int) -> None:
    story = believed()
    story.attempted = True
    story.happens(ev.DerivOutcomeUnknown(code="dropped", attempt=1))
    listed(story, arrived)
    story.happens(ev.StaffProved(executed=False, reference="", approval="a,b"))
    assert (standing(story), story.deposit.set_aside) == ({"mpesa_paybill": arrived, "suspense": -arrived}, None)
    story.happens(ev.StaffRefunded(approval="a,b"))
    story.happens(ev.RefundConfirmed(receipt="R1"))
    assert (story.state, standing(story)) == (State.REVERSED, {})


def reversing(arrived: int) -> Story:
    """A Reversal over the amount that was believed is on its way."""
    story = accepted(verify_first=True)
    story.happens(callback(), after_s=20)
    story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=20)
    story.attempted = True
    story.happens(ev.DerivRefused(code="PaymentAgentTransferError", attempt=1), after_s=1)
    assert (story.state, story.does()) == (State.REFUND_SENDING, ["submit"])
    listed(story, arrived)
    return story


@pytest.mark.parametrize("arrived", [100, 129_900, 500_000])
def test_a_reversal_of_another_amount_is_refused_and_the_payment_stands_as_it_arrived(arrived: int) -> None:
    story = reversing(arrived)
    story.happens(ev.RefundRefused(code="R000002"), after_s=5)
    assert (standing(story), story.deposit.set_aside) == ({"mpesa_paybill": arrived, "suspense": -arrived}, None)
    story.happens(ev.StaffRefunded(approval="a,b"))
    assert story.balance("refund_out:KES") == -arrived
    story.happens(ev.RefundConfirmed(receipt="R1"))
    assert (story.state, standing(story)) == (State.REVERSED, {})


def test_a_reversal_of_another_amount_that_succeeds_is_looked_at() -> None:
    story = reversing(129_900)
    story.happens(ev.RefundConfirmed(receipt="R1"))
    assert (story.state, story.reviews[-1]) == (State.IN_REVIEW, "contradicting_refund")
    assert standing(story) == {"mpesa_paybill": -100, "write_off": 100}


def test_a_surplus_that_people_gave_back_meanwhile_stays_given_back() -> None:
    story = reversing(500_000)
    story.happens(ev.StaffSettled(reference="HAND1", approval="a,b"))
    story.happens(ev.RefundRefused(code="R000002"), after_s=5)
    assert standing(story) == {"mpesa_paybill": 130_000, "customer": -130_000}


def test_one_reversal_by_hand_settles_a_surplus_and_then_the_rest() -> None:
    story = reversing(500_000)
    story.happens(ev.StaffSettled(reference="HAND1", approval="a,b"))
    story.happens(ev.RefundRefused(code="R000002"), after_s=5)
    story.happens(ev.StaffSettled(reference="HAND1", approval="a,b"))
    assert (story.state, standing(story)) == (State.REVERSED, {})


def test_a_list_that_changes_its_mind_corrects_nothing_twice() -> None:
    story = reversing(129_900)
    story.happens(ev.MpesaPaid(source="pull", amount=kes(129_800), receipt="NLJ7RT61SV"), after_s=5)
    assert (story.reviews[-1], story.balance("mpesa_paybill:KES")) == ("contradicting_payment", 129_900)


# --- what people know -------------------------------------------------------------------------------------------


def unknown_for_good() -> Story:
    story = paid()
    story.happens(ev.DerivOutcomeUnknown(code="dropped", attempt=1))
    story.happens(ev.DerivAmbiguous(proof="two rows"), after_s=700)
    assert story.state is State.IN_REVIEW
    return story


def test_people_say_that_an_unknown_transfer_was_executed() -> None:
    story = unknown_for_good()
    story.happens(ev.StaffProved(executed=True, reference="991", approval="a,b"))
    assert (story.state, story.deposit.deriv_transaction_id, story.clearing()) == (State.COMPLETED, "991", 0)


def test_people_say_that_it_was_not_and_then_give_the_money_back() -> None:
    story = unknown_for_good()
    story.happens(ev.StaffProved(executed=False, reference="", approval="a,b"))
    assert (story.state, story.balance("customer:KES")) == (State.IN_REVIEW, -130_000)
    story.happens(ev.StaffRefunded(approval="a,b"))
    story.happens(ev.RefundConfirmed(receipt="R1"))
    assert story.state is State.REVERSED


def test_a_decision_to_deliver_answers_what_it_was_asked() -> None:
    story = paid()
    story.happens(ev.Parked(error="KeyError"))
    assert story.questions == ["parked"]
    story.happens(ev.StaffCredited(approval="a,b"))
    assert (story.state, story.questions) == (State.DERIV_SENDING, [])


def test_a_decision_to_give_back_answers_what_it_was_asked() -> None:
    story = unknown_for_good()
    story.happens(ev.StaffProved(executed=False, reference="", approval="a,b"))
    story.happens(ev.StaffRefunded(approval="a,b"))
    assert (story.state, story.questions) == (State.REFUND_SENDING, [])


@pytest.mark.parametrize("by_staff", [False, True])
def test_a_missing_receipt_stays_a_question_until_it_comes(*, by_staff: bool) -> None:
    story = believed()
    story.attempted = not by_staff
    story.happens(ev.Parked(error="KeyError"))
    assert story.questions == ["receipt_missing", "parked"]
    if by_staff:
        story.happens(ev.StaffCredited(approval="a,b"))
    story.happens(confirmed())
    assert (story.state, story.questions) == (State.COMPLETED, ["receipt_missing"])
    story.happens(callback(), after_s=5)
    assert (story.deposit.receipt, story.questions) == ("NLJ7RT61SV", [])


def test_evidence_that_contradicts_people_reopens_what_they_decided() -> None:
    story = unknown_for_good()
    story.happens(ev.StaffProved(executed=False, reference="", approval="a,b"))
    story.happens(ev.StaffSettled(reference="HAND1", approval="a,b"))
    assert story.state is State.REVERSED
    story.happens(ev.DerivConfirmed(transaction_id="7", amount=RECEIVE, proof="statement"))
    assert (story.state, story.reviews[-1]) == (State.IN_REVIEW, "contradicting_transfer")


def refund_given_up() -> Story:
    """Two people said that the Reversal did nothing."""
    story = paid()
    story.happens(ev.DerivRefused(code="x", attempt=1))
    story.happens(ev.RefundOutcomeUnknown(code="timed_out"))
    story.happens(ev.Woke(), after_s=90_000)
    story.happens(ev.StaffProved(executed=False, reference="", approval="a,b"))
    assert (story.state, story.balance("customer:KES")) == (State.IN_REVIEW, -130_000)
    return story


def test_a_reversal_that_succeeds_after_people_settled_by_hand_is_booked_and_looked_at() -> None:
    story = refund_given_up()
    story.happens(ev.StaffSettled(reference="HAND1", approval="a,b"))
    story.happens(ev.RefundConfirmed(receipt="R1"))
    assert (story.state, story.reviews[-1]) == (State.IN_REVIEW, "contradicting_refund")
    assert (story.balance("mpesa_paybill:KES"), story.balance("write_off:KES")) == (-130_000, 130_000)
    story.happens(ev.StaffClosed(approval="a,b"))
    assert isinstance(story.happens(ev.RefundConfirmed(receipt="R1")), Ignored), "it is booked"


@pytest.mark.parametrize("on_hold", [False, True])
def test_a_reversal_that_succeeds_before_the_transfer_is_sent_takes_its_shillings(*, on_hold: bool) -> None:
    story = refund_given_up()
    story.happens(ev.StaffCredited(approval="a,b"))
    if on_hold:
        story.happens(ev.DerivNotSent(code="away", attempt=1))
        assert story.state is State.DERIV_HELD
    story.happens(ev.RefundConfirmed(receipt="R1"))
    assert (story.state, story.deposit.transfer.state) == (State.IN_REVIEW, OperationState.WITHDRAWN)
    assert (story.balance("mpesa_paybill:KES"), story.balance("customer:KES"), story.clearing()) == (0, 0, 0)
    assert story.balance("write_off:KES") == 0
    story.happens(ev.StaffClosed(approval="a,b"))
    assert story.state is State.REVERSED


@pytest.mark.parametrize("unknown_end", [False, True])
def test_a_reversal_that_succeeds_after_the_transfer_is_sent_is_our_loss_and_stays_a_question(
    *, unknown_end: bool
) -> None:
    story = refund_given_up()
    story.happens(ev.StaffCredited(approval="a,b"))
    story.attempted = True
    if unknown_end:
        story.happens(ev.DerivOutcomeUnknown(code="timed_out", attempt=1))
    story.happens(ev.RefundConfirmed(receipt="R1"))
    assert (story.balance("write_off:KES"), story.balance("deriv_out:KES")) == (130_000, -130_000)
    story.happens(confirmed())
    assert (story.state, story.clearing(), story.balance("deriv_agent:USD")) == (State.IN_REVIEW, 0, -966)
    assert story.questions == ["contradicting_refund", "contradicting_transfer"], (
        "it names both, now that both are known"
    )
    story.happens(ev.StaffClosed(approval="a,b"))
    assert story.state is State.COMPLETED


def test_dollars_of_a_transfer_that_was_given_up_are_paid_with_shillings_that_were_only_to_go_back() -> None:
    story = unknown_for_good()
    story.happens(ev.StaffProved(executed=False, reference="", approval="a,b"))
    story.happens(ev.StaffRefunded(approval="a,b"))
    story.happens(confirmed("7"))
    assert (story.state, story.reviews[-1]) == (State.IN_REVIEW, "contradicting_transfer")
    assert (story.balance("write_off:USD"), story.balance("customer:KES"), story.clearing()) == (0, 0, 0)


# --- dollars ----------------------------------------------------------------------------------------------------


def test_a_refused_transfer_is_given_back() -> None:
    story = paid()
    story.happens(ev.DerivRefused(code="PaymentAgentTransferError", attempt=1), after_s=1)
    assert (story.state, story.does()) == (State.REFUND_SENDING, ["submit"])
    story.happens(ev.RefundConfirmed(receipt="R1"), after_s=5)
    assert (story.state, story.clearing(), story.balance("customer:KES")) == (State.REVERSED, 0, 0)


def test_a_refusal_of_our_side_waits_and_tries_again() -> None:
    story = paid()
    story.happens(ev.DerivRefused(code="RateLimit", attempt=1, hold=True))
    assert story.state is State.DERIV_HELD
    story.happens(ev.Woke(attempted=True), after_s=30)
    assert (story.state, story.does()) == (State.DERIV_SENDING, ["submit"])
    assert story.deposit.transfer is not None
    assert story.deposit.transfer.attempts_closed == 1


@pytest.mark.parametrize(
    ("end", "state", "does"),
    [
        (ev.DerivRefused(code="PaymentAgentTransferError", attempt=2), State.REFUND_SENDING, ["submit"]),
        (ev.DerivRefused(code="RateLimit", attempt=2, hold=True), State.DERIV_HELD, []),
        (ev.DerivNotSent(code="not_connected", attempt=2), State.DERIV_HELD, []),
        (ev.DerivOutcomeUnknown(code="timed_out", attempt=2), State.DERIV_UNKNOWN, ["resolve"]),
    ],
)
def test_an_attempt_that_was_asked_for_before_the_pause_and_made_in_it_ends_like_any_other(
    end: ev.Event, state: State, does: list[str]
) -> None:
    """A rail that was asked once more during the first attempt makes the next one as soon as the first has ended."""
    story = paid()
    story.happens(ev.DerivRefused(code="RateLimit", attempt=1, hold=True), after_s=12)
    story.happens(end, after_s=1)
    assert (story.state, story.does()) == (state, does)
    if state is State.DERIV_HELD:
        assert story.deposit.transfer is not None
        assert story.deposit.transfer.attempts_closed == 2, "the rail makes no other one before it knows"


@pytest.mark.parametrize("on_hold", [False, True])
def test_a_refusal_behind_an_attempt_whose_end_is_not_told_is_only_noted(*, on_hold: bool) -> None:
    story = paid()
    if on_hold:
        story.happens(ev.DerivNotSent(code="not_connected", attempt=1))
    before = story.state
    story.happens(ev.DerivRefused(code="PaymentAgentTransferError", attempt=3))
    assert (story.state, story.balance("deriv_out:KES")) == (before, -SEND.minor)


def test_a_lost_reply_is_resolved_by_the_statement_and_never_resent() -> None:
    story = paid()
    story.happens(ev.DerivOutcomeUnknown(code="dropped", attempt=1))
    assert (story.state, story.does()) == (State.DERIV_UNKNOWN, ["resolve"])
    story.happens(ev.Woke(attempted=True), after_s=30)
    assert story.does() == ["resolve"]
    story.happens(ev.DerivConfirmed(transaction_id="7", amount=RECEIVE, proof="statement"), after_s=30)
    assert story.state is State.COMPLETED


def test_a_refusal_while_the_outcome_is_unknown_proves_nothing() -> None:
    story = paid()
    story.happens(ev.DerivOutcomeUnknown(code="dropped", attempt=1))
    story.happens(ev.DerivRefused(code="PaymentAgentTransferError", attempt=1))
    assert story.state is State.DERIV_UNKNOWN
    assert "void" not in story.keys


def test_proven_absence_allows_one_more_attempt_and_a_second_unknown_goes_to_a_person() -> None:
    story = paid()
    story.happens(ev.DerivOutcomeUnknown(code="dropped", attempt=1))
    story.happens(ev.DerivAbsent(proof="two reads", attempt=1), after_s=700)
    assert (story.state, story.does()) == (State.DERIV_SENDING, ["submit"])
    assert story.deposit.transfer is not None
    assert story.deposit.transfer.attempts_closed == 1
    story.happens(ev.DerivOutcomeUnknown(code="dropped", attempt=2))
    before = story.deposit
    assert isinstance(story.happens(ev.DerivAbsent(proof="two reads", attempt=1), after_s=1), Ignored)
    assert story.deposit == before, "the first attempt's absence says nothing about the second"
    story.happens(ev.DerivAbsent(proof="two reads", attempt=2), after_s=700)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["transfer_unknown_twice"])


def test_a_transfer_of_another_amount_stops_in_front_of_a_person() -> None:
    story = paid()
    story.happens(ev.DerivConfirmed(transaction_id="7", amount=usd(967), proof="reply"))
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["contradicting_transfer"])
    assert "done" not in story.keys
    assert (story.balance("deriv_agent:USD"), story.clearing(), story.balance("write_off:KES")) == (-967, 0, 61)


def to_another(transaction_id: str = "7", attempt: int = 1) -> ev.DerivPaidAnother:
    return ev.DerivPaidAnother(transaction_id=transaction_id, loginid="CR2", attempt=attempt)


def test_dollars_that_somebody_else_got_are_our_loss_and_a_person_looks() -> None:
    story = paid()
    story.happens(to_another())
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["contradicting_transfer"])
    assert (story.balance("deriv_agent:USD"), story.balance("write_off:USD")) == (-966, 966)
    assert (story.clearing(), story.balance("customer:KES")) == (0, -130_000)
    assert isinstance(story.happens(to_another()), Ignored)
    found = ev.DerivConfirmed(transaction_id="7", amount=RECEIVE, proof="statement")
    assert isinstance(story.happens(found), Ignored), "the statement shows what Deriv said of somebody else"
    story.happens(ev.StaffCredited(approval="a,b"))
    story.happens(confirmed("8"))
    assert (story.state, story.deposit.deriv_transaction_id) == (State.COMPLETED, "8")


def test_a_deposit_that_a_statement_completed_is_looked_at_when_somebody_else_got_the_dollars() -> None:
    story = paid()
    story.happens(ev.DerivOutcomeUnknown(code="timed_out", attempt=1))
    story.happens(ev.DerivConfirmed(transaction_id="7", amount=RECEIVE, proof="statement"))
    story.happens(to_another())
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["contradicting_transfer"])
    assert (story.balance("deriv_agent:USD"), story.balance("write_off:USD")) == (-966, 966), "booked once"


def test_what_somebody_else_got_by_an_earlier_attempt_does_not_end_the_one_under_way() -> None:
    story = paid()
    story.happens(ev.DerivOutcomeUnknown(code="timed_out", attempt=1))
    story.happens(ev.DerivAbsent(proof="two reads", attempt=1), after_s=700)
    story.attempted = True
    story.happens(to_another(attempt=1))
    assert (story.state, story.balance("deriv_out:KES")) == (State.IN_REVIEW, -130_000)
    story.happens(confirmed("8"))
    assert (story.saga.money_at, story.balance("deriv_agent:USD")) == ("gone", -2 * 966)


def executed_twice() -> Story:
    """The statement shows 902; then the reply of the first attempt, 901, arrives."""
    story = paid()
    story.happens(ev.DerivOutcomeUnknown(code="timed_out", attempt=1))
    story.happens(ev.DerivAbsent(proof="two reads", attempt=1), after_s=700)
    story.happens(ev.DerivOutcomeUnknown(code="timed_out", attempt=2))
    story.happens(confirmed("902"))
    story.happens(confirmed("901"))
    assert (story.state, story.balance("deriv_agent:USD")) == (State.IN_REVIEW, -2 * 966)
    return story


def test_a_movement_that_is_told_again_after_another_one_is_booked_once() -> None:
    story = executed_twice()
    for known in ("902", "901"):
        assert isinstance(story.happens(confirmed(known)), Ignored)
    story.happens(to_another("902", attempt=2))
    assert (story.reviews[-1], story.balance("deriv_agent:USD")) == ("contradicting_transfer", -2 * 966)


def test_a_movement_to_somebody_else_that_is_told_again_after_another_one_is_booked_once() -> None:
    story = paid()
    for one in ("7", "8", "7"):
        story.happens(to_another(one))
    assert isinstance(story.happens(confirmed("8")), Ignored)
    assert story.balance("deriv_agent:USD") == -2 * 966


def test_shillings_that_a_smaller_transfer_left_over_are_set_aside_until_people_settled_them() -> None:
    story = paid()
    story.happens(ev.DerivConfirmed(transaction_id="7", amount=usd(900), proof="reply"))
    cost = 900 * 1295 // 10 + 900 * 5
    assert (story.balance("deriv_agent:USD"), story.balance("suspense:KES")) == (-900, cost - 130_000)
    story.happens(ev.StaffSettled(reference="HAND1", approval="a,b"))
    story.happens(ev.StaffClosed(approval="a,b"))
    assert (story.state, story.balance("suspense:KES")) == (State.COMPLETED, 0)


def test_a_frozen_customers_money_is_booked_and_nothing_is_sent() -> None:
    story = accepted()
    story.frozen = True
    story.happens(callback(), after_s=5)
    assert (story.state, story.balance("customer:KES"), story.deposit.transfer) == (State.IN_REVIEW, -130_000, None)


def held() -> Story:
    story = paid()
    story.happens(ev.DerivNotSent(code="away", attempt=1))
    return story


def unknown() -> Story:
    story = paid()
    story.happens(ev.DerivOutcomeUnknown(code="timeout", attempt=1))
    return story


def refunding() -> Story:
    story = paid()
    story.happens(ev.DerivRefused(code="x", attempt=1))
    return story


@pytest.mark.parametrize(
    ("story", "event"),
    [
        (paid, ev.DerivNotSent(code="away", attempt=1)),
        (paid, ev.DerivRefused(code="empty", attempt=1, hold=True)),
        (paid, ev.DerivRefused(code="x", attempt=1)),
        (paid, ev.Woke()),
        (held, ev.Woke()),
        (unknown, ev.DerivAbsent(proof="statement", attempt=1)),
        (refunding, ev.RefundNotSent(code="away", attempt=1)),
        (refunding, ev.Woke()),
    ],
)
def test_what_a_frozen_customer_would_get_next_waits_for_two_people(
    story: Callable[[], Story], event: ev.Event
) -> None:
    told = story()
    told.frozen = True
    told.happens(event)
    assert (told.state, told.reviews) == (State.IN_REVIEW, ["account_frozen"])
    assert (told.balance("customer:KES"), told.clearing()) == (-130_000, 0)


@pytest.mark.parametrize("story", [paid, refunding])
def test_what_was_begun_before_the_customer_was_frozen_is_waited_for(story: Callable[[], Story]) -> None:
    told = story()
    state, told.frozen, told.attempted = told.state, True, True
    told.happens(ev.Woke(attempted=True), after_s=10)
    assert (told.state, told.does(), told.reviews) == (state, ["submit"], [])


def test_a_push_that_never_left_is_not_repeated_for_a_frozen_customer() -> None:
    story = started()
    story.frozen = True
    story.happens(ev.StkNotSent(code="away", attempt=1))
    assert (story.state, story.deposit.failure_code, story.balances) == (State.FAILED, "account_frozen", {})


def test_a_refused_refund_keeps_the_money_visible() -> None:
    story = paid()
    story.happens(ev.DerivRefused(code="x", attempt=1))
    story.happens(ev.RefundRefused(code="2001"))
    assert (story.state, story.balance("customer:KES"), story.clearing()) == (State.IN_REVIEW, -130_000, 0)


# --- the table --------------------------------------------------------------------------------------------------


def test_every_state_and_event_has_its_place() -> None:
    assert TRANSITIONS.keys() == set(State) == STATUS.keys()
    named = {event for row in TRANSITIONS.values() for event in row}
    assert named == set(EVENTS), "an event that no state takes, or one without a rule"
    assert {target for row in TRANSITIONS.values() for targets in row.values() for target in targets} | {
        State.CREATED,
        State.PAID,
    } == set(State)


amounts = st.sampled_from([SEND, SEND, SEND, kes(100)])
receipts = st.sampled_from(["", "AAAAAAAAA1", "BBBBBBBBB2"])
attempts = st.integers(min_value=1, max_value=3)
things = st.one_of(
    st.builds(ev.RecipientChecked, ok=st.booleans(), code=st.just("x")),
    st.builds(ev.StkAccepted, checkout_request_id=st.just("ws_1"), pushed_at=st.just(T0)),
    st.builds(ev.StkRefused, code=st.just("x")),
    st.builds(ev.StkNotSent, code=st.just("x"), attempt=attempts, expired=st.booleans()),
    st.builds(ev.StkOutcomeUnknown, code=st.just("x"), attempted_at=st.just(T0)),
    st.builds(
        ev.MpesaPaid,
        source=st.sampled_from(["callback", "query", "pull"]),
        amount=amounts,
        receipt=receipts,
        paid_at=st.sampled_from([None, T0, T0 + timedelta(seconds=900)]),
        trusted=st.booleans(),
        payer_matches=st.booleans(),
        checkout_request_id=st.sampled_from(["", "ws_1", "ws_2"]),
    ),
    st.builds(
        ev.MpesaRefused, source=st.sampled_from(["callback", "query"]), code=st.just("1032"), final=st.booleans()
    ),
    st.builds(ev.QueryPending),
    st.builds(ev.PullClean, until=st.just(T0 + timedelta(hours=2))),
    st.builds(
        ev.DerivConfirmed,
        transaction_id=st.sampled_from(["7", "8"]),
        amount=st.sampled_from([RECEIVE, usd(1)]),
        proof=st.just("reply"),
    ),
    st.builds(ev.DerivPaidAnother, transaction_id=st.just("7"), loginid=st.just("CR2"), attempt=attempts),
    st.builds(ev.DerivRefused, code=st.just("x"), attempt=attempts, hold=st.booleans()),
    st.builds(ev.DerivNotSent, code=st.just("x"), attempt=attempts),
    st.builds(ev.DerivOutcomeUnknown, code=st.just("x"), attempt=attempts),
    st.builds(ev.DerivAbsent, proof=st.just("x"), attempt=st.integers(1, 2)),
    st.builds(ev.DerivAmbiguous, proof=st.just("x")),
    st.builds(ev.RefundAccepted),
    st.builds(ev.RefundConfirmed, receipt=st.sampled_from(["R1", "R2"])),
    st.builds(ev.RefundRefused, code=st.just("x")),
    st.builds(ev.RefundNotSent, code=st.just("x"), attempt=attempts),
    st.builds(ev.RefundOutcomeUnknown, code=st.just("x")),
    st.builds(ev.RefundNotCompleted, status=st.just("Declined"), at=st.sampled_from([T0, T0 + timedelta(hours=9)])),
    st.builds(ev.RefundUntold),
    st.builds(ev.CancelRequested),
    st.builds(ev.Woke, attempted=st.booleans()),
    st.builds(ev.Parked, error=st.just("x")),
    st.builds(ev.StaffCredited, approval=st.just("a,b")),
    st.builds(ev.StaffRefunded, approval=st.just("a,b")),
    st.builds(
        ev.StaffProved,
        executed=st.booleans(),
        reference=st.sampled_from(["AAAAAAAAA1", "7", "R3"]),
        approval=st.just("a,b"),
    ),
    st.builds(
        ev.StaffSettled,
        reference=st.sampled_from(["H1", "H2"]),
        approval=st.just("a,b"),
        surplus_only=st.booleans(),
    ),
    st.builds(ev.StaffClosed, approval=st.just("a,b")),
)


def decided_by_people(story: Story) -> None:
    """Nobody knows more than that nothing was executed; what stands is given back by hand, and the question closed."""
    for number in range(3):
        story.happens(ev.StaffProved(executed=False, reference="", approval="a,b"))
        story.happens(ev.StaffSettled(reference=f"HAND{number}", approval="a,b"))
        story.happens(ev.StaffClosed(approval="a,b"))


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(things, st.sampled_from([0, 5, 61, 700, 20_000]), st.sampled_from([False, False, False, True])),
        max_size=14,
    )
)
def test_no_order_of_events_breaks_the_books(history: list[tuple[ev.Event, int, bool]]) -> None:
    story = started()
    for event, after_s, frozen in history:
        story.frozen = frozen
        over = story.state in FINAL
        story.happens(event, after_s=after_s)
        assert not over or story.state in FINAL or "settled" in story.does(), "nobody hears that it is open again"
        assert sum(amount for account, amount in story.balances.items() if account.endswith("KES")) == 0
        if story.state is State.FAILED:
            assert not {"paid", "suspense"} & story.keys, "FAILED while money was booked"
        if story.state in FINAL:
            assert (story.clearing(), story.balance("customer:KES"), story.balance("suspense:KES")) == (0, 0, 0)
            assert tells_its_end(story), story.saga
            assert story.state is not State.REVERSED or story.saga.refund_receipt, "nobody gave it back"
        elif story.state is not State.IN_REVIEW:
            assert story.deposit.next_wake_at is not None, f"{story.state} waits for nothing"
    assert story.edges <= edges()
    if story.state is State.IN_REVIEW:
        story.frozen = False
        decided_by_people(story)
        assert story.state in FINAL, f"people have no exit: {story.deposit}"
        assert tells_its_end(story), story.saga
        assert story.state is not State.REVERSED or story.saga.refund_receipt, "nobody gave it back"


def test_a_parked_deposit_takes_its_unsent_transfer_back() -> None:
    story = paid()
    story.happens(ev.Parked(error="KeyError"))
    assert (story.state, story.balance("deriv_out:KES"), story.balance("customer:KES")) == (
        State.IN_REVIEW,
        0,
        -130_000,
    )
    assert story.deposit.transfer is not None
    assert story.deposit.transfer.state is OperationState.WITHDRAWN


def test_staff_may_send_what_was_withdrawn_again() -> None:
    story = paid()
    story.happens(ev.Parked(error="KeyError"))
    story.happens(ev.StaffCredited(approval="a,b"))
    assert (story.state, story.does()) == (State.DERIV_SENDING, ["submit"])
    story.happens(confirmed())
    assert (story.state, story.clearing()) == (State.COMPLETED, 0)
    assert {"hold", "void", "hold:2", "done"} <= story.keys


def test_a_push_that_was_begun_and_of_which_nobody_tells_is_with_a_person_within_four_hours() -> None:
    story = started()
    story.happens(ev.Woke(attempted=True), after_s=600)
    assert (story.state, story.does()) == (State.STK_SENDING, ["submit"])
    story.happens(ev.Woke(attempted=True), after_s=Rules().unknown_max_s)
    assert (story.state, story.reviews) == (State.IN_REVIEW, ["payment_unknown"])
