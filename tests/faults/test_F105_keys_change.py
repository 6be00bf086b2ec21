"""F105: keys are changed while deposits are on their way."""

import asyncio
import base64
import json
import secrets
from pathlib import Path

from tests.faults.operating import configured
from tests.faults.stage import Stage


def drawn(stage: Stage, name: str) -> str:
    """A key that this installation drew for itself, before any other test started a node beside it."""
    folder = Path(stage.installation.environment["PENPAY_NODE__STATE_DIR"])
    path = min(folder.rglob("keys.json"), key=lambda found: found.stat().st_mtime_ns)
    return str(json.loads(path.read_text())[name])


async def test_a_callback_to_an_address_under_the_old_key_still_counts(stage: Stage) -> None:
    before, after = stage.customer(), stage.customer()
    old = await stage.deposit(before, phone={"outcome": "wait"})
    push = await stage.push_of(before)
    assert "/cb/d/01" in push["callback_url"]
    ring = f"2:{base64.b64encode(secrets.token_bytes(32)).decode()},1:{drawn(stage, 'callback_key')}"
    async with configured(stage.installation.node, PENPAY_SECURITY__CALLBACK_KEY=ring):
        await stage.control.post(f"/pushes/{push['checkout_id']}/answer", {})
        await stage.reaches(old, "COMPLETED")
        new = await stage.deposit(after)
        await stage.reaches(new, "COMPLETED")
        assert "/cb/d/02" in (await stage.push_of(after))["callback_url"]
    assert (await stage.told(before)).counts == (1, 1, 1)


async def test_a_wrong_passkey_stops_pushes_and_no_payment(stage: Stage) -> None:
    who, other = stage.customer(), stage.customer()
    deposit = await stage.deposit(who, phone={"outcome": "wait"})
    push = await stage.push_of(who)
    async with configured(stage.installation.node, PENPAY_DARAJA__PASSKEY="f" * 64):
        await stage.control.post(f"/pushes/{push['checkout_id']}/answer", {})
        await stage.reaches(deposit, "COMPLETED")
        refused = await stage.deposit(other)
        async with asyncio.timeout(20):
            while not stage.rows(
                "SELECT 1 FROM {ledger}.rail_attempts a JOIN {ledger}.provider_operations o ON o.id = a.operation_id"
                " WHERE o.transaction_id = %s AND a.outcome <> ''",
                refused,
            ):
                await asyncio.sleep(0.05)
        assert (await stage.told(other)).counts == (0, 0, 0)
        assert stage.state(refused) != "COMPLETED"
    # With the right one again it is pushed, or has been given up; nobody paid for nothing.
    end = await stage.reaches(refused, "COMPLETED", "FAILED", within_s=90)
    _, paid, credited = (await stage.told(other)).counts
    assert (paid, credited) == ((1, 1) if end == "COMPLETED" else (0, 0))
    assert (await stage.told(who)).counts == (1, 1, 1)
