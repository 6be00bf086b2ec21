"""S7: a refresh token works once. One that comes back ends the family, unless the same device lost the very answer."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from penpay.http.edge import EdgeSettings
from tests.http.world import Answer, Customer, World


async def exchange(world: World, token: str, device: str) -> Answer:
    return await world.call("POST", "/auth/refresh", {"refresh_token": token, "device_id": device})


async def is_dead(world: World, customer: Customer, *tokens: str) -> bool:
    refused = [(await exchange(world, token, customer.device)).code == "refresh_invalid" for token in tokens]
    return all(refused) and (await customer.call("GET", "/me")).status == 401


async def test_a_spent_token_ends_the_whole_family(world: World, customer: Customer, clock):
    first = customer.refresh
    second = (await exchange(world, first, customer.device)).body["refresh_token"]
    clock.ahead = timedelta(seconds=12)
    third = (await exchange(world, second, customer.device)).body["refresh_token"]
    assert (await exchange(world, first, customer.device)).code == "refresh_invalid"
    assert await is_dead(world, customer, third)


async def test_a_lost_answer_is_repeated_to_the_same_device_only_with_the_same_successor(
    world: World, customer: Customer, clock
):
    answers = [await exchange(world, customer.refresh, customer.device) for _ in range(3)]
    assert len({answer.body["refresh_token"] for answer in answers}) == 1
    clock.ahead = timedelta(seconds=11)
    assert (await exchange(world, customer.refresh, customer.device)).code == "refresh_invalid"
    assert await is_dead(world, customer, answers[0].body["refresh_token"])


async def test_within_the_grace_a_token_whose_successor_was_used_is_a_copy(world: World, customer: Customer):
    successor = (await exchange(world, customer.refresh, customer.device)).body["refresh_token"]
    latest = (await exchange(world, successor, customer.device)).body["refresh_token"]
    assert (await exchange(world, customer.refresh, customer.device)).code == "refresh_invalid"
    assert await is_dead(world, customer, latest)


async def test_another_device_ends_it_even_within_the_grace(world: World, customer: Customer):
    successor = (await exchange(world, customer.refresh, customer.device)).body["refresh_token"]
    assert (await exchange(world, customer.refresh, "thief")).code == "refresh_invalid"
    assert await is_dead(world, customer, successor)


async def test_twenty_at_once_have_one_successor(world: World, customer: Customer, module_database):
    answers = await asyncio.gather(*(exchange(world, customer.refresh, customer.device) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body["refresh_token"] for answer in answers}) == 1
    ((living,),) = module_database.rows(
        "SELECT COUNT(*) FROM {users}.refresh_tokens t JOIN {users}.sessions s ON s.id = t.session_id"
        " WHERE s.user_id = %s AND t.spent_at IS NULL",
        (customer.id,),
    )
    assert living == 1


async def test_the_reason_is_kept(world: World, customer: Customer, module_database):
    await exchange(world, customer.refresh, "thief")
    rows = module_database.rows("SELECT end_reason FROM {users}.sessions WHERE user_id = %s", (customer.id,))
    assert rows == [("token_reused",)]


async def test_in_a_browser_the_token_lives_in_a_cookie_that_pages_and_other_sites_cannot_use(
    world: World, customer: Customer
):
    device = {"id": customer.device, "name": "Browser", "platform": "web"}
    body = {
        "email": customer.email,
        "password": "correct horse battery",
        "device": device,
        "refresh_in": "cookie",
    }
    signed_in = await world.call("POST", "/auth/login", body)
    cookie = signed_in.headers["Set-Cookie"]
    for word in ("HttpOnly", "SameSite=Strict", "Path=/api/v1/auth"):
        assert word in cookie
    assert "Secure" not in cookie  # plain http here; with https it is there, below
    assert "refresh_token" not in signed_in.body
    value = {"Cookie": cookie.partition(";")[0]}
    asked = {"device_id": customer.device}
    elsewhere = {**value, "Sec-Fetch-Site": "cross-site", "Origin": "https://attacker.example"}
    assert (await world.call("POST", "/auth/refresh", asked, headers=elsewhere)).status == 403
    assert (await world.call("POST", "/auth/logout", asked, headers=elsewhere)).status == 403
    form = {**value, "Content-Type": "application/x-www-form-urlencoded"}
    assert (await world.call("POST", "/auth/refresh", headers=form, data=b"device_id=x")).status == 415
    first = await world.call("POST", "/auth/refresh", asked, headers={**value, "Sec-Fetch-Site": "same-origin"})
    assert first.status == 200
    renewed = {"Cookie": first.headers["Set-Cookie"].partition(";")[0]}
    assert renewed != value
    gone = await world.call("POST", "/auth/logout", asked, headers=renewed)
    assert (gone.status, "Max-Age=0" in gone.headers["Set-Cookie"]) == (204, True)
    assert (await world.call("POST", "/auth/refresh", asked, headers=renewed)).code == "refresh_invalid"


class TestBehindTls:
    @pytest.fixture
    def edge_settings(self, edge_settings: EdgeSettings) -> EdgeSettings:
        return replace(edge_settings, public_url="https://pay.example")

    async def test_the_cookie_travels_over_tls_only(self, world: World, customer: Customer):
        device = {"id": customer.device, "name": "Browser", "platform": "web"}
        body = {"email": customer.email, "password": "correct horse battery", "device": device, "refresh_in": "cookie"}
        cookie = (await world.call("POST", "/auth/login", body)).headers["Set-Cookie"]
        assert "Secure" in cookie
