"""F78: staff ask for a refund twice, of a payment that Safaricom has reversed already."""

import asyncio
from typing import Any

from penpay.stack import ProcessFailed
from tests.faults.operating import run
from tests.faults.stage import WAITS, Stage
from tests.faults.test_F029_callback_of_another import reversals as asked_back
from tests.faults.withdrawing import operations, tree


def resolved(stage: Stage, item: str, *more: str, second: str, evidence: str = "ticket 78") -> bool:
    """Whether a decision to refund was taken."""
    words = ("--action", "refund", "--by", "Achieng", "--second", second, "--evidence", evidence, "--yes")
    try:
        stage.installation.run("review", "resolve", item, *words, *more)
    except ProcessFailed:
        return False
    return True


async def question(stage: Stage, transaction_id: str) -> str:
    """The item that waits for this transaction."""
    _, listed = await run(stage.installation, "review", "list")
    items: list[dict[str, Any]] = [one for one in listed if one["transaction"] == transaction_id]
    assert len(items) == 1, items
    return str(items[0]["id"])


async def test_one_person_may_not_and_two_do_it_once(unlisted: Stage) -> None:
    stage, who = unlisted, unlisted.customer()
    # Only the callback tells: a query knows no amount, and whoever comes second moves the version once more.
    deposit = await stage.only_called_back(who, paid_kes=77)
    await stage.reaches(deposit, "IN_REVIEW")
    item = await question(stage, deposit)
    assert not resolved(stage, item, second="achieng"), "the same person twice"
    assert stage.state(deposit) == "IN_REVIEW"
    (payment,) = (await stage.told(who)).payments
    await stage.control.post(f"/payments/{payment['receipt']}/reverse", {})
    ((version,),) = stage.rows("SELECT version FROM {ledger}.transactions WHERE id = %s", deposit)
    stale, seen = (("--version", str(one)) for one in (version - 1, version))
    assert not resolved(stage, item, *stale, second="Brian"), "they looked at what it was before"
    assert stage.state(deposit) == "IN_REVIEW"
    assert resolved(stage, item, *seen, second="Brian")
    assert not resolved(stage, item, second="Brian"), "it is decided"
    # Safaricom says that it was reversed already, and that is what was wanted.
    await stage.reaches(deposit, "REVERSED", within_s=40)
    assert [code for (code,) in reversals(stage, deposit)] == ["CONFIRMED"]
    truth = await stage.control.get("/truth")
    codes = [one["result_code"] for one in truth["reversals"] if one["receipt"] == payment["receipt"]]
    assert codes == ["R000001"]


async def test_what_was_believed_is_restated_and_what_arrived_is_given_back(unlisted: Stage) -> None:
    stage = unlisted
    who = stage.customer()
    # Only a query tells at first, which knows no amount; the dollars wait for their turn until the list shows it.
    deposit = await stage.deposit(who, phone={**WAITS, "paid_kes": 79, "callback": "lost"})
    await stage.reaches(deposit, "AWAITING_PAYER")
    await tree(stage, "rails/deriv/transfers", "stop")
    try:
        await stage.answers(who)
        await stage.reaches(deposit, "DERIV_SENDING")
        await stage.control.post("/daraja/script", {"knobs": {"pull_lag_s": 0.0}})
        await stage.reaches(deposit, "IN_REVIEW")
    finally:
        await tree(stage, "rails/deriv/transfers", "start")
    assert stage.reviews(deposit) == ["amount_mismatch"]
    assert stage.postings(deposit) == ["paid", "hold", "void", "corrected"]
    assert operations(stage, deposit, "DERIV_TRANSFER") == [("WITHDRAWN", 0)]
    assert resolved(stage, await question(stage, deposit), second="Brian", evidence="ticket 79")
    await stage.reaches(deposit, "REVERSED", within_s=40)
    assert stage.postings(deposit)[-2:] == ["refund_hold", "refund_done"]
    booked = stage.rows(
        "SELECT CAST(SUM(e.amount_minor) AS SIGNED) FROM {ledger}.postings p JOIN {ledger}.ledger_entries e"
        " ON e.posting_id = p.id JOIN {ledger}.accounts a ON a.id = e.account_id"
        " WHERE p.transaction_id = %s AND p.posting_key = 'refund_done' AND a.code = 'mpesa_paybill'",
        deposit,
    )
    assert booked == [(-7900,)]
    (given_back,) = await asked_back(stage, who.msisdn)
    assert (given_back["amount_minor"], given_back["result_code"]) == (7900, "0")


async def test_other_facts_about_a_refund_that_is_done_move_nothing_and_are_looked_at(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, deriv={"fault": "refuse", "error_code": "PaymentAgentTransferError"})
    await stage.reaches(deposit, "REVERSED")
    before = stage.postings(deposit)
    (told,) = await asked_back(stage, who.msisdn)
    said = {
        "ResultType": 0,
        "OriginatorConversationID": told["originator_id"],
        "ConversationID": told["conversation_id"],
        "TransactionID": "TKOTHER001",
    }
    facts = [{"Key": "Amount", "Value": 1.0}, {"Key": "OriginalTransactionID", "Value": told["receipt"]}]
    for result in (
        {**said, "ResultCode": 0, "ResultParameters": {"ResultParameter": facts}},
        {**said, "ResultCode": 0},
        {**said, "ResultCode": 21},
    ):
        assert await stage.forge(told["result_url"], body={"Result": result}) == 200
    async with asyncio.timeout(60):
        while heard(stage, deposit) != ["CONSUMED", "CONSUMED", "CONSUMED", "QUARANTINED"]:
            await asyncio.sleep(0.05)
    assert stage.state(deposit) == "REVERSED"
    # One names another amount: that is a question. What was done stays done, whoever tells it again or denies it.
    assert stage.reviews(deposit) == ["evidence_unusable"]
    assert stage.postings(deposit) == before
    assert operations(stage, deposit, "REVERSAL") == [("CONFIRMED", 1)]


def heard(stage: Stage, transaction_id: str) -> list[str]:
    """What became of each result of its Reversal."""
    found = stage.rows(
        "SELECT i.status FROM {ledger}.callback_inbox i JOIN {ledger}.provider_operations o ON o.id = i.operation_id"
        " WHERE o.transaction_id = %s AND i.kind = 'reversal'",
        transaction_id,
    )
    return sorted(str(status) for (status,) in found)


def reversals(stage: Stage, transaction_id: str) -> list[tuple[Any, ...]]:
    """States of the operations that give money back."""
    statement = "SELECT state FROM {ledger}.provider_operations WHERE transaction_id = %s AND kind = 'REVERSAL'"
    return stage.rows(statement, transaction_id)
