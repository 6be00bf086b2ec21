"""S3: guessing is slowed per account and per address, and a stranger cannot lock the owner out.

The documented path: a device on which the account was signed in before has a count of its own.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from penpay.http.edge import EdgeSettings
from penpay.http.rates import rate_rules
from tests.http.world import PASSWORD, Answer, Customer, World, new_phone


async def attempt(world: World, email: str, password: str, device: str) -> Answer:
    body = {"email": email, "password": password, "device": {"id": device, "name": "X", "platform": "web"}}
    return await world.call("POST", "/auth/login", body)


async def test_after_five_failures_even_the_right_password_waits(world: World, customer: Customer, clock):
    clock.ahead = timedelta(minutes=3)
    for _ in range(5):
        assert (await attempt(world, customer.email, "a wrong one", "stranger")).status == 401
    stopped = await attempt(world, customer.email, PASSWORD, "stranger")
    assert (stopped.status, stopped.code) == (429, "rate_limited")
    assert int(stopped.headers["Retry-After"]) >= 1


async def test_a_stranger_does_not_keep_the_owner_from_a_known_device(world: World, customer: Customer):
    for _ in range(10):
        await attempt(world, customer.email, "a wrong one", "stranger")
    assert (await attempt(world, customer.email, PASSWORD, "another")).status == 429
    assert (await attempt(world, customer.email, PASSWORD, customer.device)).status == 200


async def test_a_removed_device_has_no_lane_of_its_own(world: World, customer: Customer):
    second = await attempt(world, customer.email, PASSWORD, "second")
    assert second.status == 200
    assert (await customer.call("DELETE", "/me/devices/second")).status == 204
    for _ in range(6):
        await attempt(world, customer.email, "a wrong one", "stranger")
    assert (await attempt(world, customer.email, PASSWORD, "second")).status == 429
    assert (await attempt(world, customer.email, PASSWORD, customer.device)).status == 200


async def test_a_known_device_is_no_way_around_the_limit(world: World, customer: Customer):
    answers = [await attempt(world, customer.email, "a wrong one", customer.device) for _ in range(7)]
    assert [answer.status for answer in answers] == [401] * 5 + [429] * 2


async def test_the_device_of_one_account_opens_no_lane_of_another(world: World, customer: Customer):
    for _ in range(6):
        await attempt(world, "somebody@example.com", "a wrong one", customer.device)
    assert (await attempt(world, "somebody@example.com", "a wrong one", customer.device)).status == 429


async def test_patience_does_not_help_either(world: World, customer: Customer, clock):
    # From the beginning of a window: across two of them the count is an estimate, and the test's hour a matter of luck.
    aligned = timedelta(seconds=7200 - clock.now().timestamp() % 3600)
    statuses = []
    for number in range(35):
        clock.ahead = aligned + timedelta(minutes=1.5 * number, seconds=5)
        statuses.append((await attempt(world, customer.email, "a wrong one", "stranger")).status)
    assert statuses == [401] * 30 + [429] * 5


async def test_every_lock_ends_by_itself(world: World, customer: Customer, clock):
    for _ in range(30):
        await attempt(world, customer.email, "a wrong one", "stranger")
    clock.ahead = timedelta(hours=3)
    assert (await attempt(world, customer.email, PASSWORD, "new-phone")).status == 200


class TestAddresses:
    @pytest.fixture
    def edge_settings(self, edge_settings: EdgeSettings) -> EdgeSettings:
        return replace(edge_settings, rates=rate_rules(otp_resend_s=1, register_per_hour_address=1000))

    async def test_one_address_guesses_at_few_accounts(self, world: World):
        statuses = [(await attempt(world, f"n{n}@example.com", "a wrong one", "d")).status for n in range(25)]
        assert statuses == [401] * 20 + [429] * 5

    async def test_one_address_guesses_few_codes_of_whatever_phones(self, world: World):
        statuses = [
            (await world.call("POST", "/auth/phone/verify", {"phone": new_phone(), "code": "123456"})).status
            for _ in range(25)
        ]
        assert statuses == [400] * 20 + [429] * 5
