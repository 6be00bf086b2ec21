"""Payouts: what Safaricom's answers prove, the same id on every try, and the stop when our initiator is at fault."""

import asyncio
from dataclasses import replace

import orjson
import pytest

from actors.daraja_gate import PAYOUTS, GateSettings
from actors.daraja_payouts import PAYEE_UNREADABLE, STOPPED
from penpay.adapters import daraja_parse as parse
from penpay.adapters.daraja import HttpDaraja
from penpay.adapters.daraja_parse import Answer
from penpay.adapters.system import SystemClock
from penpay.domain.errors import GatewayError, NotSent, OutcomeUnknown, Refused
from penpay.domain.money import kes
from penpay.domain.mpesa_callbacks import parse_result
from penpay.domain.rail_end import (
    DUPLICATE,
    EXPIRED,
    NOT_CONNECTED,
    RATE_LIMITED,
    SUBSCRIBER_LOCKED,
    TIMED_OUT,
    UNREADABLE,
    WRONG_CREDENTIALS,
    Outcome,
)
from penpay.messages_rails import (
    DARAJA_POLLERS,
    ProbePayout,
    ProbeReversal,
    ProbeStk,
    ResumePayouts,
    StopPayouts,
)
from penpay.ports_rails import Payout, StkStatus
from tests.rails.fakes import TRANSACTION, PlainTokens, in_path, inside, long_ago, payout_intent, stk_intent, until
from tests.rails.test_gate import Gate, ScriptedDaraja, reversal_intent

PHONE = "254708374149"


class PayingDaraja(ScriptedDaraja):
    """Takes payouts; `refusals` are raised by the next ones."""

    def __init__(self) -> None:
        super().__init__()
        self.paid: list[Payout] = []
        self.refusals: list[GatewayError] = []

    async def pay_out(self, payout: Payout) -> str:
        self.paid.append(payout)
        if self.refusals:
            raise self.refusals.pop(0)
        return f"AG_{len(self.paid)}"


@pytest.fixture
def gate():
    return Gate(daraja=PayingDaraja(), settings=GateSettings(stk_per_s=0, b2c_per_s=0, other_per_s=0))


# --- what an answer proves ---


def answer(status: int, **envelope: str) -> Answer:
    return Answer(status, orjson.dumps(envelope))


def fault(status: int, code: str, message: str) -> Answer:
    return answer(status, requestId="1", errorCode=code, errorMessage=message)


@pytest.mark.parametrize(
    ("told", "error", "code"),
    [
        (fault(500, "500.002.1001", "Duplicate OriginatorConversationID."), OutcomeUnknown, DUPLICATE),
        (fault(500, "500.002.1001", "Service is currently under maintenance"), OutcomeUnknown, "500.002.1001"),
        (fault(500, "500.003.02", "Error Occurred: Spike Arrest Violation"), NotSent, RATE_LIMITED),
        (fault(500, "500.003.03", "Quota Violation"), NotSent, RATE_LIMITED),
        (fault(401, "401.002.01", "Error Occurred - Invalid Access Token"), NotSent, "401.002.01"),
        (fault(400, "400.002.02", "Bad Request - Invalid PartyA"), Refused, "400.002.02"),
        (fault(500, "500.001.1001", "Merchant does not exist"), Refused, WRONG_CREDENTIALS),
        (fault(500, "500.001.1001", "Unable to lock subscriber"), OutcomeUnknown, SUBSCRIBER_LOCKED),
        (fault(500, "500.003.1001", "Internal Server Error"), OutcomeUnknown, "500.003.1001"),
        (Answer(502, b"<html>Bad Gateway</html>"), OutcomeUnknown, "http_502"),
        (Answer(200, b'{"ConversationID":"AG'), OutcomeUnknown, UNREADABLE),
        (answer(200, ResponseCode="0"), OutcomeUnknown, UNREADABLE),
        (answer(200, ResponseCode="1", ResponseDescription="Rejected"), OutcomeUnknown, "response_code_1"),
        (answer(200, ResponseCode="2001", ResponseDescription=""), Refused, "2001"),
        (answer(200, ResponseCode="1", ResponseDescription="The security credential is locked"), Refused, None),
        (answer(200, ResponseCode="1", ResponseDescription="Spike arrest violation"), NotSent, RATE_LIMITED),
        (answer(200, ResponseCode="1", ResponseDescription="Bad Request - Invalid Amount"), Refused, "response_code_1"),
    ],
)
def test_only_what_comes_before_the_record_refuses_a_payout(told, error, code):
    with pytest.raises(GatewayError) as raised:
        parse.payout_conversation_id(told)
    assert type(raised.value) is error
    assert raised.value.code == (code or WRONG_CREDENTIALS)


