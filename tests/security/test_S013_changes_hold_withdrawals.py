"""S13: a new device, PIN, password or phone number holds withdrawals for a day, counted from the change.

The hold stands in the customer's row and reaches every admission.
"""

import asyncio
from datetime import datetime, timedelta

import pytest

from penpay.bench.seed import seed
from penpay.messages import AcceptWithdrawal, HttpAnswer
from tests.faults.stage import WAITS, Stage
from tests.http.test_passwords import ask_code, reset
from tests.http.test_phones import change_phone
from tests.http.world import PASSWORD, Customer, World, login, new_phone

PIN, OTHER_PIN = "480375", "715926"
NEW_PASSWORD = "a quite different sentence"


async def new_device(world: World, customer: Customer) -> None:
    await login(world, customer.email, "second")


async def new_pin(world: World, customer: Customer) -> None:
    assert (await customer.call("PUT", "/me/pin", {"pin": OTHER_PIN, "password": PASSWORD})).status == 204


async def new_password(world: World, customer: Customer) -> None:
    body = {"password": PASSWORD, "new_password": NEW_PASSWORD}
    assert (await customer.call("PUT", "/me/password", body)).status == 204


async def forgotten_password(world: World, customer: Customer) -> None:
    assert (await reset(world, customer.email, await ask_code(world, customer.email), NEW_PASSWORD)).status == 204
    device = {"id": customer.device, "name": "X", "platform": "ios"}
    body = {"email": customer.email, "password": NEW_PASSWORD, "device": device}
    customer.access = (await world.call("POST", "/auth/login", body)).body["access_token"]


async def new_phone_number(world: World, customer: Customer) -> None:
    assert (await change_phone(customer, new_phone(), pin=PIN)).status == 200


@pytest.fixture
async def payee(customer: Customer) -> Customer:
    assert (await customer.call("PUT", "/me/pin", {"pin": PIN, "password": PASSWORD})).status == 204
    return customer


async def held_until(world: World, customer: Customer, pin: str) -> datetime | None:
    """What the customer's actor is told."""
    told: list[datetime | None] = []

    def admit(command: AcceptWithdrawal) -> HttpAnswer:
        told.append(command.held_until)
        return HttpAnswer(status=202, body=b"{}", content_type="application/json")

    world.actors.answers[AcceptWithdrawal] = admit
    body = {"amount": {"amount": "20.00", "currency": "USD"}, "verification_code": "abcdefgh", "pin": pin}
    key = {"Idempotency-Key": world.edge.ids.ulid()}
    assert (await customer.call("POST", "/withdrawals", body, headers=key)).status == 202
    return told[-1]


@pytest.mark.parametrize("change", [new_device, new_pin, new_password, forgotten_password, new_phone_number])
async def test_a_change_holds_withdrawals_for_a_day(world: World, payee: Customer, clock, change):
    assert await held_until(world, payee, PIN) is None
    before = clock.now()
    await change(world, payee)
    pin = OTHER_PIN if change is new_pin else PIN
    until = await held_until(world, payee, pin)
    assert until is not None
    assert before + timedelta(hours=23, minutes=59) < until <= clock.now() + timedelta(hours=24)
    assert (await payee.call("GET", "/me")).body["withdrawals_held_until"] is not None


async def test_the_first_device_and_the_first_pin_hold_nothing(world: World, payee: Customer):
    assert await held_until(world, payee, PIN) is None


async def test_a_known_device_that_comes_back_holds_nothing(world: World, payee: Customer):
    again = await login(world, payee.email, payee.device)
    payee.access = again["access_token"]
    assert await held_until(world, payee, PIN) is None


async def test_a_device_that_its_owner_removed_is_a_stranger_when_it_comes_back(world: World, payee: Customer):
    await login(world, payee.email, "second")
    assert (await payee.call("DELETE", "/me/devices/second")).status == 204
    # The hold of the first time is over.
    world.edge.clock.ahead += timedelta(hours=25)
    again = await login(world, payee.email, payee.device)
    payee.access = again["access_token"]
    assert await held_until(world, payee, PIN) is None
    await login(world, payee.email, "second")
    assert await held_until(world, payee, PIN) is not None


async def test_so_is_one_whose_token_was_copied(world: World, payee: Customer):
    copied = {"refresh_token": payee.refresh, "device_id": "thief"}
    assert (await world.call("POST", "/auth/refresh", copied)).status == 401
    payee.access = (await login(world, payee.email, payee.device))["access_token"]
    assert await held_until(world, payee, PIN) is not None


async def test_an_open_prompt_stays_with_the_number_that_it_was_sent_to(stage: Stage):
    """On a running node: the number changes while the payer looks at the prompt; later deposits ring the new one."""
    (who,) = await seed(stage.installation.node.env or {}, 1, first=9_001, password=PASSWORD)
    other = f"2547110{who.number:05d}"
    await stage.control.script_phone(who.msisdn, WAITS)
    await stage.control.script_phone(other, {"answer_delay_s": 0.1})
    first = await stage.ask(who, 1500)
    assert first.status == 202, first.body
    push = await stage.push_of(who)
    asked = await stage.post(who, "/me/phone", {"phone": other, "password": PASSWORD}, key=None)
    assert asked.status == 202, asked.body
    code = await code_at(stage, other)
    changed = await stage.post(who, "/me/phone/verify", {"phone": other, "code": code}, key=None)
    assert changed.status == 200, changed.body
    await stage.answers(who)
    await stage.reaches(first.body["id"], "COMPLETED")
    assert push["msisdn"] == who.msisdn
    assert [one["msisdn"] for one in (await stage.told(who)).payments] == [who.msisdn]
    shown = (await stage.get(who, f"/transactions/{first.body['id']}")).body
    assert shown["phone"].endswith(who.msisdn[-3:])
    second = await stage.ask(who, 1501)
    assert second.status == 202, second.body
    await stage.reaches(second.body["id"], "COMPLETED")
    truth = await stage.control.get("/truth")
    assert [one["msisdn"] for one in truth["payments"] if one["msisdn"] in {who.msisdn, other}] == [who.msisdn, other]


async def code_at(stage: Stage, phone: str) -> str:
    async with asyncio.timeout(30):
        while not (text := await stage.control.newest_sms(phone)):
            await asyncio.sleep(0.05)
    return next(word for word in text.replace(".", " ").split() if word.isdigit() and len(word) == 6)
