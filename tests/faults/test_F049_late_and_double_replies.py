"""F49: replies that come late, twice, in another order, or make no sense."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from penpay.bench.seed import Customer
from tests.faults.stage import ANSWER_S, WAITS, Stage
from tests.faults.withdrawing import held, operations, tree, withdrawer

FAULTS = (
    pytest.param({"fault": "late_execute", "fault_delay_s": 1.0}, marks=pytest.mark.slow),
    pytest.param({"fault": "slow", "fault_delay_s": 3.0}, marks=pytest.mark.slow),
    pytest.param({"fault": "no_reply"}, marks=pytest.mark.slow),
    pytest.param({"fault": "garbage_reply"}, marks=pytest.mark.slow),
)
REPLY_S = 6.0
LATE_S = 13.0
"""Behind the call's time, the settle window and two reads of the statement."""
PROOF = (
    "SELECT JSON_VALUE(data, '$.proof') FROM {ledger}.transaction_events"
    " WHERE transaction_id = %s AND event = 'DerivConfirmed'"
)


@pytest.fixture
async def unread(stage: Stage) -> AsyncIterator[Stage]:
    """Nobody reads statements: only a reply tells what became of a transfer."""
    await tree(stage, "rails/deriv/resolver", "stop")
    yield stage
    await tree(stage, "rails/deriv/resolver", "start")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["fault"])
async def test_without_a_reply_the_statement_tells(stage: Stage, fault: dict[str, object]) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, deriv=fault)
    await stage.reaches(deposit, "COMPLETED")
    assert stage.rows(PROOF, deposit) == [("statement",)]
    assert (await stage.told(who)).counts == (1, 1, 1)
    assert stage.postings(deposit) == ["paid", "hold", "done"]


async def test_a_reply_after_its_time_is_proof_all_the_same(unread: Stage) -> None:
    who = unread.customer()
    deposit = await unread.deposit(who, deriv={"fault": "late_reply", "fault_delay_s": 3.0})
    await unread.reaches(deposit, "COMPLETED")
    assert "DERIV_UNKNOWN" in unread.path(deposit)
    assert operations(unread, deposit, "DERIV_TRANSFER") == [("CONFIRMED", 1)]
    await proven_by_reply(unread, who, deposit)


async def test_two_proofs_of_one_movement_are_one_credit(stage: Stage) -> None:
    who, other = stage.customer(), stage.customer()
    # Well behind the call's time, so that the statement is read before it.
    deposit = await stage.deposit(who, deriv={"fault": "late_reply", "fault_delay_s": REPLY_S})
    await stage.reaches(deposit, "COMPLETED")
    assert stage.rows(PROOF, deposit) == [("statement",)]
    (credit,) = (await stage.told(who)).transfers
    await asyncio.sleep(max(0.0, credit["at_epoch_s"] + REPLY_S + 0.1 - time.time()))
    # Replies on one socket come in order: when the next one's is known, so is this.
    next_one = await stage.deposit(other)
    await stage.reaches(next_one, "COMPLETED")
    assert (stage.state(deposit), stage.reviews(deposit)) == ("COMPLETED", [])
    assert stage.postings(deposit) == ["paid", "hold", "done"]
    assert (await stage.told(who)).counts == (1, 1, 1)


@pytest.mark.slow
async def test_a_reply_after_the_money_went_back_is_a_persons_question(stage: Stage) -> None:
    """Executed and answered long after it was proven absent: of a transfer and of a return, side by side."""
    who, back = stage.customer(), await withdrawer(stage)
    late = {"op": "paymentagent_transfer", "fault": "slow", "fault_delay_s": LATE_S}
    again = {"op": "paymentagent_transfer", "match": {"transfer_to": who.loginid}, "fault": "refuse"}
    steps = [{**late, "match": again["match"]}, again]
    withdrawal = await back.withdraw(b2c={"result_code": "2040"}, fault="slow", fault_delay_s=LATE_S)
    await stage.control.post("/deriv/script", {"steps": steps})
    deposit = await asked(stage, who)
    await stage.reaches(deposit, "REVERSED")
    assert operations(stage, deposit, "DERIV_TRANSFER") == [("REFUSED", 2)]
    await stage.reaches(withdrawal, "REVERSED")
    assert operations(stage, withdrawal, "DERIV_RETURN") == [("CONFIRMED", 2)]
    for transaction, end, question in (
        (deposit, "refund_done", "contradicting_transfer"),
        (withdrawal, "return_done", "contradicting_return"),
    ):
        await stage.reaches(transaction, "IN_REVIEW")
        assert stage.reviews(transaction) == [question]
        # What nobody owed is our loss, booked under Deriv's id of it.
        done, unasked = stage.postings(transaction)[-2:]
        assert (done, unasked.partition(":")[0]) == (end, "unasked")
        assert held(stage, transaction) == {}
    assert (await stage.told(who)).counts == (1, 1, 1)
    assert (await back.told()).counts == (1, 0, 2)


async def test_a_second_copy_of_a_reply_is_nobodys(unread: Stage) -> None:
    who, other = unread.customer(), unread.customer()
    deposit = await unread.deposit(who, deriv={"fault": "duplicate_reply"})
    await unread.reaches(deposit, "COMPLETED")
    # The socket goes on: whoever comes next has a reply of their own.
    next_one = await unread.deposit(other)
    await unread.reaches(next_one, "COMPLETED")
    await proven_by_reply(unread, who, deposit)
    await proven_by_reply(unread, other, next_one)


async def test_replies_in_another_order_find_their_own_transfers(stage: Stage) -> None:
    who, other = stage.customer(), stage.customer()
    slow = await stage.deposit(who, phone=WAITS, deriv={"fault": "slow", "fault_delay_s": 1.5})
    quick = await stage.deposit(other, phone=WAITS)
    for deposit in (slow, quick):
        await stage.reaches(deposit, "AWAITING_PAYER")
    # Both are wanted before the rail takes either: it asks for one right after the other.
    await tree(stage, "rails/deriv/transfers", "stop")
    try:
        for person, deposit in ((who, slow), (other, quick)):
            await stage.answers(person)
            await stage.reaches(deposit, "DERIV_SENDING")
    finally:
        await tree(stage, "rails/deriv/transfers", "start")
    for deposit in (slow, quick):
        await stage.reaches(deposit, "COMPLETED")
    ended = "SELECT id, completed_at FROM {ledger}.transactions WHERE id IN (%s, %s)"
    ends = {str(deposit): at for deposit, at in stage.rows(ended, slow, quick)}
    assert ends[quick] < ends[slow]
    await proven_by_reply(stage, who, slow)
    await proven_by_reply(stage, other, quick)


async def asked(stage: Stage, who: Customer) -> str:
    """A deposit whose transfer was scripted before; its id."""
    await stage.control.script_phone(who.msisdn, ANSWER_S)
    reply = await stage.ask(who)
    assert reply.status == 202, reply.body
    return str(reply.body["id"])


async def proven_by_reply(stage: Stage, who: Customer, deposit: str) -> None:
    """It is their own transfer whose reply it was, booked once."""
    assert stage.rows(PROOF, deposit) == [("reply",)]
    told = await stage.told(who)
    assert told.counts == (1, 1, 1)
    of = "SELECT provider_ref FROM {ledger}.provider_operations WHERE kind = 'DERIV_TRANSFER' AND transaction_id = %s"
    assert stage.rows(of, deposit) == [(str(told.transfers[0]["transaction_id"]),)]
    assert stage.postings(deposit) == ["paid", "hold", "done"]
