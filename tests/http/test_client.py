"""The client in our package against a real listener: keys stay, tokens are renewed, events are resumed."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from penpay import client as library
from penpay.cli import app
from penpay.client import ApiProblem, Client, ReceiptRefused, verified
from penpay.client import events as lines
from penpay.http.event_hub import LiveEvent
from penpay.messages import AcceptDeposit, CreateQuote, Refusal
from tests.http.rows import BEGAN, add_event, add_transaction
from tests.http.test_deposits import ACCEPTED
from tests.http.world import PASSWORD, Customer, LostAnswer, World


@pytest.fixture
async def client(world: World, customer: Customer) -> AsyncIterator[Client]:
    async with Client(world.base, patience_s=20) as client:
        await client.login(email=customer.email, password=PASSWORD, device_id=customer.device)
        yield client


async def test_a_key_stays_the_same_over_all_repetitions(world: World, client: Client):
    lost = iter([LostAnswer(), LostAnswer(), ACCEPTED])
    world.actors.answers[AcceptDeposit] = lambda _: next(lost)
    asked = await client.deposit("1300.00")
    assert asked["id"] == json.loads(ACCEPTED.body)["id"]
    keys = [message.key_hash for _, message in world.actors.asked if isinstance(message, AcceptDeposit)]
    assert len(keys) == 3
    assert len(set(keys)) == 1


async def test_what_may_have_happened_is_not_repeated_without_a_key(world: World, client: Client):
    world.actors.answers[CreateQuote] = lambda _: LostAnswer()
    with pytest.raises(ApiProblem) as problem:
        await client.quote("DEPOSIT", "1300.00", "KES")
    assert problem.value.code == "outcome_unknown"
    assert problem.value.retryable
    assert problem.value.request_id
    assert len([1 for _, message in world.actors.asked if isinstance(message, CreateQuote)]) == 1


async def test_a_problem_says_what_to_do(world: World, client: Client):
    world.actors.answers[CreateQuote] = lambda _: Refusal("amount_out_of_range")
    with pytest.raises(ApiProblem) as problem:
        await client.quote("DEPOSIT", "1.00", "KES")
    assert (problem.value.status, problem.value.next_action) == (422, "Choose an amount within the limits.")
    with pytest.raises(ApiProblem) as problem:
        await client.quote("DEPOSIT", "1", "KES")
    assert set(problem.value.errors) == {"amount.amount"}


async def test_an_expired_token_is_renewed_once_for_all_calls(client: Client, clock):
    first = client.token
    clock.ahead += timedelta(seconds=1000)
    await asyncio.gather(*(client.me() for _ in range(5)))
    assert client.token != first
    await client.logout()
    with pytest.raises(ApiProblem) as problem:
        await client.me()
    assert problem.value.status == 401


async def test_events_go_on_where_a_broken_line_ended(
    world: World, customer: Customer, client: Client, module_database, monkeypatch
):
    monkeypatch.setattr(lines, "_PAUSE_S", 0.01)
    claims = world.edge.tokens.read(customer.access, at=world.edge.clock.now())
    shard = (await world.edge.accounts.identity(customer.id, claims.session_id)).shard
    base = await world.edge.reads.newest_seq(shard)
    add_event(module_database, customer, shard, base + 1, {"n": 1})
    seen: list[int] = []
    async with asyncio.timeout(15):
        async for event in client.events(after=f"{shard}-{base}"):
            seen.append(event.data["n"])
            if event.data["n"] == 3:
                break
            if event.data["n"] == 1:
                add_event(module_database, customer, shard, base + 2, {"n": 2})
                add_event(module_database, customer, shard, base + 3, {"n": 3})
                world.edge.events.end_all()
    assert seen == [1, 2, 3]


async def test_an_end_is_heard_of(world: World, customer: Customer, client: Client, module_database):
    made = add_transaction(module_database, customer)
    waiting = asyncio.create_task(client.ended(made))
    async with asyncio.timeout(15):
        while not world.edge.events.streams:
            await asyncio.sleep(0.01)
        module_database.rows(
            "UPDATE {ledger}.transactions SET status = 'FAILED', state = 'FAILED' WHERE id = %s", (made,)
        )
        while not waiting.done():
            body = json.dumps({"id": made})
            world.edge.events.publish(
                LiveEvent(shard=0, seq=10**9, type="transaction.updated", user_id=customer.id, body=body)
            )
            await asyncio.sleep(0.01)
    assert (await waiting)["status"] == "FAILED"


async def test_the_whole_history_is_walked(customer: Customer, client: Client, module_database):
    made = [add_transaction(module_database, customer) for _ in range(3)]
    assert [item["id"] async for item in client.history(type="DEPOSIT")] == made[::-1]


async def test_a_receipt_is_checked_without_asking_anybody(
    customer: Customer, client: Client, module_database, tmp_path: Path
):
    made = add_transaction(module_database, customer, state="COMPLETED", status="COMPLETED", completed_at=BEGAN)
    receipt, key = await client.receipt(made), await client.receipt_key()
    assert verified(receipt, public_key=key)["transaction"]["id"] == made
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(receipt))
    said = CliRunner().invoke(app, ["receipt", "verify", str(file), "--public-key", key])
    assert (said.exit_code, said.output.split("\n")[0]) == (
        0,
        f"genuine: DEPOSIT {made} is COMPLETED, 1300.00 KES to 9.66 USD",
    )
    receipt["receipt"]["transaction"]["receive"]["amount"] = "999.66"
    file.write_text(json.dumps(receipt))
    assert CliRunner().invoke(app, ["receipt", "verify", str(file), "--public-key", key]).exit_code == 1
    for spoiled in ({}, {**receipt, "algorithm": "none"}, {**receipt, "signature": "zz"}):
        with pytest.raises(ReceiptRefused):
            verified(spoiled, public_key=key)
    with pytest.raises(ReceiptRefused, match="public key"):
        verified(receipt, public_key="00")


async def test_a_statement_comes_in_both_forms(client: Client):
    assert (await client.statement()).startswith(b"time,type,transaction")
    assert (await client.statement(as_pdf=True)).startswith(b"%PDF-")


def test_every_public_name_is_there():
    assert all(hasattr(library, name) for name in library.__all__)
