"""A payment that was not given back must never look like one that was."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from actors.deposit_evidence import event_of
from penpay.domain.deposit_events import RefundConfirmed
from penpay.messages import InboxRow
from tests.domain.books import new_deposit

PAYMENT, REFUND = "SG632NMUAB", "SG799REFND"


def status(receipt, verdict="Completed", *, trusted=True):
    parameters = [{"Key": "ReceiptNo", "Value": receipt}, {"Key": "TransactionStatus", "Value": verdict}]
    body = {"Result": {"ResultCode": 0, "ResultDesc": "", "ResultParameters": {"ResultParameter": parameters}}}
    return InboxRow(
        id="row",
        shard=0,
        kind="txstatus",
        operation_id="op",
        body=json.dumps(body).encode(),
        trusted_source=trusted,
        received_at=datetime(2026, 3, 1, tzinfo=UTC),
    )


@pytest.fixture
def deposit():
    return replace(new_deposit(), receipt=PAYMENT)


def test_the_reversal_s_own_receipt_confirms_the_refund(deposit):
    assert event_of(deposit, status(REFUND)) == RefundConfirmed(receipt=REFUND)


@pytest.mark.parametrize(
    "row", [status(PAYMENT), status(REFUND, "Declined"), status(REFUND, trusted=False), status("")]
)
def test_the_payment_itself_a_decline_or_a_stranger_confirms_nothing(deposit, row):
    assert event_of(deposit, row) is None
