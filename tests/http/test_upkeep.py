"""Sign-ins in the chain of staff and sign-ins, rows that have had their time, and what a scraper learns."""

import asyncio
import json
from datetime import timedelta

import pytest

from penpay.adapters.upkeep_store import MySqlUpkeep
from tests.http.test_sign_in import registration
from tests.http.world import Customer, World, login, new_phone


@pytest.fixture
def upkeep(stores, module_database) -> MySqlUpkeep:
    module_database.rows("UPDATE {users}.sessions SET recorded = IF(ended_at IS NULL, 1, 2)")
    return MySqlUpkeep(stores)


def chain(module_database, customer: Customer) -> list[tuple[str, dict]]:
    rows = module_database.rows(
        "SELECT action, detail FROM {audit}.audit_log WHERE chain = 'sys' AND actor = %s ORDER BY seq",
        (f"user:{customer.id}",),
    )
    return [(str(action), json.loads(detail)) for action, detail in rows]


async def test_every_sign_in_and_its_end_stand_in_the_chain_once(
    world: World, upkeep: MySqlUpkeep, customer: Customer, module_database
):
    now = world.edge.clock.now()
    assert await upkeep.record_sign_ins(at=now) == 1
    await login(world, customer.email, "second")
    await customer.call("DELETE", "/me/devices/second")
    # Two nodes at once: what one writes is passed over by the other.
    assert sum(await asyncio.gather(*(upkeep.record_sign_ins(at=now) for _ in range(2)))) == 2
    assert await upkeep.record_sign_ins(at=now) == 0
    found = chain(module_database, customer)
    assert [action for action, _ in found] == ["session.opened", "session.opened", "session.ended"]
    assert found[-1][1]["reason"] == "removed"
    assert "Phone" not in repr(found)


async def test_only_what_serves_nobody_is_taken_away(
    world: World, upkeep: MySqlUpkeep, customer: Customer, module_database
):
    tokens = "SELECT COUNT(*) FROM {users}.refresh_tokens"
    before = module_database.rows(tokens)
    await upkeep.forget_old(at=world.edge.clock.now())
    assert module_database.rows(tokens) == before
    body = {"refresh_token": customer.refresh, "device_id": customer.device}
    assert (await world.call("POST", "/auth/refresh", body)).status == 200
    await upkeep.forget_old(at=world.edge.clock.now() + timedelta(days=63))
    assert module_database.rows(tokens) == [(0,)]


async def test_a_registration_that_nobody_completed_is_forgotten_after_a_day(
    world: World, upkeep: MySqlUpkeep, customer: Customer, module_database
):
    phone = new_phone()
    await world.call("POST", "/auth/register", registration(phone))
    await login(world, f"r{phone}@example.com", "first")
    ((user_id,),) = module_database.rows("SELECT id FROM {users}.users WHERE phone_verified_at IS NULL")
    kept = {
        "users": "SELECT 1 FROM {users}.users WHERE id = %s",
        "data_keys": "SELECT 1 FROM {users}.data_keys WHERE user_id = %s",
        "sent_codes": "SELECT 1 FROM {users}.sent_codes WHERE user_id = %s",
        "sessions": "SELECT 1 FROM {users}.sessions WHERE user_id = %s",
    }
    await upkeep.forget_old(at=world.edge.clock.now() + timedelta(hours=23))
    assert {table for table, rows in kept.items() if module_database.rows(rows, (user_id,))} == kept.keys()
    await upkeep.forget_old(at=world.edge.clock.now() + timedelta(hours=25))
    assert {table for table, rows in kept.items() if module_database.rows(rows, (user_id,))} == set()
    await login(world, customer.email, customer.device)


async def test_failures_are_counted_for_an_alert(world: World, customer: Customer):
    device = {"id": "x", "name": "X", "platform": "web"}
    await world.call("POST", "/auth/login", {"email": customer.email, "password": "wrong", "device": device})
    await world.call("POST", "/auth/refresh", {"refresh_token": "x" * 43, "device_id": "x"})
    text = world.edge.metrics.exposition("")[0].decode()
    assert 'penpay_authentications_total{kind="password",result="refused"} 1.0' in text
    assert 'penpay_authentications_total{kind="password",result="accepted"} 1.0' in text
    assert 'penpay_authentications_total{kind="refresh",result="refused"} 1.0' in text
