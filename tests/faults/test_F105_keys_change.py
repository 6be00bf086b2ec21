"""F105: keys are changed while deposits are on their way."""

import asyncio
import base64
import json
import secrets
from pathlib import Path

from penpay.client import ApiProblem
from tests.faults.operating import configured
from tests.faults.stage import Stage
from tests.faults.withdrawing import Withdrawer, held, operations, tree, withdrawer


def drawn(stage: Stage, name: str) -> str:
    """A key that this installation drew for itself, before any other test started a node beside it."""
    folder = Path(stage.installation.environment["PENPAY_NODE__STATE_DIR"])
    path = min(folder.rglob("keys.json"), key=lambda found: found.stat().st_mtime_ns)
    return str(json.loads(path.read_text())[name])


async def test_a_callback_to_an_address_under_the_old_key_still_counts(unlisted: Stage) -> None:
    stage = unlisted
    before, after = stage.customer(), stage.customer()
    # Queries say nothing, nor does the list: a deposit ends by its callback, or not at all.
    silent = {"query": ["pending"] * 60}
    old = await stage.deposit(before, phone={"outcome": "wait", **silent})
    await stage.reaches(old, "AWAITING_PAYER")
    push = await stage.push_of(before)
    assert "/cb/d/01" in push["callback_url"]
    ring = f"2:{base64.b64encode(secrets.token_bytes(32)).decode()},1:{drawn(stage, 'callback_key')}"
    async with configured(stage.installation.node, PENPAY_SECURITY__CALLBACK_KEY=ring):
        await stage.control.post(f"/pushes/{push['checkout_id']}/answer", {})
        await stage.reaches(old, "COMPLETED")
        new = await stage.only_called_back(after)
        await stage.reaches(new, "COMPLETED")
        assert "/cb/d/02" in (await stage.push_of(after))["callback_url"]
    assert [stage.paid_by(deposit) for deposit in (old, new)] == ["callback", "callback"]
    assert (await stage.told(before)).counts == (1, 1, 1)


async def test_a_wrong_passkey_stops_pushes_and_no_payment(stage: Stage) -> None:
    who, other = stage.customer(), stage.customer()
    deposit = await stage.deposit(who, phone={"outcome": "wait"})
    push = await stage.push_of(who)
    async with configured(stage.installation.node, PENPAY_DARAJA__PASSKEY="f" * 64):
        await stage.control.post(f"/pushes/{push['checkout_id']}/answer", {})
        await stage.reaches(deposit, "COMPLETED")
        refused = await stage.deposit(other)
        async with asyncio.timeout(60):
            while not stage.rows(
                "SELECT 1 FROM {ledger}.rail_attempts a JOIN {ledger}.provider_operations o ON o.id = a.operation_id"
                " WHERE o.transaction_id = %s AND a.outcome <> ''",
                refused,
            ):
                await asyncio.sleep(0.05)
        assert (await stage.told(other)).counts == (0, 0, 0)
        assert stage.state(refused) == "STK_SENDING"
    # With the right one again it is pushed, and once.
    await stage.reaches(refused, "COMPLETED", within_s=60)
    assert (await stage.told(other)).counts == (1, 1, 1)
    assert (await stage.told(who)).counts == (1, 1, 1)


async def test_under_a_wrong_initiator_password_payouts_wait_for_the_right_one(stage: Stage) -> None:
    who, other = await withdrawer(stage), await withdrawer(stage)
    wrong = {"PENPAY_DARAJA__INITIATOR_PASSWORD": "not-this-one", "PENPAY_LIMITS__OTP_PER_15_MINUTES": "10000"}
    # Before the first result tells, seconds late perhaps, only the payout and two balances are asked for: five lock it.
    rarely = {"PENPAY_TIMING__FLOAT_POLL_S": "600"}
    node = stage.installation.node
    # However long a restart takes here, people are not asked yet.
    async with configured(node, PENPAY_TIMING__UNKNOWN_UNTIL_S="60000"):
        code = await who.code()
        await tree(stage, "rails/deriv/credits", "stop")
        withdrawal = await who.ask(code)
        await stage.reaches(withdrawal, "DEBITED")
        async with configured(node, **wrong, **rarely):
            await stage.reaches(withdrawal, "B2C_SENDING", "AWAITING_RESULT", "B2C_UNKNOWN", "B2C_HELD")
            # Nobody locks our initiator out by trying on: new ones are refused before dollars move.
            async with asyncio.timeout(60):
                while await refusal(other) != "rail_down":
                    await asyncio.sleep(0.05)
            assert (await who.told()).counts == (1, 0, 0)
            assert len((await who.told()).payouts) <= 1
            # If it left before anybody knew, its failure comes once, and a node that is down would not hear of it.
            async with asyncio.timeout(60):
                while operations(stage, withdrawal, "B2C") != [("INTENT", 0)] and not failed(stage, withdrawal):
                    await asyncio.sleep(0.05)
        await stage.reaches(withdrawal, "COMPLETED", within_s=60)
    assert (await who.told()).counts == (1, 1, 0)
    assert (await other.told()).counts == (0, 0, 0)
    assert held(stage, withdrawal) == {}


def failed(stage: Stage, withdrawal: str) -> bool:
    """Whether a result said that it was not paid out."""
    told = "SELECT 1 FROM {ledger}.transaction_events WHERE transaction_id = %s AND event = 'PayoutFailed'"
    return bool(stage.rows(told, withdrawal))


async def refusal(who: Withdrawer) -> str:
    """Why they get no code to withdraw with; empty when they get one."""
    try:
        await who.client.withdrawal_code(who.amount)
    except ApiProblem as problem:
        return problem.code
    return ""
