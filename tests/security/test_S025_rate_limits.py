"""S25: every limit holds at its figure, says when to come again, ends with its window, and cannot be walked around."""

import ipaddress
from dataclasses import replace
from datetime import timedelta

import pytest

from penpay.http.rates import rate_rules
from penpay.messages import AcceptDeposit, AcceptWithdrawal, HttpAnswer
from tests.http.test_callbacks import operation, path_of, post
from tests.http.world import PASSWORD, Answer, Customer, World
from tests.http.world import login as sign_in

__all__ = ["operation"]
DEPOSIT = {"amount": {"amount": "1300.00", "currency": "KES"}}
WITHDRAWAL = {"amount": {"amount": "20.00", "currency": "USD"}, "verification_code": "abcdefgh", "pin": "480375"}
TAKEN = HttpAnswer(status=202, body=b"{}", content_type="application/json")


@pytest.fixture
def edge_settings(edge_settings):
    """The figures of production, except for registration (every test needs a customer) and callbacks."""
    return replace(
        edge_settings,
        trusted_proxies=(ipaddress.ip_network("127.0.0.0/8"),),
        rates=rate_rules(register_per_hour_address=1000, callback_per_minute_address=60),
    )


def is_limited(answer: Answer, window_s: int) -> None:
    assert (answer.status, answer.code) == (429, "rate_limited")
    assert 0 < int(answer.headers["Retry-After"]) <= window_s
    assert answer.body["retryable"]
    assert answer.body["retry_after_s"] == int(answer.headers["Retry-After"])


async def test_sixty_reads_a_minute_over_all_reads(customer: Customer, clock):
    clock.ahead += timedelta(minutes=2)
    paths = ("/me", "/transactions", "/deriv/link", "/transactions?limit=1", "/balance")
    statuses = [(await customer.call("GET", paths[n % len(paths)])).status for n in range(60)]
    assert set(statuses) == {200}
    is_limited(await customer.call("GET", "/me"), 60)
    clock.ahead += timedelta(seconds=121)
    assert (await customer.call("GET", "/me")).status == 200


async def test_six_deposits_a_minute(world: World, customer: Customer, clock):
    world.actors.answers[AcceptDeposit] = lambda _: TAKEN
    for n in range(6):
        answer = await customer.call("POST", "/deposits", DEPOSIT, headers={"Idempotency-Key": f"a{n}"})
        assert answer.status == 202
    is_limited(await customer.call("POST", "/deposits", DEPOSIT, headers={"Idempotency-Key": "b"}), 60)
    # A known key costs nothing, also at the limit.
    assert (await customer.call("POST", "/deposits", DEPOSIT, headers={"Idempotency-Key": "a0"})).status == 202
    clock.ahead += timedelta(seconds=121)
    assert (await customer.call("POST", "/deposits", DEPOSIT, headers={"Idempotency-Key": "b"})).status == 202


async def test_three_withdrawals_a_minute(world: World, customer: Customer):
    await customer.call("PUT", "/me/pin", {"pin": "480375", "password": PASSWORD})
    world.actors.answers[AcceptWithdrawal] = lambda _: TAKEN
    for n in range(3):
        answer = await customer.call("POST", "/withdrawals", WITHDRAWAL, headers={"Idempotency-Key": f"a{n}"})
        assert answer.status == 202
    is_limited(await customer.call("POST", "/withdrawals", WITHDRAWAL, headers={"Idempotency-Key": "b"}), 60)


@pytest.mark.parametrize(
    "spelled", ["/auth/login", "/auth/login/", "/AUTH/login", "/./auth/login", "/../v1/auth/login", "/auth//login"]
)
async def test_another_spelling_of_a_path_is_no_way_around(world: World, customer: Customer, spelled: str):
    body = {
        "email": customer.email,
        "password": "wrong wrong wrong",
        "device": {"id": "x", "name": "x", "platform": "web"},
    }
    for n in range(5):
        await world.call("POST", "/auth/login", body, headers={"X-Forwarded-For": f"198.51.100.{n}"})
    for email in (customer.email, customer.email.upper(), f" {customer.email}"):
        answer = await world.call("POST", spelled, {**body, "email": email})
        assert answer.status in {400, 404, 405, 429}


async def test_twenty_sign_ins_a_minute_from_one_address(world: World, customer: Customer):
    here = {"X-Forwarded-For": "203.0.113.99"}
    device = {"id": "x", "name": "x", "platform": "web"}
    statuses = []
    for n in range(21):
        body = {"email": f"nobody{n}@example.com", "password": "wrong wrong wrong", "device": device}
        statuses.append((await world.call("POST", "/auth/login", body, headers=here)).status)
    assert statuses == [401] * 20 + [429]
    # Another address is not held up by it.
    assert await sign_in(world, customer.email, customer.device)


async def test_so_many_callbacks_a_minute_from_a_foreign_address(world: World, operation: str):
    path, source = path_of(world, operation=operation), {"X-Forwarded-For": "203.0.113.50"}
    for _ in range(60):
        assert (await post(world, path, headers=source)).status == 200
    is_limited(await post(world, path, headers=source), 60)
    assert (await post(world, path, headers={"X-Forwarded-For": "203.0.113.51"})).status == 200


def test_the_figures_of_production():
    rules = rate_rules()
    assert (rules.login_account.limit, rules.login_address.limit, rules.register_address.limit) == (5, 20, 3)
    assert (rules.code.limit, rules.code.window_s) == (5, 900)
    assert (rules.deposit_minute.limit, rules.deposit_hour.limit) == (6, 30)
    assert (rules.withdrawal_minute.limit, rules.withdrawal_day.limit) == (3, 10)
    assert (rules.read.limit, rules.callback_address.limit) == (60, 600)


async def test_in_development_only_addresses_are_generous():
    rules = rate_rules(address_factor=1000)
    assert (rules.login_address.limit, rules.register_address.limit) == (20_000, 3_000)
    assert (rules.login_account.limit, rules.deposit_minute.limit, rules.read.limit) == (5, 6, 60)
