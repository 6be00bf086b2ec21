"""A result that somebody posts to our own URL completes nothing unless it shows that it is about this very payout."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from actors.flow import Unusable
from actors.withdrawal_evidence import event_of
from penpay.domain import withdrawal_events as ev
from penpay.domain.ids import uuid_text
from penpay.messages import InboxRow
from tests.domain import test_withdrawal_rules as rules

AT = datetime(2026, 3, 1, tzinfo=UTC)
RECEIPT, FOREIGN = "SG632NMUAB", "SG799OTHER"
OP = "01J0000000000000000000B2C0"
"""Of the payout: the rules' stories have short ids, which are no ULIDs."""


def withdrawal(story):
    return replace(story.saga, payout=replace(story.saga.payout, id=OP))


@pytest.fixture
def awaiting():
    """Acknowledged as AG_1."""
    return withdrawal(rules.awaiting())


@pytest.fixture
def sending():
    """Not acknowledged yet."""
    return withdrawal(rules.sending())


def row(kind, code=0, *, parameters=(), **ids):
    result = {"ResultType": 0, "ResultCode": code, "ResultDesc": "", "TransactionID": RECEIPT, **ids}
    if parameters:
        result["ResultParameters"] = {"ResultParameter": [{"Key": key, "Value": value} for key, value in parameters]}
    body = json.dumps({"Result": result}).encode()
    return InboxRow(id="row", shard=3, kind=kind, operation_id=OP, body=body, trusted_source=True, received_at=AT)


def paid(**ids):
    return row("b2c", parameters=(("TransactionAmount", 2490), ("TransactionReceipt", RECEIPT)), **ids)


def status(verdict="Completed", amount="2490.00", **ids):
    told = {"TransactionStatus": verdict, "ReceiptNo": RECEIPT, "Amount": amount, **ids}
    return row(
        "txstatus", parameters=tuple((key, value) for key, value in told.items() if value), ConversationID="AG_Q"
    )


OURS = uuid_text(OP)
PAID = ev.PayoutPaid(receipt=RECEIPT, source="result")


@pytest.mark.parametrize(
    "ids",
    [
        {"ConversationID": "AG_1", "OriginatorConversationID": OURS},
        {"ConversationID": "AG_1", "OriginatorConversationID": "29115-34620561-1"},
        {"ConversationID": "AG_1"},
        {"ConversationID": "AG_0", "OriginatorConversationID": OURS},
    ],
)
def test_one_id_that_agrees_shows_that_a_result_is_ours(awaiting, ids):
    assert event_of(awaiting, paid(**ids)) == PAID
    assert event_of(awaiting, row("b2c", 2040, **ids)) == ev.PayoutFailed(code="2040", at=AT)


@pytest.mark.parametrize("code", [0, 2040])
@pytest.mark.parametrize(
    "ids",
    [
        {"ConversationID": "AG_2", "OriginatorConversationID": uuid_text("01J0000000000000000000B2C1")},
        {"ConversationID": "AG_2"},
        {"OriginatorConversationID": uuid_text("01J0000000000000000000B2C1")},
    ],
)
def test_the_result_of_another_payout_is_put_aside(awaiting, code, ids):
    assert isinstance(event_of(awaiting, row("b2c", code, **ids)), Unusable)


def test_a_result_before_the_acknowledgement_counts_when_it_repeats_our_id(sending):
    assert event_of(sending, paid(ConversationID="AG_1", OriginatorConversationID=OURS)) == PAID


@pytest.mark.parametrize("ids", [{"ConversationID": "AG_1", "OriginatorConversationID": "29115-34620561-1"}, {}])
def test_a_result_that_cannot_be_compared_is_a_claim(sending, ids):
    assert event_of(sending, paid(**ids)) == ev.PayoutClaimed()
    assert event_of(sending, row("b2c", 2040, **ids)) == ev.PayoutClaimed()


def test_a_result_without_any_id_is_a_claim(awaiting):
    assert event_of(awaiting, paid()) == ev.PayoutClaimed()


def test_a_payout_that_was_sent_again_may_be_known_by_an_id_that_we_were_never_told():
    story = rules.sending()
    story.happens(ev.PayoutOutcomeUnknown(code="timed_out", attempt=1))
    story.happens(ev.PayoutAccepted(conversation_id="AG_2"))
    assert event_of(withdrawal(story), paid(ConversationID="AG_1")) == ev.PayoutClaimed()
    assert event_of(withdrawal(story), paid(ConversationID="AG_2")) == PAID


def test_a_duplicate_has_no_id_of_its_own_to_compare_with():
    story = rules.sending()
    story.happens(ev.PayoutAccepted())
    known_as_ours = replace(withdrawal(story), conversation_id=OURS)
    assert event_of(known_as_ours, paid(ConversationID="AG_1")) == ev.PayoutClaimed()
    assert event_of(known_as_ours, paid(OriginatorConversationID=OURS)) == PAID


def test_a_claim_about_a_payout_that_is_open_in_review_has_its_status_asked_and_of_one_that_is_over_a_person_looks():
    story = rules.awaiting()
    story.attempted = True
    story.happens(ev.Parked(error="x"))
    assert event_of(withdrawal(story), paid()) == ev.PayoutClaimed()
    story.happens(ev.StaffProved(executed=False, reference="", approval="a,b"))
    assert isinstance(event_of(withdrawal(story), paid()), Unusable)


def test_where_no_status_would_be_asked_a_claim_is_shown_to_a_person():
    story = rules.awaiting()
    story.happens(ev.PayoutPaid(receipt="SG0", source="result"))
    assert isinstance(event_of(withdrawal(story), paid()), Unusable)
    told_again = replace(withdrawal(story), receipt=RECEIPT)
    assert event_of(told_again, paid()) is None


@pytest.mark.parametrize("ids", [{"ConversationID": "AG_1"}, {"OriginatorConversationID": OURS}, {}])
def test_a_status_is_the_verdict_on_the_payout_that_was_asked_about(awaiting, ids):
    assert event_of(awaiting, status(**ids)) == ev.PayoutPaid(receipt=RECEIPT, source="status")
    assert event_of(awaiting, status("Declined", **ids)) == ev.PayoutNotCompleted(status="Declined", at=AT)


@pytest.mark.parametrize("verdict", ["Completed", "Declined"])
def test_the_status_of_another_payout_or_amount_is_put_aside(awaiting, verdict):
    foreign = status(verdict, ConversationID="AG_2", OriginatorConversationID="other")
    assert isinstance(event_of(awaiting, foreign), Unusable)
    assert isinstance(event_of(awaiting, status(verdict, amount="10.00", ConversationID="AG_1")), Unusable)


def test_a_status_under_ids_that_nobody_knows_yet_decides_nothing(sending):
    assert event_of(sending, status(ConversationID="AG_1", OriginatorConversationID="other")) is None
