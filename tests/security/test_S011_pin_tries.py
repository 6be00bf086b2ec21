"""S11: five tries at the PIN, counted in the database: restarts, an empty Redis, parallel guesses change nothing."""

import asyncio
from datetime import timedelta

import pytest

from penpay.adapters.database import Database
from penpay.adapters.pin_store import MySqlPins
from penpay.domain.identity import pin_problem
from penpay.messages import AcceptWithdrawal, HttpAnswer
from tests.http.world import PASSWORD, Answer, Customer, World, login

PIN = "480375"
WRONG = ("480376", "480377", "480378", "480379", "480370")


@pytest.fixture
async def payee(world: World, customer: Customer) -> Customer:
    assert (await customer.call("PUT", "/me/pin", {"pin": PIN, "password": PASSWORD})).status == 204
    paid = HttpAnswer(status=202, body=b"{}", content_type="application/json")
    world.actors.answers[AcceptWithdrawal] = lambda _: paid
    return customer


async def withdraw(payee: Customer, pin: str) -> Answer:
    """Past the limits per minute and day: the count in the database must hold without them."""
    body = {"amount": {"amount": "20.00", "currency": "USD"}, "verification_code": "abcdefgh", "pin": pin}
    await payee.world.edge.rate_limits._client.flushall()
    return await payee.call("POST", "/withdrawals", body, headers={"Idempotency-Key": payee.world.edge.ids.ulid()})


async def test_the_sixth_try_is_refused_even_with_the_right_pin(payee: Customer):
    """Redis is flushed before each of them."""
    for pin in WRONG:
        assert (await withdraw(payee, pin)).code == "pin_wrong"
    locked = await withdraw(payee, PIN)
    assert (locked.status, locked.code) == (423, "pin_locked")
    assert int(locked.headers["Retry-After"]) > 23 * 3600


async def test_the_password_gives_a_locked_pin_no_new_tries(world: World, payee: Customer):
    for pin in WRONG:
        await withdraw(payee, pin)
    answer = await payee.call("PUT", "/me/pin", {"pin": "715926", "password": PASSWORD})
    assert (answer.status, answer.code) == (423, "pin_locked")
    assert int(answer.headers["Retry-After"]) > 23 * 3600
    assert (await withdraw(payee, PIN)).code == "pin_locked"
    world.edge.clock.ahead += timedelta(hours=25)
    payee.access = (await login(world, payee.email, payee.device))["access_token"]
    assert (await payee.call("PUT", "/me/pin", {"pin": "715926", "password": PASSWORD})).status == 204
    assert (await withdraw(payee, "715926")).status == 202


async def test_a_new_process_knows_the_count(world: World, payee: Customer, module_database):
    for pin in WRONG:
        await withdraw(payee, pin)
    fresh = Database(module_database.url, prefix=module_database.prefix)
    try:
        assert (await MySqlPins(fresh).begin_try(payee.id, at=world.edge.clock.now())).locked_until is not None
    finally:
        fresh.close()


async def test_parallel_guesses_are_all_counted(world: World, payee: Customer, monkeypatch):
    judged = 0
    check = world.edge.passwords.check_pin

    async def counted(user_id: str, stored: str, pin: str) -> bool:
        nonlocal judged
        judged += 1
        return await check(user_id, stored, pin)

    monkeypatch.setattr(world.edge.passwords, "check_pin", counted)
    at = world.edge.clock.now()
    tries = await asyncio.gather(*(world.edge.pins.begin_try(payee.id, at=at) for _ in range(50)))
    assert sum(one.locked_until is None for one in tries) == 5
    assert (await withdraw(payee, PIN)).code == "pin_locked"
    assert judged == 0


async def test_the_right_pin_in_time_clears_the_count(payee: Customer):
    for pin in WRONG[:4]:
        await withdraw(payee, pin)
    assert (await withdraw(payee, PIN)).status == 202
    for pin in WRONG[:4]:
        assert (await withdraw(payee, pin)).code == "pin_wrong"
    assert (await withdraw(payee, PIN)).status == 202


@pytest.mark.parametrize("pin", ["123456", "654321", "111111", "121212", "010190", "311299", "199001", "480480"])
def test_nobody_may_choose_what_is_guessed_first(pin: str):
    assert pin_problem(pin)


async def test_the_owners_phone_is_no_pin(customer: Customer):
    answer = await customer.call("PUT", "/me/pin", {"pin": customer.phone[-6:], "password": PASSWORD})
    assert answer.fields == {"pin"}
