import asyncio

import pytest


def transfer(**changes):
    return {
        "paymentagent_transfer": 1,
        "amount": 9.66,
        "currency": "USD",
        "transfer_to": "CR123456",
        "description": "PP-01J9ZK3W0000000000000000",
        "req_id": 5,
        **changes,
    }


async def transfers(rails):
    return (await rails.control("/truth/summary"))["transfers"]


async def test_a_transfer_moves_cents_exactly(rails):
    await rails.customer()
    agent = await rails.agent()
    reply = await agent.ask(transfer())
    assert reply["paymentagent_transfer"] == 1
    assert (reply["client_to_full_name"], reply["client_to_loginid"]) == ("Jane Wanjiku", "CR123456")
    assert isinstance(reply["transaction_id"], int)
    assert reply["echo_req"]["amount"] == 9.66
    summary = await rails.control("/truth/summary")
    assert summary["agent"]["opening_minor"] - summary["agent"]["current_minor"] == 966
    assert summary["customers"]["current_minor"] == 966


async def test_a_dry_run_validates_and_moves_nothing(rails):
    await rails.customer()
    agent = await rails.agent()
    reply = await agent.ask(transfer(dry_run=1))
    assert reply["paymentagent_transfer"] == 2
    assert reply["client_to_full_name"] == "Jane Wanjiku"
    assert "transaction_id" not in reply
    assert await agent.refused(transfer(dry_run=1, transfer_to="CR7")) == "PaymentAgentTransferError"
    assert (await transfers(rails))["count"] == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 0.99},
        {"amount": 2000.01},
        {"amount": 9.665},
        {"transfer_to": "CR404"},
        {"transfer_to": "CR9000001"},
        {"currency": "EUR"},
    ],
)
async def test_a_transfer_outside_the_rules_is_a_business_refusal(rails, changes):
    await rails.customer()
    agent = await rails.agent()
    assert await agent.refused(transfer(**changes)) == "PaymentAgentTransferError"
    assert (await transfers(rails))["count"] == 0


async def test_an_empty_agent_wallet_refuses(rails):
    await rails.customer()
    await rails.control("/funds", {"account": "agent", "delta_minor": -10_000_000_000})
    agent = await rails.agent()
    reply = await agent.ask(transfer())
    assert "insufficient" in reply["error"]["message"]


async def test_only_an_agent_may_transfer(rails):
    customer = await rails.customer(balance="100.00")
    await rails.customer(loginid="CR222222")
    deriv = await rails.deriv()
    await deriv.ask({"authorize": customer["token"]})
    assert await deriv.refused(transfer(transfer_to="CR222222")) == "PaymentAgentTransferError"


async def test_both_sides_streams_tell_of_a_transfer(rails):
    customer = await rails.customer()
    agent, payee = await rails.agent(), await rails.deriv()
    await payee.ask({"authorize": customer["token"]})
    await payee.ask({"balance": 1, "subscribe": 1, "req_id": 8})
    first = await agent.ask({"transaction": 1, "subscribe": 1, "req_id": 9})
    assert "transaction" not in first
    await agent.send(transfer())
    frames = [await agent.next() for _ in range(2)]
    reply = next(frame for frame in frames if frame["msg_type"] == "paymentagent_transfer")
    told = next(frame for frame in frames if frame["msg_type"] == "transaction")
    assert told["req_id"] == 9
    assert told["subscription"] == first["subscription"]
    row = told["transaction"]
    assert (row["action"], row["amount"], row["currency"]) == ("withdrawal", -9.66, "USD")
    assert row["transaction_id"] == reply["transaction_id"]
    assert not row.keys() & {"description", "longcode", "to", "client_to_loginid"}
    update = await payee.next()
    assert (update["req_id"], update["balance"]["balance"], update["balance"]["loginid"]) == (8, 9.66, "CR123456")


