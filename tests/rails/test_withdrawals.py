"""Debits on customers' own sockets, their witness and their proof, against the sandbox over real sockets."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest

from actors.deriv_credit_parts import CreditSettings
from actors.deriv_customer_session import ANOTHER_ACCOUNT, NO_PAYMENTS_SCOPE
from actors.deriv_statement import AgentStatement, StatementRead
from actors.deriv_withdrawals import (
    ANOTHER_AGENT,
    CODE_MALFORMED,
    SECRETS_UNREADABLE,
    DerivWithdrawalsActor,
    WithdrawalSettings,
)
from penpay.domain import deriv_protocol as deriv
from penpay.domain.credits import decode_credit
from penpay.domain.debit_proof import marks_from_text
from penpay.domain.money import usd
from penpay.domain.rail_end import ABANDONED, DISCONNECTED, EXPIRED, RATE_LIMITED, TIMED_OUT, Outcome
from penpay.domain.unit import OperationKind
from penpay.messages import Refusal
from penpay.messages_rails import (
    DERIV_CREDITS,
    DERIV_RESOLVER,
    DERIV_TRANSFERS,
    DERIV_WITHDRAWALS,
    CodeSent,
    ProbeWitness,
    ResolveDebit,
    SendWithdrawalCode,
)
from tests.rails.fakes import SAGA, TRANSACTION, Reworded, inside, long_ago, until
from tests.rails.test_deriv import Rail, agent  # noqa: F401 - the agent is a fixture

PAID = "paymentagent_withdraw"


@dataclass(frozen=True)
class Customer:
    loginid: str
    token: str
    email: str


@pytest.fixture
def rail(sandbox_rails, dialer, agent):  # noqa: F811 - the fixture by its name
    return Rail(sandbox_rails, dialer, agent)


async def customer(rail, loginid="CR501", balance="100.00", **more: Any) -> Customer:
    email = f"{loginid.lower()}@customers.example"
    body = {"loginid": loginid, "fullname": "Jane Wanjiku", "email": email, "balance": balance, **more}
    told = await rail.box.control("/deriv/customers", body)
    return Customer(loginid, told["token"], email)


def order(who: Customer, minor=2000, **changes: Any) -> SendWithdrawalCode:
    asked = SendWithdrawalCode(loginid=who.loginid, token=who.token, email=who.email, amount=usd(minor))
    return replace(asked, **changes)


async def ask_code(rail, asked: SendWithdrawalCode) -> Any:
    return await rail.post.ask(DERIV_WITHDRAWALS, asked, timeout_s=10)


async def code_for(rail, who: Customer) -> str:
    assert await ask_code(rail, order(who)) == CodeSent()
    codes = rail.box.house.truth.world.codes
    return [code for code, mailed in codes.items() if mailed.email == who.email][-1]


def intent(rail, who: Customer, code: str, minor=2000, **changes: Any):
    submit = rail.attempts.add(OperationKind.DERIV_WITHDRAW, usd(minor), recipient=who.loginid, **changes)
    row = rail.attempts.operations[submit.operation_id]
    secrets = json.dumps({"code": code, "token": who.token})
    sealed = f"provider_operations|sealed_request|{row.id}|u1|{secrets}".encode()
    request = {"loginid": who.loginid, "paymentagent_loginid": rail.agent.loginid, **changes.get("request", {})}
    rail.attempts.operations[row.id] = replace(row, sealed_request=sealed, request=request)
    return submit


async def debit(rail, who: Customer, minor=2000, **changes: Any):
    """A withdrawal as its saga would submit it; not yet ended."""
    submit = intent(rail, who, await code_for(rail, who), minor, **changes)
    rail.post.tell(DERIV_WITHDRAWALS, submit)
    return submit


async def debited(rail, who: Customer, minor=2000):
    submit = await debit(rail, who, minor)
    end = await rail.post.next_end()
    assert end.outcome is Outcome.CONFIRMED
    rail.attempts.close(submit.operation_id, state="CONFIRMED")
    return submit, end


async def lost(rail, who: Customer, fault: str, **more: Any):
    """A debit whose reply was lost."""
    await rail.box.deriv_step(PAID, fault=fault, **more)
    submit = await debit(rail, who)
    end = await rail.post.next_end()
    assert end.outcome is Outcome.UNKNOWN
    return submit


async def withdrawn(rail) -> list[dict[str, Any]]:
    return [one for one in await rail.moved() if one["kind"] == PAID]


# --- the debit ---


async def test_a_debit_runs_once_as_the_customer_and_leaves_both_marks(rail):
    async with rail.running():
        who = await customer(rail)
        submit = await debit(rail, who)
        for _ in range(3):
            rail.post.tell(DERIV_WITHDRAWALS, submit)
        end = await rail.post.next_end()
        moved = await withdrawn(rail)
        await until(lambda: inside(rail.post.bound[DERIV_WITHDRAWALS]).observable_state()["in_flight"] == 0)
    assert (end.kind, end.outcome, end.attempt) == ("DERIV_WITHDRAW", Outcome.CONFIRMED, 1)
    assert [(str(one["transaction_id"]), one["from_loginid"], one["amount_minor"]) for one in moved] == [
        (end.provider_ref, who.loginid, 2000)
    ]
    reference = rail.attempts.operations[submit.operation_id].reference
    assert moved[0]["description"] == f"PP-{reference}"
    mine, agents = marks_from_text(rail.attempts.attempts[submit.operation_id][0].watermark)
    assert (mine.transaction_id, mine.balance) == (0, usd(10_000))
    assert agents.balance == usd(rail.box.house.config.opening_agent_minor)


async def test_the_mark_of_a_customer_who_has_moved_money_is_the_newest_movement(rail):
    async with rail.running():
        who = await customer(rail)
        first, end = await debited(rail, who)
        second, _ = await debited(rail, who, 500)
    mine, _ = marks_from_text(rail.attempts.attempts[second.operation_id][0].watermark)
    assert (str(mine.transaction_id), mine.balance) == (end.provider_ref, usd(8000))
    assert first.operation_id != second.operation_id


async def test_the_customers_socket_is_closed_afterwards(rail):
    async with rail.running():
        await debited(rail, await customer(rail))
        async with asyncio.timeout(5):
            while len((await rail.box.control("/deriv/sessions"))["sessions"]) > 1:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("bad_code", ["PaymentAgentWithdrawError", "InputValidationFailed", "InvalidToken"])
async def test_a_wrong_code_is_refused_and_moves_nothing(rail, bad_code):
    await rail.box.control("/deriv/script", {"knobs": {"bad_code_error": bad_code}})
    async with rail.running():
        rail.post.tell(DERIV_WITHDRAWALS, intent(rail, await customer(rail), "deadbeef00"))
        end = await rail.post.next_end()
        assert await withdrawn(rail) == []
    assert (end.outcome, end.code, end.hold) == (Outcome.REFUSED, bad_code, False)


async def test_a_code_works_once(rail):
    async with rail.running():
        who = await customer(rail)
        code = await code_for(rail, who)
        for expected in (Outcome.CONFIRMED, Outcome.REFUSED):
            submit = intent(rail, who, code)
            rail.post.tell(DERIV_WITHDRAWALS, submit)
            assert (await rail.post.next_end()).outcome is expected
            rail.attempts.close(submit.operation_id, state="CONFIRMED")
        assert len(await withdrawn(rail)) == 1


async def test_an_account_that_is_short_is_refused(rail):
    async with rail.running():
        await debit(rail, await customer(rail, balance="10.00"))
        end = await rail.post.next_end()
    assert (end.outcome, end.code, end.hold) == (Outcome.REFUSED, "PaymentAgentWithdrawError", False)


@pytest.mark.parametrize(
    ("step", "outcome", "code"),
    [
        ({"fault": "before_read"}, Outcome.UNKNOWN, DISCONNECTED),
        ({"fault": "not_executed"}, Outcome.UNKNOWN, DISCONNECTED),
        ({"fault": "executed"}, Outcome.UNKNOWN, DISCONNECTED),
        ({"fault": "no_reply"}, Outcome.UNKNOWN, TIMED_OUT),
        ({"fault": "garbage_reply"}, Outcome.UNKNOWN, TIMED_OUT),
        ({"fault": "refuse", "error_code": "InternalServerError"}, Outcome.UNKNOWN, "InternalServerError"),
        ({"fault": "refuse", "error_code": "NeverSeen"}, Outcome.UNKNOWN, "NeverSeen"),
        ({"fault": "refuse", "error_code": "RateLimit"}, Outcome.NOT_SENT, RATE_LIMITED),
        ({"fault": "refuse", "error_code": "PaymentAgentWithdrawNever"}, Outcome.REFUSED, "PaymentAgentWithdrawNever"),
        ({"fault": "duplicate_reply"}, Outcome.CONFIRMED, ""),
    ],
)
async def test_every_end_of_a_debit_is_stored_as_what_it_proves(rail, step, outcome, code):
    rail.withdrawals = WithdrawalSettings(call_s=0.5)
    async with rail.running():
        await rail.box.deriv_step(PAID, **step)
        await debit(rail, await customer(rail))
        end = await rail.post.next_end()
    assert (end.outcome, end.code, end.hold) == (outcome, code, outcome is Outcome.NOT_SENT)


async def test_an_unknown_debit_is_never_sent_again_by_itself(rail):
    async with rail.running():
        submit = await lost(rail, await customer(rail), "not_executed")
        rail.post.tell(DERIV_WITHDRAWALS, submit)
        await asyncio.sleep(0.3)
    assert rail.attempts.outcomes(submit.operation_id) == ["UNKNOWN"]


async def test_what_goes_wrong_before_the_debit_is_not_sent_and_may_be_tried_again(rail):
    async with rail.running():
        who = await customer(rail)
        code = await code_for(rail, who)
        await rail.box.deriv_step("statement", fault="before_read", match={"limit": 1})
        submit = intent(rail, who, code)
        rail.post.tell(DERIV_WITHDRAWALS, submit)
        end = await rail.post.next_end()
        assert (end.outcome, end.hold) == (Outcome.NOT_SENT, True)
        rail.attempts.close(submit.operation_id)
        rail.post.tell(DERIV_WITHDRAWALS, submit)
        again = await rail.post.next_end()
        assert len(await withdrawn(rail)) == 1
    assert (again.outcome, again.attempt) == (Outcome.CONFIRMED, 2)


@pytest.mark.parametrize("call", ["time", "balance", "statement"])
@pytest.mark.parametrize("code", ["PermissionDenied", "NeverSeen"])
async def test_a_customers_account_that_deriv_does_not_show_is_debited_without_a_mark(rail, call, code):
    """By whatever name: which error says that a token may not see something is not documented."""
    async with rail.running():
        who = await customer(rail)
        await rail.box.deriv_step(call, fault="refuse", error_code=code)
        submit, _ = await debited(rail, who)
    assert rail.attempts.attempts[submit.operation_id][0].watermark["unseen"] == "customer"


@pytest.mark.parametrize("code", ["RateLimit", "InternalServerError", "WrongResponse", "AuthorizationRequired"])
async def test_what_deriv_does_not_show_for_now_is_asked_for_again(rail, code):
    async with rail.running():
        who = await customer(rail)
        await rail.box.deriv_step("statement", fault="refuse", error_code=code, match={"limit": 1})
        await debit(rail, who)
        end = await rail.post.next_end()
        assert not await withdrawn(rail)
    assert (end.outcome, end.code, end.hold) == (Outcome.NOT_SENT, code, True)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("token", "InvalidToken"),
        ("account", ANOTHER_ACCOUNT),
        ("scope", NO_PAYMENTS_SCOPE),
        ("agent", ANOTHER_AGENT),
        ("sealed", SECRETS_UNREADABLE),
        ("code", CODE_MALFORMED),
    ],
)
async def test_a_debit_that_could_not_be_right_is_refused_before_it_is_sent(rail, what, code):
    async with rail.running():
        who = await customer(rail)
        if what == "scope":
            body = {"loginid": who.loginid, "scopes": ["read"]}
            who = replace(who, token=(await rail.box.control("/deriv/tokens", body))["token"])
        who = replace(who, token={"token": "no-such-token", "account": "a1-CRB7"}.get(what, who.token))
        request = {"paymentagent_loginid": "CR1"} if what == "agent" else {}
        submit = intent(rail, who, "short" if what == "code" else "deadbeef00", request=request)
        if what == "sealed":
            row = rail.attempts.operations[submit.operation_id]
            rail.attempts.operations[row.id] = replace(row, sealed_request=b"moved")
        await rail.box.deriv_step(PAID, fault="executed", times=0)
        rail.post.tell(DERIV_WITHDRAWALS, submit)
        end = await rail.post.next_end()
        assert await withdrawn(rail) == []
    assert (end.outcome, end.code, end.hold) == (Outcome.REFUSED, code, False)


async def test_a_debit_too_old_is_not_sent(rail):
    async with rail.running():
        who = await customer(rail)
        rail.post.tell(DERIV_WITHDRAWALS, intent(rail, who, "deadbeef00", created_at=long_ago(121)))
        end = await rail.post.next_end()
    assert (end.outcome, end.code, end.hold) == (Outcome.NOT_SENT, EXPIRED, False)


async def test_without_the_agents_session_nothing_is_debited(rail):
    async with rail.running():
        who = await customer(rail)
        code = await code_for(rail, who)
        await rail.box.control("/deriv/site", {"status": "updating", "drop_after_s": 60})
        await until(lambda: not rail.witness.ready)
        submit = intent(rail, who, code)
        rail.post.tell(DERIV_WITHDRAWALS, submit)
        await asyncio.sleep(0.2)
        assert rail.attempts.outcomes(submit.operation_id) == []
        await rail.box.control("/deriv/site", {"status": "up"})
        assert (await rail.post.next_end()).outcome is Outcome.CONFIRMED


async def test_equal_debits_wait_for_one_whose_outcome_is_open(rail):
    async with rail.running():
        unknown = await lost(rail, await customer(rail, "CR501"), "executed")
        equal = await debit(rail, await customer(rail, "CR502"))
        other = await debit(rail, await customer(rail, "CR503"), 2001)
        assert (await rail.post.next_end()).operation_id == other.operation_id
        await asyncio.sleep(0.2)
        assert rail.attempts.outcomes(equal.operation_id) == []
        rail.attempts.close(unknown.operation_id, state="CONFIRMED")
        assert (await rail.post.next_end()).operation_id == equal.operation_id


async def test_a_transfer_of_the_same_amount_does_not_wait_for_a_debit(rail):
    async with rail.running():
        await lost(rail, await customer(rail), "executed")
        await until(lambda: rail.witness.ready)
        transfer = rail.intent(2000, "CRB2")
        rail.submit(transfer)
        assert (await rail.post.next_end()).operation_id == transfer.operation_id


async def test_a_second_attempt_that_is_unknown_blocks_its_equals_like_a_first(rail):
    async with rail.running():
        who = await customer(rail)
        await rail.box.deriv_step(PAID, fault="refuse", error_code="RateLimit")
        submit = await debit(rail, who)
        assert (await rail.post.next_end()).outcome is Outcome.NOT_SENT
        rail.attempts.close(submit.operation_id)
        await rail.box.deriv_step(PAID, fault="executed")
        rail.post.tell(DERIV_WITHDRAWALS, submit)
        assert (await rail.post.next_end()).outcome is Outcome.UNKNOWN
        await asyncio.sleep(0.3)
        equal = await debit(rail, await customer(rail, "CR502"))
        await asyncio.sleep(0.3)
    assert rail.attempts.outcomes(equal.operation_id) == []


# --- two senders, one rail ---


async def test_a_sender_that_restarts_leaves_the_others_calls_alone(rail):
    async with rail.running():
        await rail.box.deriv_step("paymentagent_transfer", fault="late_reply", fault_delay_s=1.0)
        transfer = rail.intent()
        rail.submit(transfer)
        await until(lambda: rail.attempts.attempts[transfer.operation_id])
        old = rail.post.bound[DERIV_WITHDRAWALS]
        await old.shutdown(5)
        again = rail.post.bound[DERIV_WITHDRAWALS] = rail.withdrawing()
        try:
            submit = await debit(rail, await customer(rail))
            ends = {(end := await rail.post.next_end()).operation_id: end.outcome for _ in range(2)}
            assert ends == {submit.operation_id: Outcome.CONFIRMED, transfer.operation_id: Outcome.CONFIRMED}
            rail.submit(second := rail.intent(500, "CRB5"))
            assert (await rail.post.next_end()).operation_id == second.operation_id
        finally:
            await again.shutdown(5)


async def test_a_killed_sender_leaves_an_unknown_debit_and_only_its_own(rail):
    async with rail.running():
        who = await customer(rail)
        await rail.box.deriv_step(PAID, fault="no_reply")
        submit = await debit(rail, who)
        await until(lambda: rail.attempts.attempts[submit.operation_id])
        old = rail.post.bound[DERIV_WITHDRAWALS]
        old.kill()
        await until(lambda: not old.is_alive())
        await rail.post.bound[DERIV_TRANSFERS].shutdown(5)
        rail.post.bound.pop(DERIV_TRANSFERS)
        again = rail.withdrawing()
        try:
            end = await rail.post.next_end()
        finally:
            await again.shutdown(5)
    assert (end.operation_id, end.outcome, end.code) == (submit.operation_id, Outcome.UNKNOWN, ABANDONED)


async def test_each_sender_finds_its_own_intents(rail):
    who = Customer("CRB9", "a1-CRB9", "crb9@customers.example")
    debit_of = intent(rail, who, "deadbeef00", created_at=long_ago(60))
    back = rail.attempts.add(OperationKind.DERIV_RETURN, usd(700), recipient="CRB9", created_at=long_ago(60))
    async with rail.running():
        ends = {(end := await rail.post.next_end()).operation_id: (end.kind, end.outcome) for _ in range(2)}
    assert ends == {
        debit_of.operation_id: ("DERIV_WITHDRAW", Outcome.REFUSED),
        back.operation_id: ("DERIV_RETURN", Outcome.CONFIRMED),
    }


async def test_a_return_and_a_credit_of_one_amount_wait_for_each_other(rail):
    async with rail.running():
        await rail.box.deriv_step("paymentagent_transfer", fault="executed")
        back = rail.attempts.add(OperationKind.DERIV_RETURN, usd(2000), recipient="CRB1")
        rail.submit(back)
        assert (await rail.post.next_end()).outcome is Outcome.UNKNOWN
        await until(lambda: rail.witness.ready)
        transfer = rail.intent(2000, "CRB2")
        rail.submit(transfer)
        await asyncio.sleep(0.3)
        assert rail.attempts.outcomes(transfer.operation_id) == []
        answer = await rail.resolve(back)
    assert (answer.probe, answer.outcome) == ("transfer", "CONFIRMED")


# --- codes ---


async def test_a_code_is_mailed_for_the_amount_and_the_agent(rail):
    async with rail.running():
        who = await customer(rail)
        assert await ask_code(rail, order(who, 2050)) == CodeSent()
        (mailed,) = rail.box.house.truth.world.codes.values()
    assert (mailed.email, mailed.agent_loginid) == (who.email, rail.agent.loginid)
    assert float(mailed.amount) == 20.5


async def test_the_address_that_deriv_knows_now_gets_the_mail(rail):
    async with rail.running():
        who = await customer(rail)
        assert await ask_code(rail, order(who, email="old@customers.example")) == CodeSent()
        (mailed,) = rail.box.house.truth.world.codes.values()
    assert mailed.email == who.email


@pytest.mark.parametrize(
    ("step", "code", "retry"),
    [
        ({"fault": "refuse", "error_code": "RateLimit"}, "rate_limited", 60),
        ({"fault": "refuse", "error_code": "InternalServerError"}, "rail_down", 60),
        ({"fault": "executed"}, "rail_down", 60),
    ],
)
async def test_a_code_that_is_not_mailed_says_when_to_ask_again(rail, step, code, retry):
    async with rail.running():
        await rail.box.deriv_step("verify_email", **step)
        answer = await ask_code(rail, order(await customer(rail)))
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.retry_after_s, answer.untouched) == (code, retry, False)


def too_soon(frame: dict[str, Any], **about: Any) -> None:
    """Make the answer to an order of a code one that says: not yet."""
    if frame["msg_type"] == "verify_email":
        del frame["verify_email"]
        frame["error"] = {"code": "OtpRateLimitExceeded", "message": "", **about}


@pytest.mark.parametrize("where", ["details", "detail"])
@pytest.mark.parametrize(("in_s", "retry_s"), [(90, 90), (-90, 1), (30 * 86_400, 86_400)])
async def test_the_time_that_deriv_names_is_passed_on_within_a_day(rail, where, in_s, retry_s):
    at = int(rail.clock.now().timestamp()) + in_s
    rail.dialer = Reworded(rail.dialer, lambda frame: too_soon(frame, **{where: {"next_request_at": at}}))
    async with rail.running():
        answer = await ask_code(rail, order(await customer(rail)))
    assert answer.code == "rate_limited"
    assert answer.retry_after_s == pytest.approx(retry_s, abs=10)


@pytest.mark.parametrize("at", [0, -1, 1_790_000_000_000, 1.5, "soon", None, [], {}])
async def test_a_time_that_is_none_ends_no_debit_in_flight(rail, at):
    rail.dialer = Reworded(rail.dialer, lambda frame: too_soon(frame, details={"next_request_at": at}))
    async with rail.running():
        await rail.box.deriv_step(PAID, fault="late_reply", fault_delay_s=0.3)
        who = await customer(rail)
        assert (await ask_code(rail, order(who))).code == "rate_limited"
        (code,) = rail.box.house.truth.world.codes
        submit = intent(rail, who, code)
        rail.post.tell(DERIV_WITHDRAWALS, submit)
        await until(lambda: rail.attempts.outcomes(submit.operation_id) == [None])
        answer = await ask_code(rail, order(await customer(rail, "CR502")))
        end = await rail.post.next_end()
    assert (answer.code, answer.retry_after_s) == ("rate_limited", 60)
    assert end.outcome is Outcome.CONFIRMED


@pytest.mark.parametrize("token", ["no-such-token", "a1-CRB7"])
async def test_a_token_that_does_not_open_the_account_asks_to_link_again(rail, token):
    async with rail.running():
        answer = await ask_code(rail, order(await customer(rail), token=token))
        assert rail.box.house.truth.world.codes == {}
    assert isinstance(answer, Refusal)
    assert answer.code == "deriv_not_linked"


async def test_with_deriv_away_no_code_is_promised(rail, unused_tcp_port):
    from penpay.adapters.deriv import WebSocketDialer  # noqa: PLC0415 - only here

    async with rail.running():
        who = await customer(rail)
        alone = Rail(rail.box, WebSocketDialer(ws_url=f"ws://127.0.0.1:{unused_tcp_port}", app_id="1"), rail.agent)
        ref = alone.withdrawing()
        answer = await ref.aask(order(who), 10)
        await ref.shutdown(5)
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.untouched) == ("rail_down", True)


async def test_whoever_asks_for_a_code_is_answered_in_time(rail):
    rail.withdrawals = WithdrawalSettings(mail_s=0.2)
    async with rail.running():
        who = await customer(rail)
        await rail.box.deriv_step("authorize", fault="no_reply")
        began_s = rail.clock.monotonic_s()
        answer = await ask_code(rail, order(who))
        assert rail.clock.monotonic_s() - began_s < 5
    assert (answer.code, answer.retry_after_s) == ("rail_down", 60)
    assert not answer.untouched, "it may have been asked"


async def test_codes_asked_for_at_once_are_bounded(rail):
    rail.withdrawals = WithdrawalSettings(mails_max=1)
    async with rail.running():
        await rail.box.deriv_step("verify_email", fault="slow", fault_delay_s=0.3)
        first, second = await customer(rail, "CR501"), await customer(rail, "CR502")
        answers = await asyncio.gather(ask_code(rail, order(first)), ask_code(rail, order(second)))
    assert answers[0] == CodeSent()
    assert (answers[1].code, answers[1].untouched) == ("overloaded", True)


async def test_an_ask_that_a_crash_interrupts_is_answered(rail):
    async with rail.running():
        await rail.box.deriv_step("verify_email", fault="no_reply")
        who = await customer(rail)
        asking = asyncio.create_task(ask_code(rail, order(who)))
        ref = rail.post.bound[DERIV_WITHDRAWALS]
        await until(lambda: inside(ref).observable_state()["mailing"])
        assert isinstance(inside(ref), DerivWithdrawalsActor)
        ref.kill()
        answer = await asking
    assert (answer.code, answer.retry_after_s) == ("rail_down", 60)


# --- the witness ---


async def witness(rail, submit) -> Any:
    row = rail.attempts.operations[submit.operation_id]
    rail.post.tell(
        DERIV_CREDITS,
        ProbeWitness(
            operation_id=row.id,
            shard=0,
            transaction_id=TRANSACTION,
            loginid=row.recipient,
            amount=row.amount,
            since=row.created_at,
        ),
    )
    return await rail.post.next()


@pytest.mark.parametrize("visible", [True, False])
async def test_the_agents_credit_is_the_witness_of_a_debit(rail, visible):
    await rail.box.control("/deriv/script", {"knobs": {"longcode_carries_description": visible}})
    async with rail.running():
        submit, end = await debited(rail, await customer(rail))
        answer = await witness(rail, submit)
        again = await witness(rail, submit)
        (moved,) = await withdrawn(rail)
    assert (answer.probe, answer.outcome, answer.amount) == ("witness", "CONFIRMED", usd(2000))
    assert answer.reference == again.reference == str(moved["other_transaction_id"]) != end.provider_ref


async def test_a_credit_serves_one_debit_only(rail):
    await rail.box.control("/deriv/script", {"knobs": {"longcode_carries_description": False}})
    async with rail.running():
        first, _ = await debited(rail, await customer(rail, "CR501"))
        second, _ = await debited(rail, await customer(rail, "CR502"))
        answers = [await witness(rail, first), await witness(rail, second)]
        moved = await withdrawn(rail)
    assert [answer.reference for answer in answers] == [str(one["other_transaction_id"]) for one in moved]


async def test_a_credit_that_another_operation_used_is_no_witness(rail):
    async with rail.running():
        submit, _ = await debited(rail, await customer(rail))
        (moved,) = await withdrawn(rail)
        rail.attempts.references[str(moved["other_transaction_id"])] = "another operation"
        assert (await witness(rail, submit)).outcome == "PENDING"


async def test_a_credit_that_a_debit_under_way_can_have_made_is_not_given_to_one_that_waits(rail):
    await rail.box.control("/deriv/script", {"knobs": {"statement_lag_s": 3600.0}})  # the stream names nobody
    async with rail.running():
        short, _ = await debited(rail, await customer(rail, "CR501"))
        (moved,) = await withdrawn(rail)
        rail.attempts.references[str(moved["other_transaction_id"])] = "somebody else's: ours never came"
        under_way = await debit(rail, await customer(rail, "CR502"))
        await rail.post.next_end()
        await until(lambda: len(rail.witness.streamed) == 2)
        assert (await witness(rail, short)).outcome == "PENDING"
        rail.attempts.close(short.operation_id, state="REFUSED")  # as a person has it now
        assert (await witness(rail, under_way)).outcome == "CONFIRMED"


async def test_a_debit_without_its_credit_waits(rail):
    async with rail.running():
        submit = await lost(rail, await customer(rail), "not_executed")
        answer = await witness(rail, submit)
    assert (answer.outcome, answer.reference) == ("PENDING", "")


async def test_a_statement_that_lags_does_not_hide_what_the_stream_told(rail):
    async with rail.running():
        submit, _ = await debited(rail, await customer(rail))
        await rail.box.control("/deriv/script", {"knobs": {"statement_lag_s": 3600.0}})
        await until(lambda: rail.witness.streamed)
        answer = await witness(rail, submit)
    assert answer.outcome == "CONFIRMED"


async def test_a_witness_that_cannot_be_looked_for_is_unanswered(rail):
    async with rail.running():
        submit, _ = await debited(rail, await customer(rail))
        await rail.box.deriv_step("statement", fault="before_read")
        assert (await witness(rail, submit)).outcome == "UNANSWERED"


async def test_a_statement_that_is_refused_for_now_is_not_taken_for_one_that_nobody_has(rail):
    async with rail.running():
        submit, _ = await debited(rail, await customer(rail))
        await until(lambda: rail.witness.streamed)
        await rail.box.deriv_step("statement", fault="refuse", error_code="RateLimit", times=0)
        await rail.box.control("/deriv/drop", {})
        await until(lambda: rail.witness.ready and rail.witness.missing)
        assert (await witness(rail, submit)).outcome == "UNANSWERED"
        await rail.box.control("/deriv/script", {"clear": True})
        assert (await witness(rail, submit)).outcome == "CONFIRMED"


# --- the proof ---


async def resolve(rail, submit) -> Any:
    row = rail.attempts.operations[submit.operation_id]
    rail.post.tell(
        DERIV_RESOLVER,
        ResolveDebit(
            operation_id=row.id,
            shard=0,
            transaction_id=TRANSACTION,
            user_id=row.user_id,
            loginid=row.recipient,
            amount=row.amount,
        ),
    )
    return await rail.post.next()


@pytest.mark.parametrize("visible", [True, False])
async def test_a_lost_debit_is_proven_by_both_statements(rail, visible):
    await rail.box.control("/deriv/script", {"knobs": {"longcode_carries_description": visible}})
    async with rail.running():
        submit = await lost(rail, await customer(rail), "executed")
        answer = await resolve(rail, submit)
        (moved,) = await withdrawn(rail)
        seen = await witness(rail, submit)
    assert (answer.probe, answer.outcome, answer.amount) == ("debit", "CONFIRMED", usd(2000))
    assert answer.reference == str(moved["transaction_id"])
    assert "customer:" in answer.proof
    assert "agent:" in answer.proof
    assert seen.reference == str(moved["other_transaction_id"])


async def test_a_debit_is_absent_only_behind_the_window_and_two_clean_reads_of_both(rail):
    async with rail.running():
        submit = await lost(rail, await customer(rail), "not_executed")
        early = await resolve(rail, submit)
        rail.clock.turn(601)
        first = await resolve(rail, submit)
        soon = await resolve(rail, submit)
        rail.clock.turn(21)
        second = await resolve(rail, submit)
    assert [answer.outcome for answer in (early, first, soon, second)] == ["PENDING", "PENDING", "PENDING", "ABSENT"]


async def test_an_agents_credit_alone_never_proves_a_debit(rail):
    async with rail.running():
        who = await customer(rail)
        stranger = await customer(rail, "CR777")
        submit = await lost(rail, who, "not_executed")
        await rail.box.control("/deriv/script", {"knobs": {"longcode_carries_description": False}})
        code = await code_for(rail, stranger)
        async with asyncio.timeout(5):
            await by_hand(rail, stranger, code)
        early = await resolve(rail, submit)
        rail.clock.turn(601)
        late = await resolve(rail, submit)
    assert early.outcome == "PENDING"
    assert late.outcome == "AMBIGUOUS"
    assert "one side only" in late.proof


async def by_hand(rail, who: Customer, code: str, minor=2000) -> None:
    """A withdrawal that PenPay knows nothing of."""
    from actors.deriv_customer_session import customer_session  # noqa: PLC0415 - only here

    opening = customer_session(rail.dialer, loginid=who.loginid, token=who.token, call_s=5, pays=True)
    async with opening as (session, _):
        request = deriv.withdraw(amount=usd(minor), agent=rail.agent.loginid, code=code, reference="by hand")
        assert not (await session.ask(request)).error_code


async def test_statements_that_lag_prove_nothing(rail):
    async with rail.running():
        await rail.box.control("/deriv/script", {"knobs": {"statement_lag_s": 3600.0}})
        submit = await lost(rail, await customer(rail), "executed")
        rail.clock.turn(601)
        outcomes = []
        for _ in range(3):
            outcomes.append((await resolve(rail, submit)).outcome)
            rail.clock.turn(21)
        await rail.box.control("/deriv/script", {"knobs": {"statement_lag_s": 0.0}})
        found = await resolve(rail, submit)
    assert outcomes == ["PENDING"] * 3
    assert found.outcome == "CONFIRMED"


async def test_a_customer_who_has_withdrawn_the_token_cannot_be_read(rail):
    async with rail.running():
        submit = await lost(rail, await customer(rail), "executed")
        row = rail.attempts.operations[submit.operation_id]
        sealed = row.sealed_request.replace(b"a1-CR501", b"a1-CR000")
        rail.attempts.operations[row.id] = replace(row, sealed_request=sealed)
        answer = await resolve(rail, submit)
    assert (answer.outcome, answer.code) == ("UNANSWERED", "customer:InvalidToken")


async def test_an_attempt_that_was_never_ready_to_send_is_absent_at_once(rail):
    async with rail.running():
        who = await customer(rail)
        submit = intent(rail, who, "deadbeef00")
        lease = rail.lease.current()
        await rail.attempts.begin("deriv", lease.epoch, submit.operation_id, watermark={"begin": "1-1"})
        answer = await resolve(rail, submit)
    assert (answer.outcome, answer.amount) == ("ABSENT", None)
    assert answer.proof


async def test_a_debit_without_an_attempt_is_unanswered(rail):
    async with rail.running():
        answer = await resolve(rail, intent(rail, Customer("CRB1", "a1-CRB1", ""), "deadbeef00"))
    assert (answer.outcome, answer.code) == ("UNANSWERED", "no_attempt")


# --- what nobody claims ---


async def test_a_credit_that_nobody_claims_is_filed_once(rail):
    async with rail.running():
        stranger = await customer(rail, "CR777")
        await by_hand(rail, stranger, await code_for(rail, stranger))
        await asyncio.sleep(0.3)
        assert rail.filed.rows == []
        rail.clock.turn(1801)
        await until(lambda: rail.filed.rows)
        await asyncio.sleep(0.3)
        (moved,) = await withdrawn(rail)
    (row,) = rail.filed.rows
    assert (row.shard, row.kind, row.operation_id) == (0, "credit", "")
    credit = decode_credit(row.body)
    assert (credit.transaction_id, credit.amount) == (str(moved["other_transaction_id"]), usd(2000))


@dataclass
class TakenAtEachBeat:
    """A statement whose pace lets nobody read who comes with the beat of a look: another reader comes just before."""

    real: AgentStatement
    asked_at: float = 0.0

    def wait_s(self) -> float:
        now = asyncio.get_running_loop().time()
        waited, self.asked_at = now - self.asked_at < 0.06, now
        return 0.0 if waited else 0.02

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


async def test_a_look_that_has_no_turn_waits_for_it(rail):
    """Readers of the same beat: the one that only tried again with the next beat never had a turn."""
    rail.statement = TakenAtEachBeat(rail.statement)
    async with rail.running():
        stranger = await customer(rail, "CR777")
        await by_hand(rail, stranger, await code_for(rail, stranger))
        rail.clock.turn(1801)
        await until(lambda: rail.filed.rows)
    assert [row.kind for row in rail.filed.rows] == ["credit"]


async def test_what_was_there_before_the_books_began_is_nobodys_business(rail):
    async with rail.running():
        stranger = await customer(rail, "CR777")
        await by_hand(rail, stranger, await code_for(rail, stranger))
        rail.clock.turn(3600)
        rail.reads.since = rail.clock.now()
        rail.clock.turn(1801 + 60)
        await asyncio.sleep(0.4)
    assert rail.filed.rows == []


async def test_a_claimed_credit_is_never_filed_and_one_that_an_open_debit_may_claim_waits(rail):
    await rail.box.control("/deriv/script", {"knobs": {"longcode_carries_description": False}})
    async with rail.running():
        done, _ = await debited(rail, await customer(rail, "CR501"), 2100)
        reference = (await witness(rail, done)).reference
        rail.attempts.references[reference] = done.operation_id
        unknown = await lost(rail, await customer(rail, "CR502"), "executed")
        rail.clock.turn(1801)
        await asyncio.sleep(0.4)
        assert rail.filed.rows == []
        rail.attempts.close(unknown.operation_id, state="REFUSED")
        await until(lambda: rail.filed.rows)
    assert [decode_credit(row.body).amount for row in rail.filed.rows] == [usd(2000)]


async def test_a_credit_whose_withdrawal_has_not_asked_since_an_outage_waits(rail):
    await rail.box.control("/deriv/script", {"knobs": {"longcode_carries_description": False}})
    async with rail.running():
        done, _ = await debited(rail, await customer(rail, "CR501"), 2100)
        rail.attempts.close(done.operation_id, state="CONFIRMED")
        rail.clock.turn(1801)
        await asyncio.sleep(0.4)
        assert rail.filed.rows == []
        reference = (await witness(rail, done)).reference
        assert reference


async def in_review(rail, who: Customer, minor=2000):
    """A debit that was executed, and whose withdrawal is before people: its saga asks no more."""
    submit, _ = await debited(rail, who, minor)
    rail.attempts.reviewed.add(submit.operation_id)
    return submit


async def test_a_credit_that_comes_in_review_is_told_to_its_saga_and_never_filed(rail):
    rail.dialer = Reworded(rail.dialer, nameless)
    async with rail.running():
        submit = await in_review(rail, await customer(rail))
        (moved,) = await withdrawn(rail)
        told = await rail.post.next()
        again = await rail.post.next()
        rail.clock.turn(1801)
        await asyncio.sleep(0.4)
        assert rail.filed.rows == []
        rail.attempts.references[told.reference] = submit.operation_id
        await asyncio.sleep(0.3)
        rail.post.kept.clear()
        await asyncio.sleep(0.4)
        assert rail.post.kept[SAGA].empty(), "it is recorded"
    assert again.reference == told.reference
    assert (told.probe, told.operation_id, told.outcome) == ("witness", submit.operation_id, "CONFIRMED")
    assert (told.reference, told.amount) == (str(moved["other_transaction_id"]), usd(2000))


async def test_a_credit_that_a_statement_shows_hours_after_it_was_made_is_told(rail):
    async with rail.running():
        await rail.box.control("/deriv/script", {"knobs": {"statement_lag_s": 7200.0}})
        submit = await in_review(rail, await customer(rail))
        rail.clock.turn(3600)
        await asyncio.sleep(0.4)
        await rail.box.control("/deriv/script", {"knobs": {"statement_lag_s": 0.0}})
        told = await rail.post.next()
    assert (told.operation_id, told.outcome) == (submit.operation_id, "CONFIRMED")
    assert rail.filed.rows == []


def nameless(frame) -> None:
    """A statement whose rows name nobody."""
    for row in frame.get("statement", {}).get("transactions", ()):
        row["longcode"] = "Payment agent transfer."


async def test_a_credit_that_two_debits_in_review_can_have_made_is_told_to_none_and_filed(rail):
    rail.dialer = Reworded(rail.dialer, nameless)
    async with rail.running():
        first, _ = await debited(rail, await customer(rail, "CR501"))
        (moved,) = await withdrawn(rail)
        rail.attempts.references[str(moved["other_transaction_id"])] = "somebody else's: ours never came"
        second, _ = await debited(rail, await customer(rail, "CR502"))
        rail.attempts.reviewed |= {first.operation_id, second.operation_id}
        rail.clock.turn(1801)
        await until(lambda: rail.filed.rows)
    assert len(rail.filed.rows) == 1
    assert rail.post.kept[SAGA].empty()


@dataclass
class HappensMeanwhile:
    """A statement, and what happens before it is read."""

    real: AgentStatement
    happens: Callable[[], Awaitable[object]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def read(self, since: datetime) -> StatementRead:
        await self.happens()
        return await self.real.read(since)


async def test_a_credit_of_a_debit_that_goes_before_people_while_the_statement_is_read_is_not_filed(rail):
    """It waits no more, and was not in review yet: whoever asks for the two apart may meet it in neither."""
    rail.dialer = Reworded(rail.dialer, nameless)
    rail.credits = CreditSettings(look_every_s=3600.0)

    async def before_people() -> None:
        rail.attempts.reviewed |= rail.attempts.operations.keys()

    rail.statement = HappensMeanwhile(rail.statement, before_people)
    async with rail.running():
        submit, _ = await debited(rail, await customer(rail))
        rail.clock.turn(1801)
        credits_actor = inside(rail.post.bound[DERIV_CREDITS])
        await credits_actor._file_unmatched()
        assert rail.filed.rows == []
        await credits_actor._file_unmatched()
        told = await rail.post.next()
    assert (told.operation_id, told.outcome) == (submit.operation_id, "CONFIRMED")
    assert rail.filed.rows == []


async def test_a_debit_in_review_is_not_told_the_credit_of_one_that_is_made_while_the_statement_is_read(rail):
    rail.dialer = Reworded(rail.dialer, nameless)
    rail.credits = CreditSettings(look_every_s=3600.0)
    made: list[str] = []

    async def another() -> None:
        submit, _ = await debited(rail, await customer(rail, "CR502"))
        made.append(submit.operation_id)

    rail.statement = HappensMeanwhile(rail.statement, another)
    async with rail.running():
        await in_review(rail, await customer(rail))
        (moved,) = await withdrawn(rail)
        rail.attempts.references[str(moved["other_transaction_id"])] = "somebody else's: ours never came"
        await inside(rail.post.bound[DERIV_CREDITS])._file_unmatched()
    assert len(made) == 1
    assert rail.post.kept[SAGA].empty()
    assert rail.filed.rows == []


async def test_what_was_told_to_a_debit_that_waits_no_more_is_filed(rail):
    """People settled it otherwise before its saga could take the credit."""
    async with rail.running():
        submit = await in_review(rail, await customer(rail))
        await rail.post.next()
        rail.attempts.reviewed.clear()
        rail.attempts.close(submit.operation_id, state="REFUSED")
        rail.clock.turn(1801)
        await until(lambda: rail.filed.rows)


async def test_filing_waits_for_the_database(rail):
    async with rail.running():
        stranger = await customer(rail, "CR777")
        await by_hand(rail, stranger, await code_for(rail, stranger))
        rail.filed.away = True
        rail.clock.turn(1801)
        await asyncio.sleep(0.3)
        rail.filed.away = False
        await until(lambda: rail.filed.rows)
    assert len(rail.filed.rows) == 1