def test_an_acknowledged_payout_names_its_conversation():
    told = answer(200, ConversationID="AG_1", OriginatorConversationID="u", ResponseCode="0")
    assert parse.payout_conversation_id(told) == "AG_1"


# --- over sockets ---


def payout(box, id_="01890a5d-ac96-774b-bcce-b302099a8057", shillings=2490):
    return Payout(
        originator_conversation_id=id_,
        amount=kes(shillings * 100),
        phone=PHONE,
        result_url=f"{box.callback_url}/cb/p/1",
        timeout_url=f"{box.callback_url}/cb/t/1",
    )


async def paid_out(box):
    """Phone → shillings of each payout that happened."""
    told = (await box.control("/truth"))["payouts"]
    return [one["amount_minor"] // 100 for one in told if one["result_code"] == "0"]


async def test_a_payout_reaches_the_phone_and_its_result_names_the_receipt(daraja, sandbox_rails):
    conversation = await daraja.pay_out(payout(sandbox_rails))
    path, body = await sandbox_rails.callback()
    result = parse_result(body)
    assert path == "/cb/p/1"
    assert (result.result_code, result.conversation_id, result.amount) == ("0", conversation, kes(249_000))
    assert result.receipt
    assert await paid_out(sandbox_rails) == [2490]


async def test_the_same_id_again_pays_nobody_twice(daraja, sandbox_rails):
    await daraja.pay_out(payout(sandbox_rails))
    with pytest.raises(OutcomeUnknown) as again:
        await daraja.pay_out(payout(sandbox_rails))
    assert again.value.code == DUPLICATE
    await sandbox_rails.callback()
    assert await paid_out(sandbox_rails) == [2490]


@pytest.mark.parametrize("lost", ["reset_after", "html_after", "truncated"])
async def test_a_lost_answer_is_unknown_and_the_retry_says_that_it_was_taken(daraja, sandbox_rails, lost):
    await sandbox_rails.daraja_step("b2c", fault=lost)
    with pytest.raises(OutcomeUnknown) as first:
        await daraja.pay_out(payout(sandbox_rails))
    assert first.value.code != DUPLICATE
    with pytest.raises(OutcomeUnknown) as second:
        await daraja.pay_out(payout(sandbox_rails))
    assert second.value.code == DUPLICATE
    await sandbox_rails.callback()
    assert await paid_out(sandbox_rails) == [2490]


async def test_an_answer_too_late_is_unknown(daraja_account, sandbox_rails):
    hasty = HttpDaraja(replace(daraja_account, call_timeout_s=0.2), SystemClock())
    try:
        await hasty.check()
        await sandbox_rails.daraja_step("b2c", fault="late", fault_delay_s=1.0)
        with pytest.raises(OutcomeUnknown) as late:
            await hasty.pay_out(payout(sandbox_rails))
        assert late.value.code == TIMED_OUT
    finally:
        await hasty.close()


async def test_a_token_that_expired_is_fetched_anew_and_the_payout_sent_once(daraja, sandbox_rails):
    await daraja.check()
    await sandbox_rails.control("/daraja/script", {"expire_tokens": True})
    await daraja.pay_out(payout(sandbox_rails))
    await sandbox_rails.callback()
    assert await paid_out(sandbox_rails) == [2490]


async def test_a_wrong_short_code_is_refused_before_it_is_recorded(daraja_account, sandbox_rails):
    elsewhere = HttpDaraja(replace(daraja_account, paying_shortcode="600001"), SystemClock())
    try:
        with pytest.raises(Refused):
            await elsewhere.pay_out(payout(sandbox_rails))
    finally:
        await elsewhere.close()
    assert (await sandbox_rails.control("/truth"))["payouts"] == []


@pytest.mark.parametrize("code", ["1", "2", "3", "4", "8", "17", "26", "2001", "2040", "8006", "SFC_IC0003"])
async def test_a_failed_result_carries_its_code_and_no_amount(daraja, sandbox_rails, code):
    await sandbox_rails.daraja_step("b2c", result_code=code)
    await daraja.pay_out(payout(sandbox_rails))
    result = parse_result((await sandbox_rails.callback())[1])
    assert (result.result_code, result.amount) == (code, None)
    assert await paid_out(sandbox_rails) == []


@pytest.mark.parametrize("form", [{"code_type": "string"}, {"reference": "array"}, {"copies": 2}])
async def test_every_form_of_a_result_reads_alike(daraja, sandbox_rails, form):
    await sandbox_rails.daraja_step("b2c", **form)
    await daraja.pay_out(payout(sandbox_rails))
    results = [parse_result((await sandbox_rails.callback())[1]) for _ in range(form.get("copies", 1))]
    assert {(result.result_type, result.result_code, result.amount) for result in results} == {("0", "0", kes(249_000))}
    assert len({result.receipt for result in results}) == 1


async def test_a_result_that_waits_for_more_says_so(daraja, sandbox_rails):
    await sandbox_rails.daraja_step("b2c", result_type=1)
    await daraja.pay_out(payout(sandbox_rails))
    assert parse_result((await sandbox_rails.callback())[1]).result_type == "1"


async def test_the_queue_may_time_out_and_the_payout_still_succeed(daraja, sandbox_rails):
    await sandbox_rails.daraja_step("b2c", callback="queue_timeout_then_send")
    await daraja.pay_out(payout(sandbox_rails))
    first, second = await sandbox_rails.callback(), await sandbox_rails.callback()
    told = {path: parse_result(body).result_code for path, body in (first, second)}
    assert told == {"/cb/t/1": "1", "/cb/p/1": "0"}


@pytest.mark.parametrize(("code", "status"), [("", "Completed"), ("2040", "Declined")])
async def test_the_status_of_a_payout_is_found_by_our_own_id(daraja, sandbox_rails, code, status):
    asked = payout(sandbox_rails)
    await sandbox_rails.daraja_step("b2c", result_code=code, callback="lost")
    await daraja.pay_out(asked)
    await until(lambda: sandbox_rails.house.truth.world.payouts[asked.originator_conversation_id].result_code)
    await daraja.transaction_status(
        receipt="",
        conversation_id=asked.originator_conversation_id,
        payouts=True,
        result_url=f"{sandbox_rails.callback_url}/cb/s/1",
        timeout_url=f"{sandbox_rails.callback_url}/cb/t/1",
    )
    path, body = await sandbox_rails.callback()
    assert path == "/cb/s/1"
    assert parse_result(body).transaction_status == status


# --- the gate ---


async def test_a_payout_is_sent_under_its_own_id_and_acknowledged(gate):
    async with gate.running() as ref:
        submit = payout_intent(gate.attempts)
        ref.tell(submit)
        end = await gate.post.next_end()
    assert (end.kind, end.outcome, end.facts) == ("B2C", Outcome.CONFIRMED, {"conversation_id": "AG_1"})
    sent = gate.daraja.paid[0]
    request = gate.attempts.operations[submit.operation_id].request
    assert sent.originator_conversation_id == request["originator_conversation_id"]
    assert (sent.phone, sent.amount) == (PHONE, kes(249_000))
    assert sent.result_url.endswith(f"/cb/b2c/0/{in_path(submit.operation_id)}")
    assert sent.timeout_url.endswith(f"/cb/timeout/0/{in_path(submit.operation_id)}")


@pytest.mark.parametrize(
    ("error", "outcome", "hold"),
    [
        (OutcomeUnknown(TIMED_OUT), Outcome.UNKNOWN, False),
        (OutcomeUnknown("500.003.1001"), Outcome.UNKNOWN, False),
        (NotSent(NOT_CONNECTED), Outcome.NOT_SENT, True),
        (NotSent(RATE_LIMITED), Outcome.NOT_SENT, True),
        (NotSent("token_refused"), Outcome.NOT_SENT, True),
        (Refused("400.002.02"), Outcome.REFUSED, True),
        (OutcomeUnknown(DUPLICATE), Outcome.CONFIRMED, False),
    ],
)
async def test_every_end_of_a_payout_is_stored_as_what_it_proves(gate, error, outcome, hold):
    gate.daraja.refusals = [error]
    async with gate.running() as ref:
        ref.tell(payout_intent(gate.attempts))
        end = await gate.post.next_end()
    assert (end.outcome, end.code, end.hold) == (outcome, error.code, hold)


async def test_a_second_try_carries_the_same_id(gate):
    gate.daraja.refusals = [OutcomeUnknown(TIMED_OUT), OutcomeUnknown(DUPLICATE)]
    async with gate.running() as ref:
        submit = payout_intent(gate.attempts)
        ref.tell(submit)
        assert (await gate.post.next_end()).outcome is Outcome.UNKNOWN
        ref.tell(submit)
        gate.attempts.close(submit.operation_id)
        ref.tell(submit)
        end = await gate.post.next_end()
    assert (end.attempt, end.outcome, end.code) == (2, Outcome.CONFIRMED, DUPLICATE)
    assert len({sent.originator_conversation_id for sent in gate.daraja.paid}) == 1


async def test_after_a_day_the_same_id_is_not_sent_again_but_a_first_try_is(gate):
    async with gate.running() as ref:
        again = payout_intent(gate.attempts, created_at=long_ago(86_401))
        gate.daraja.refusals = [OutcomeUnknown(TIMED_OUT)]
        ref.tell(again)
        assert (await gate.post.next_end()).outcome is Outcome.UNKNOWN
        gate.attempts.close(again.operation_id)
        ref.tell(again)
        end = await gate.post.next_end()
    assert (end.attempt, end.outcome, end.code) == (2, Outcome.NOT_SENT, EXPIRED)
    assert len(gate.daraja.paid) == 1


async def test_a_payout_that_nobody_submitted_is_found(gate):
    submit = payout_intent(gate.attempts, created_at=long_ago(60))
    async with gate.running():
        assert (await gate.post.next_end()).operation_id == submit.operation_id


async def test_a_payee_that_cannot_be_opened_is_paid_nothing(gate):
    async with gate.running() as ref:
        submit = payout_intent(gate.attempts)
        row = gate.attempts.operations[submit.operation_id]
        gate.attempts.operations[submit.operation_id] = replace(row, sealed_request=b"moved")
        ref.tell(submit)
        end = await gate.post.next_end()
    assert (end.outcome, end.code) == (Outcome.REFUSED, PAYEE_UNREADABLE)
    assert gate.daraja.paid == []


async def test_payouts_have_a_pace_of_their_own(gate):
    gate.settings = GateSettings(stk_per_s=0, b2c_per_s=1, other_per_s=0)
    async with gate.running() as ref:
        for _ in range(2):
            ref.tell(payout_intent(gate.attempts))
        ref.tell(stk_intent(gate.attempts))
        kinds = {(await gate.post.next_end()).kind for _ in range(2)}
        assert kinds == {"B2C", "STK"}
        assert len(gate.daraja.paid) == 1


async def test_the_breaker_of_payouts_leaves_pushes_alone(gate):
    gate.daraja.refusals = [OutcomeUnknown("http_502") for _ in range(5)]
    gate.daraja.check_fails = True
    async with gate.running() as ref:
        for _ in range(5):
            ref.tell(payout_intent(gate.attempts))
        for _ in range(5):
            await gate.post.next_end()
        await until(lambda: not gate.board.rail(PAYOUTS).up)
        assert gate.board.rail("daraja").up
        ref.tell(stk_intent(gate.attempts))
        assert (await gate.post.next_end()).kind == "STK"


# --- our initiator ---


@pytest.mark.parametrize("code", ["2001", WRONG_CREDENTIALS])
async def test_an_answer_against_our_initiator_stops_every_payout_at_the_first_hit(gate, code):
    gate.daraja.refusals = [Refused(code)]
    async with gate.running() as ref:
        ref.tell(payout_intent(gate.attempts))
        end = await gate.post.next_end()
        assert (end.outcome, end.hold) == (Outcome.REFUSED, True)
        await until(lambda: not gate.board.rail(PAYOUTS).up)
        assert code in gate.board.rail(PAYOUTS).reason
        assert gate.board.rail("daraja").up
        assert await gate.post.next(DARAJA_POLLERS) == StopPayouts(code=code)
        waiting = payout_intent(gate.attempts)
        ref.tell(waiting)
        ref.tell(stk_intent(gate.attempts))
        assert (await gate.post.next_end()).kind == "STK"
        assert gate.attempts.outcomes(waiting.operation_id) == []
    assert len(gate.daraja.paid) == 1


async def test_a_result_told_by_a_saga_stops_payouts_until_a_person_resumes(gate):
    async with gate.running() as ref:
        ref.tell(StopPayouts(code="21"))
        submit = payout_intent(gate.attempts)
        ref.tell(submit)
        await until(lambda: not gate.board.rail(PAYOUTS).up)
        await asyncio.sleep(0.1)
        assert gate.daraja.paid == []
        ref.tell(ResumePayouts())
        assert (await gate.post.next_end()).operation_id == submit.operation_id
        await until(lambda: gate.board.rail(PAYOUTS).up)


async def test_a_restart_of_the_rail_lets_payouts_go_on(gate):
    async with gate.running() as ref:
        ref.tell(StopPayouts(code="8006"))
        await until(lambda: not gate.board.rail(PAYOUTS).up)
    async with gate.running() as ref:
        ref.tell(payout_intent(gate.attempts))
        assert (await gate.post.next_end()).outcome is Outcome.CONFIRMED


async def test_a_spoiled_credential_is_not_used_for_anything_else_either(gate):
    async with gate.running() as ref:
        done = reversal_intent(gate)
        ref.tell(done)
        await gate.post.next_end()
        ref.tell(StopPayouts(code="8006"))
        refund = reversal_intent(gate)
        ref.tell(refund)
        ref.tell(ProbePayout(operation_id=done.operation_id, shard=0, transaction_id=TRANSACTION))
        payout_answer = await gate.post.next()
        ref.tell(ProbeReversal(operation_id=done.operation_id, shard=0, transaction_id=TRANSACTION))
        reversal_answer = await gate.post.next()
        gate.daraja.status = StkStatus("0", "")
        ref.tell(ProbeStk(operation_id="op", shard=0, transaction_id=TRANSACTION, checkout_request_id="ws"))
        assert (await gate.post.next()).outcome == "PAID"
    assert (payout_answer.outcome, payout_answer.code) == ("UNANSWERED", STOPPED)
    assert (reversal_answer.outcome, reversal_answer.code) == ("UNANSWERED", STOPPED)
    assert gate.attempts.outcomes(refund.operation_id) == []
    assert len(gate.daraja.reversed) == 1


async def test_missing_rights_stop_payouts_and_not_refunds(gate):
    async with gate.running() as ref:
        ref.tell(StopPayouts(code="2028"))
        ref.tell(payout_intent(gate.attempts))
        ref.tell(reversal_intent(gate))
        assert (await gate.post.next_end()).kind == "REVERSAL"
    assert gate.daraja.paid == []


async def test_payouts_are_down_while_the_rail_is(gate):
    gate.board.unopened = {"daraja"}
    async with gate.running() as ref:
        await until(lambda: inside(ref).observable_state()["epoch"])
        assert not gate.board.rail(PAYOUTS).up
        gate.board.unopened = set()
        await until(lambda: gate.board.rail(PAYOUTS).up)
    assert not gate.board.rail(PAYOUTS).up


# --- the status ---


async def test_the_status_of_a_payout_is_asked_by_its_own_id_and_comes_later(gate):
    async with gate.running() as ref:
        submit = payout_intent(gate.attempts)
        ref.tell(ProbePayout(operation_id=submit.operation_id, shard=0, transaction_id=TRANSACTION))
        told = await gate.post.next()
    assert (told.probe, told.outcome, told.operation_id) == ("payout", "PENDING", submit.operation_id)
    asked = gate.daraja.reversed[0]
    request = gate.attempts.operations[submit.operation_id].request
    assert (asked["conversation_id"], asked["payouts"]) == (request["originator_conversation_id"], True)
    assert asked["result_url"].endswith(f"/cb/txstatus/0/{in_path(submit.operation_id)}")


async def test_the_status_may_be_asked_by_safaricoms_id_of_the_payout(gate):
    async with gate.running() as ref:
        op = payout_intent(gate.attempts).operation_id
        ref.tell(ProbePayout(operation_id=op, shard=0, transaction_id=TRANSACTION, conversation_id="AG_1"))
        await gate.post.next()
    assert gate.daraja.reversed[0]["conversation_id"] == "AG_1"


async def test_a_status_that_cannot_be_asked_is_unanswered(gate):
    async with gate.running() as ref:
        ref.tell(ProbePayout(operation_id="none", shard=0, transaction_id=TRANSACTION))
        assert (await gate.post.next()).code == "no_such_payout"


async def test_a_real_payout_through_the_sandbox(gate, daraja, sandbox_rails):
    gate.daraja = daraja
    gate.tokens = PlainTokens(sandbox_rails.callback_url)
    async with gate.running() as ref:
        submit = payout_intent(gate.attempts)
        ref.tell(submit)
        end = await gate.post.next_end()
        path, body = await sandbox_rails.callback()
        result = parse_result(body)
        assert path.endswith(f"/cb/b2c/0/{in_path(submit.operation_id)}")
        assert (result.result_code, result.conversation_id) == ("0", end.facts["conversation_id"])
        ref.tell(ProbePayout(operation_id=submit.operation_id, shard=0, transaction_id=TRANSACTION))
        assert (await gate.post.next()).outcome == "PENDING"
        path, body = await sandbox_rails.callback()
    assert path.endswith(f"/cb/txstatus/0/{in_path(submit.operation_id)}")
    assert parse_result(body).transaction_status == "Completed"