async def test_the_statement_is_newest_first_filtered_and_paged(rails):
    await rails.customer()
    agent = await rails.agent()
    for amount in (1, 2, 3):
        await agent.ask(transfer(amount=amount))
    await rails.control("/funds", {"account": "agent", "delta_minor": 500})

    async def amounts(**filters):
        reply = await agent.ask({"statement": 1, **filters})
        assert reply["statement"]["count"] == len(reply["statement"]["transactions"])
        return [row["amount"] for row in reply["statement"]["transactions"]]

    assert await amounts() == [5, -3, -2, -1]
    assert await amounts(action_type="withdrawal") == [-3, -2, -1]
    assert await amounts(action_type="withdrawal", limit=1, offset=1) == [-2]
    assert await amounts(limit=0) == []
    now = (await agent.ask({"time": 1}))["time"]
    assert await amounts(date_from=now + 60) == []
    assert await amounts(date_to=now - 60) == []


async def test_the_longcode_carries_our_description_only_when_the_knob_says_so(rails):
    await rails.customer()
    agent = await rails.agent()
    reply = await agent.ask(transfer())

    async def row(**fields):
        return (await agent.ask({"statement": 1, **fields}))["statement"]["transactions"][0]

    shown = await row(description=1)
    assert "PP-01J9ZK3W0000000000000000" in shown["longcode"]
    assert shown["transaction_id"] == reply["transaction_id"]
    assert shown["balance_after"] == 99_999_990.34
    assert "longcode" not in await row()
    await rails.control("/deriv/script", {"knobs": {"longcode_carries_description": False}})
    assert "PP-" not in (await row(description=1))["longcode"]


async def test_the_statement_lags_when_the_knob_says_so(rails):
    await rails.customer()
    await rails.control("/deriv/script", {"knobs": {"statement_lag_s": 60.0}})
    agent = await rails.agent()
    await agent.ask(transfer())
    assert (await agent.ask({"statement": 1}))["statement"]["transactions"] == []


@pytest.mark.parametrize(("fault", "moved"), [("before_read", 0), ("not_executed", 0), ("executed", 1)])
async def test_a_drop_around_a_transfer_moves_money_only_after_execution(rails, fault, moved):
    await rails.customer()
    agent = await rails.agent()
    await rails.control("/deriv/script", {"steps": [{"op": "paymentagent_transfer", "fault": fault}]})
    await agent.send(transfer())
    assert await agent.dropped()
    assert (await transfers(rails))["count"] == moved


async def test_a_late_reply_comes_on_the_same_socket_after_others(rails):
    await rails.customer()
    agent = await rails.agent()
    step = {"op": "paymentagent_transfer", "fault": "late_reply", "fault_delay_s": 0.4}
    await rails.control("/deriv/script", {"steps": [step]})
    await agent.send(transfer())
    assert (await agent.ask({"ping": 1}))["ping"] == "pong"
    assert (await transfers(rails))["count"] == 1
    assert (await agent.next())["req_id"] == 5


async def test_a_transfer_can_be_executed_after_its_socket_is_gone(rails):
    await rails.customer()
    agent = await rails.agent()
    step = {"op": "paymentagent_transfer", "fault": "late_execute", "fault_delay_s": 0.5}
    await rails.control("/deriv/script", {"steps": [step]})
    await agent.send(transfer())
    assert await agent.dropped()
    before = (await transfers(rails))["count"]
    async with asyncio.timeout(5):
        while (await transfers(rails))["count"] == before:
            await asyncio.sleep(0.02)
    assert before == 0


async def test_other_faults_of_a_transfer(rails):
    await rails.customer()
    agent = await rails.agent()
    faults = [
        {"fault": "duplicate_reply"},
        {"fault": "refuse", "error_code": "RateLimit", "error_message": "Slow down."},
        {"fault": "other_amount", "amount": "9.00"},
        {"fault": "no_reply"},
    ]
    await rails.control("/deriv/script", {"steps": [{"op": "paymentagent_transfer", **fault} for fault in faults]})
    first = await agent.ask(transfer(req_id=1))
    assert await agent.next() == first
    assert await agent.refused(transfer(req_id=2)) == "RateLimit"
    assert (await agent.ask(transfer(req_id=3)))["paymentagent_transfer"] == 1
    await agent.send(transfer(req_id=4))
    assert (await agent.ask({"ping": 1, "req_id": 6}))["req_id"] == 6
    assert await transfers(rails) == {"count": 3, "amount_minor": 966 + 900 + 966}


