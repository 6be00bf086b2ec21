"""A payment that was not given back must never look like one that was."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from actors.deposit_evidence import event_of, event_of_probe
from actors.flow import Unusable
from penpay.domain.deposit import State
from penpay.domain.deposit_events import RefundConfirmed, RefundNotCompleted, RefundRefused, RefundUntold
from penpay.domain.money import kes
from penpay.messages import InboxRow, ProbeAnswered
from penpay.messages_rails import NEVER_ACKNOWLEDGED
from tests.domain.books import new_deposit

PAYMENT, REFUND = "SG632NMUAB", "SG799REFND"


def status(receipt, verdict="Completed", *, trusted=True, **told):
    return row("txstatus", trusted=trusted, ReceiptNo=receipt, TransactionStatus=verdict, **told)


def result(code=0, conversation_id="AG_1", **told):
    return row("reversal", code, ids={"ConversationID": conversation_id, "TransactionID": REFUND}, **told)


def row(kind, code=0, *, ids=None, trusted=True, **told):
    parameters = [{"Key": key, "Value": value} for key, value in told.items()]
    body = {"ResultCode": code, "ResultDesc": "", **(ids or {}), "ResultParameters": {"ResultParameter": parameters}}
    return InboxRow(
        id="row",
        shard=0,
        kind=kind,
        operation_id="op",
        body=json.dumps({"Result": body}).encode(),
        trusted_source=trusted,
        received_at=datetime(2026, 3, 1, tzinfo=UTC),
    )


@pytest.fixture
def deposit():
    return replace(new_deposit(), receipt=PAYMENT)


def test_the_reversal_s_own_receipt_confirms_the_refund(deposit):
    assert event_of(deposit, status(REFUND)) == RefundConfirmed(receipt=REFUND)


@pytest.mark.parametrize(
    "row",
    [
        *(status(PAYMENT), status(PAYMENT, "Declined"), status(REFUND, trusted=False), status("")),
        *(status("", "Initiated"), status("", "Declined", trusted=False)),
    ],
)
def test_the_payment_itself_no_verdict_or_a_stranger_confirms_nothing(deposit, row):
    assert event_of(deposit, row) is None


@pytest.mark.parametrize("receipt", ["", REFUND])
@pytest.mark.parametrize("verdict", ["Cancelled", "Declined", "Expired", "Failed"])
def test_a_final_status_that_says_no_is_told(deposit, receipt, verdict):
    refused = RefundNotCompleted(status=verdict, at=datetime(2026, 3, 1, tzinfo=UTC))
    assert event_of(deposit, status(receipt, verdict)) == refused


@pytest.mark.parametrize(("code", "told"), [(NEVER_ACKNOWLEDGED, RefundUntold()), ("Unavailable", None)])
def test_a_reversal_that_cannot_be_asked_about_is_told_from_one_that_could_not_be_just_now(deposit, code, told):
    answer = ProbeAnswered(probe="reversal", operation_id="op", outcome="UNANSWERED", code=code)
    assert event_of_probe(deposit, answer) == told


# --- whose a result is ---


@pytest.fixture
def refunding(deposit):
    """A Reversal that was acknowledged as AG_1."""
    return replace(deposit, state=State.REFUND_SENDING, paid=kes(130_000), refund_conversation_id="AG_1")


@pytest.fixture
def unanswered(refunding):
    """The same without an acknowledgement."""
    return replace(refunding, refund_conversation_id="")


CONFIRMED = RefundConfirmed(receipt=REFUND)


def test_the_result_of_our_reversal_confirms_or_refuses_the_refund(refunding):
    assert event_of(refunding, result(Amount="1300.00", OriginalTransactionID=PAYMENT)) == CONFIRMED
    assert event_of(refunding, result()) == CONFIRMED
    assert event_of(refunding, result(21)) == RefundRefused(code="21")
    assert event_of(refunding, result("R000001")) == RefundConfirmed(receipt="reversed-op")


@pytest.mark.parametrize(
    "foreign",
    [
        result(conversation_id="AG_2"),
        result(21, conversation_id="AG_2"),
        result(OriginalTransactionID="SG000OTHER"),
        result(Amount="7.00", OriginalTransactionID=PAYMENT),
    ],
)
def test_the_result_of_another_reversal_or_amount_is_put_aside(refunding, foreign):
    assert isinstance(event_of(refunding, foreign), Unusable)


def test_before_the_acknowledgement_the_payment_s_own_receipt_shows_whose_the_result_is(unanswered):
    assert event_of(unanswered, result(Amount="1300.00", OriginalTransactionID=PAYMENT)) == CONFIRMED


def test_without_anything_to_compare_a_success_waits_for_the_status_and_a_failure_for_a_person(unanswered):
    assert event_of(unanswered, result()) is None
    assert isinstance(event_of(unanswered, result(21)), Unusable)
    assert isinstance(event_of(replace(unanswered, state=State.IN_REVIEW), result()), Unusable)


def test_a_status_must_be_the_one_of_our_reversal_and_its_amount(refunding, unanswered):
    assert event_of(refunding, status(REFUND, ConversationID="AG_1", Amount="1300.00")) == CONFIRMED
    assert isinstance(event_of(refunding, status(REFUND, ConversationID="AG_2")), Unusable)
    assert isinstance(event_of(refunding, status(REFUND, Amount="7.00")), Unusable)
    assert isinstance(event_of(refunding, status("", "Declined", ConversationID="AG_2")), Unusable)
    assert isinstance(event_of(refunding, status("", "Declined", Amount="7.00")), Unusable)
    assert event_of(unanswered, status("", "Declined", ConversationID="AG_1")) is None
    assert event_of(unanswered, status(REFUND, ConversationID="AG_1")) is None
