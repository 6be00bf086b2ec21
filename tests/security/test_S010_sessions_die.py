"""S10: signing out, a new password, a removed device and a freeze take effect on the very next request."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from penpay.domain.problems import PROBLEMS
from penpay.http.edge import EdgeSettings
from penpay.http.events import HEARTBEAT_S
from penpay.messages import AcceptDeposit, HttpAnswer
from tests.faults.stage import Stage
from tests.http.test_events import live, opened, shard_of
from tests.http.test_passwords import ask_code, reset
from tests.http.test_phones import change_phone
from tests.http.world import PASSWORD, Customer, World, login, new_phone

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


async def sign_in_again(world: World, customer: Customer) -> None:
    await login(world, customer.email, customer.device)


async def copied_token(world: World, customer: Customer) -> None:
    copied = {"refresh_token": customer.refresh, "device_id": "thief"}
    assert (await world.call("POST", "/auth/refresh", copied)).status == 401


async def change_elsewhere(world: World, customer: Customer) -> None:
    """The owner changes the password on another device."""
    tokens = await login(world, customer.email, "second")
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    change = {"password": PASSWORD, "new_password": "a quite different sentence"}
    assert (await world.call("PUT", "/me/password", change, headers=headers)).status == 204


@pytest.fixture
def edge_settings(edge_settings: EdgeSettings) -> EdgeSettings:
    """A new device may change the number at once: that it has to wait is S13's matter."""
    return replace(edge_settings, withdrawal_hold_s=0)


async def change_phone_elsewhere(world: World, customer: Customer) -> None:
    tokens = await login(world, customer.email, "second")
    other = Customer(world, customer.id, customer.email, "", tokens["access_token"], "", "second")
    assert (await change_phone(other, new_phone())).status == 200


ENDS = (
    *(sign_out, sign_out_everywhere, reset_password, remove_device, sign_in_again, copied_token),
    *(change_elsewhere, change_phone_elsewhere),
)


@pytest.mark.parametrize("end", ENDS)
async def test_an_open_stream_ends_with_its_session_and_waits_for_no_heartbeat(world: World, customer: Customer, end):
    async with opened(customer) as stream:
        assert (await stream.next())[1] == "ready"
        await end(world, customer)
        async with asyncio.timeout(HEARTBEAT_S / 2):
            assert b"event:" not in await stream.response.content.read()
    assert world.edge.events.streams == 0


async def test_a_session_that_ends_while_its_stream_is_opened_has_none(world: World, customer: Customer, monkeypatch):
    """Between the look at the request and the subscription no bell is heard yet."""
    subscribed = world.edge.events.subscribe
    monkeypatch.setattr(world.edge.events, "ring", lambda _: None)

    async def late(shard: int) -> int:
        await sign_out(world, customer)
        return 0

    monkeypatch.setattr(world.edge.reads, "newest_seq", late)
    async with opened(customer) as stream, asyncio.timeout(HEARTBEAT_S / 2):
        assert b"event:" not in await stream.response.content.read()
    assert world.edge.events.subscribe == subscribed


async def test_the_owners_other_streams_go_on(world: World, customer: Customer):
    shard = await shard_of(world, customer)
    tokens = await login(world, customer.email, "second")
    other = Customer(world, customer.id, customer.email, "", tokens["access_token"], tokens["refresh_token"], "second")
    async with opened(customer) as stream:
        assert (await stream.next())[1] == "ready"
        await sign_out(world, other)
        world.edge.events.publish(live(customer, shard, 1_000_000))
        assert (await stream.next())[1] == "transaction.updated"


async def test_an_open_stream_ends_with_its_session_however_busy_it_is(
    world: World, customer: Customer, clock, monkeypatch
):
    monkeypatch.setattr(world.edge.events, "ring", lambda _: None)
    shard = await shard_of(world, customer)
    async with opened(customer) as stream:
        assert (await stream.next())[1] == "ready"
        await sign_out(world, customer)
        clock.ahead = timedelta(seconds=16)
        world.edge.events.publish(live(customer, shard, 1))
        async with asyncio.timeout(10):
            rest = await stream.response.content.read()
    assert b"transaction.updated" not in rest


async def test_a_freeze_ends_the_open_streams(stage: Stage):
    """On a running node: staff freeze somebody who is looking on."""
    who = stage.customer()
    url = f"{stage.installation.node.public_url}/api/v1/events"
    async with stage.session.get(url, headers={"Authorization": f"Bearer {who.token}"}) as response:
        assert response.status == 200
        for told in (b"ready", b"balance.updated"):
            assert told in await response.content.readuntil(b"\n\n")
        case = f"case {who.number}"
        assert await stage.operator.decide(who.user_id, "freeze", evidence=case, reason="a match") == 200
        async with asyncio.timeout(HEARTBEAT_S / 2):
            assert b"event:" not in await response.content.read()
    refused = await stage.get(who, "/events")
    assert (refused.status, refused.body["code"]) == (403, "account_frozen")
    assert (await stage.get(who, "/transactions")).status == 200
