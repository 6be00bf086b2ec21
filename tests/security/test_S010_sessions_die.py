"""S10: signing out, a new password, a removed device and a freeze take effect on the very next request."""

import asyncio
from datetime import timedelta

import pytest

from penpay.domain.problems import PROBLEMS
from penpay.messages import AcceptDeposit, HttpAnswer
from tests.http.test_events import live, opened, shard_of
from tests.http.test_passwords import ask_code, reset
from tests.http.world import PASSWORD, Customer, World

MONEY = (
    ("POST", "/deposits", {"amount": {"amount": "1300.00", "currency": "KES"}}),
    ("POST", "/withdrawals/code", {"amount": {"amount": "20.00", "currency": "USD"}}),
    (
        "POST",
        "/withdrawals",
        {"amount": {"amount": "20.00", "currency": "USD"}, "verification_code": "abcdefgh", "pin": "480375"},
    ),
    ("POST", "/quotes", {"type": "DEPOSIT", "amount": {"amount": "1300.00", "currency": "KES"}}),
    ("GET", "/transactions", None),
    ("GET", "/me", None),
)


async def sign_out(world: World, customer: Customer) -> None:
    body = {"refresh_token": customer.refresh, "device_id": customer.device}
    assert (await world.call("POST", "/auth/logout", body)).status == 204


async def sign_out_everywhere(world: World, customer: Customer) -> None:
    body = {"refresh_token": customer.refresh, "device_id": customer.device, "everywhere": True}
    assert (await world.call("POST", "/auth/logout", body)).status == 204


async def reset_password(world: World, customer: Customer) -> None:
    assert (await reset(world, customer.email, await ask_code(world, customer.email))).status == 204


async def remove_device(world: World, customer: Customer) -> None:
    assert (await customer.call("DELETE", f"/me/devices/{customer.device}")).status == 204


@pytest.mark.parametrize("end", [sign_out, sign_out_everywhere, reset_password, remove_device])
async def test_the_old_access_token_is_refused_at_once(world: World, customer: Customer, end):
    assert (await customer.call("GET", "/me")).status == 200
    await end(world, customer)
    for method, path, body in MONEY:
        answer = await customer.call(method, path, body, headers={"Idempotency-Key": "after"})
        assert (answer.status, answer.code) == (401, "unauthorized"), path
    assert world.actors.asked == []
    refresh = {"refresh_token": customer.refresh, "device_id": customer.device}
    assert (await world.call("POST", "/auth/refresh", refresh)).code == "refresh_invalid"


async def test_a_changed_password_ends_every_other_session(world: World, customer: Customer):
    device = {"id": "second", "name": "X", "platform": "ios"}
    second = await world.call("POST", "/auth/login", {"email": customer.email, "password": PASSWORD, "device": device})
    change = {"password": PASSWORD, "new_password": "a quite different sentence"}
    assert (await customer.call("PUT", "/me/password", change)).status == 204
    headers = {"Authorization": f"Bearer {second.body['access_token']}"}
    assert (await world.call("GET", "/me", headers=headers)).status == 401


async def test_a_freeze_is_seen_by_the_next_request(world: World, customer: Customer, module_database):
    seen = []

    def admit(command: AcceptDeposit) -> HttpAnswer:
        seen.append(command.customer.status)
        return HttpAnswer(status=PROBLEMS["account_frozen"].status, body=b"{}", content_type="application/problem+json")

    world.actors.answers[AcceptDeposit] = admit
    method, path, body = MONEY[0]
    await customer.call(method, path, body, headers={"Idempotency-Key": "before"})
    module_database.rows(
        "INSERT INTO {ledger}.user_status VALUES (%s, 0, 'FROZEN', NOW(6), 'test', NOW(6))", (customer.id,)
    )
    await customer.call(method, path, body, headers={"Idempotency-Key": "after"})
    assert seen == ["ACTIVE", "FROZEN"]


async def test_an_open_stream_ends_with_its_session_however_busy_it_is(world: World, customer: Customer, clock):
    shard = await shard_of(world, customer)
    async with opened(customer) as stream:
        assert (await stream.next())[1] == "ready"
        await sign_out(world, customer)
        clock.ahead = timedelta(seconds=16)
        world.edge.events.publish(live(customer, shard, 1))
        async with asyncio.timeout(10):
            rest = await stream.response.content.read()
    assert b"transaction.updated" not in rest