async def test_a_step_can_be_meant_for_one_recipient_and_leaves_dry_runs_alone(rails):
    await rails.customer()
    await rails.customer(loginid="CR222222", email="other@example.com")
    step = {"op": "paymentagent_transfer", "match": {"transfer_to": "CR222222"}, "times": 0, "fault": "refuse"}
    await rails.control("/deriv/script", {"steps": [step]})
    agent = await rails.agent()
    assert (await agent.ask(transfer(transfer_to="CR222222", dry_run=1)))["paymentagent_transfer"] == 2
    assert (await agent.ask(transfer()))["paymentagent_transfer"] == 1
    for _ in range(2):
        assert await agent.refused(transfer(transfer_to="CR222222")) == "PaymentAgentTransferError"


async def test_the_daily_count_of_transfers_can_be_limited(rails):
    await rails.customer()
    await rails.control("/deriv/script", {"knobs": {"transfers_per_day": 1}})
    agent = await rails.agent()
    await agent.ask(transfer())
    assert await agent.refused(transfer()) == "PaymentAgentTransferError"


async def test_a_customer_withdraws_once_with_the_mailed_code(rails):
    customer = await rails.customer(balance="50.00")
    deriv = await rails.deriv()
    await deriv.ask({"authorize": customer["token"]})
    mail = {
        "verify_email": "jane@example.com",
        "type": "paymentagent_withdraw",
        "url_parameters": {"pa_loginid": "CR9000001", "pa_amount": 20, "pa_currency": "USD"},
    }
    assert (await deriv.ask(mail))["verify_email"] == 1
    code = (await rails.control("/deriv/codes?email=jane@example.com"))["codes"][0]["code"]
    withdraw = {
        "paymentagent_withdraw": 1,
        "amount": 20,
        "currency": "USD",
        "paymentagent_loginid": "CR9000001",
        "verification_code": code,
    }
    assert (await deriv.ask({**withdraw, "dry_run": 1}))["paymentagent_withdraw"] == 2
    done = await deriv.ask(withdraw)
    assert (done["paymentagent_withdraw"], done["paymentagent_name"]) == (1, "Sandbox Payment Agent")
    assert (await deriv.refused(withdraw)).startswith("PaymentAgentWithdraw")
    summary = await rails.control("/truth/summary")
    assert summary["withdrawals"] == {"count": 1, "amount_minor": 2000}
    agent = await rails.agent()
    row = (await agent.ask({"statement": 1, "action_type": "deposit"}))["statement"]["transactions"][0]
    assert row["amount"] == 20


async def test_an_unknown_address_gets_the_same_answer_and_no_code(rails):
    deriv = await rails.deriv()
    reply = await deriv.ask({"verify_email": "nobody@example.com", "type": "paymentagent_withdraw"})
    assert reply["verify_email"] == 1
    assert (await rails.control("/deriv/codes"))["codes"] == []


async def test_the_agents_limits_are_in_its_list_entry(rails):
    deriv = await rails.deriv()
    row = (await deriv.ask({"paymentagent_list": "ke", "currency": "USD"}))["paymentagent_list"]["list"][0]
    assert (row["paymentagent_loginid"], row["min_withdrawal"], row["max_withdrawal"]) == (
        "CR9000001",
        "1.00",
        "2000.00",
    )


async def test_limits_are_told_to_who_may_read(rails):
    agent = await rails.agent()
    assert (await agent.ask({"get_limits": 1}))["get_limits"]["remainder"] == 100_000_000
