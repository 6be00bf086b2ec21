"""Changing the phone number: what it takes, what it does, and who keeps access."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from penpay.adapters.passwords import Argon2Passwords
from penpay.adapters.phone_store import MySqlPhoneChanges
from penpay.domain.errors import Unavailable
from penpay.http.edge import EdgeSettings
from penpay.http.rates import rate_rules
from tests.http.test_passwords import ask_code, reset
from tests.http.test_sign_in import registration
from tests.http.world import PASSWORD, Answer, Customer, World, login, new_phone, signed_in

PIN = "480375"


async def ask(customer: Customer, phone: str, **body: object) -> Answer:
    return await customer.call("POST", "/me/phone", {"phone": phone, "password": PASSWORD, **body})


async def confirm(customer: Customer, phone: str, code: str) -> Answer:
    return await customer.call("POST", "/me/phone/verify", {"phone": phone, "code": code})


async def change_phone(customer: Customer, phone: str, **body: object) -> Answer:
    asked = await ask(customer, phone, **body)
    assert asked.status == 202, asked.raw
    return await confirm(customer, phone, customer.world.actors.last_code())


async def after_the_hold(customer: Customer) -> None:
    """A day later, signed in again on the customer's own device."""
    customer.world.edge.clock.ahead += timedelta(hours=25)
    customer.access = (await login(customer.world, customer.email, customer.device))["access_token"]


async def test_the_code_reaches_the_new_number_and_changes_it(world: World, customer: Customer):
    phone = new_phone()
    asked = await ask(customer, phone)
    assert asked.status == 202
    assert asked.body["sent_to"] == f"2547****{phone[-3:]}"
    assert world.actors.told[-1][1].to == phone
    assert (await customer.call("GET", "/me")).body["phone"].endswith(customer.phone[-3:])
    changed = await confirm(customer, phone, world.actors.last_code())
    assert (changed.status, changed.body) == (200, {"phone": f"2547****{phone[-3:]}", "verified": True})
    me = (await customer.call("GET", "/me")).body
    assert (me["phone"], me["phone_verified"]) == (f"2547****{phone[-3:]}", True)
    identity = await world.edge.accounts.identity(customer.id, "")
    assert identity.phone == phone


async def test_a_right_code_may_be_repeated(world: World, customer: Customer, module_database):
    phone = new_phone()
    assert (await change_phone(customer, phone)).status == 200
    assert (await confirm(customer, phone, world.actors.last_code())).status == 200
    told = module_database.rows(
        "SELECT 1 FROM {users}.notices WHERE user_id = %s AND kind = 'phone_changed'", (customer.id,)
    )
    assert len(told) == 1


async def test_password_and_pin_are_asked_for(world: World, customer: Customer):
    phone = new_phone()
    wrong = await ask(customer, phone, password="nonsense")
    assert (wrong.status, wrong.code) == (403, "password_wrong")
    assert (await customer.call("PUT", "/me/pin", {"pin": PIN, "password": PASSWORD})).status == 204
    without = await ask(customer, phone)
    assert (without.status, without.fields) == (400, {"pin"})
    assert (await ask(customer, phone, pin="111222")).code == "pin_wrong"
    assert (await ask(customer, phone, pin=PIN)).status == 202


async def test_wrong_pins_here_count_where_withdrawals_count(customer: Customer):
    await customer.call("PUT", "/me/pin", {"pin": PIN, "password": PASSWORD})
    tried = customer.world.edge.pins
    for _ in range(4):
        await tried.begin_try(customer.id, at=customer.world.edge.clock.now())
    assert (await ask(customer, new_phone(), pin="111222")).code == "pin_wrong"
    assert (await ask(customer, new_phone(), pin=PIN)).status == 423


async def test_this_session_goes_on_and_every_other_one_ends(world: World, customer: Customer):
    await login(world, customer.email, "second")
    await after_the_hold(customer)
    other = await login(world, customer.email, "second")
    assert (await change_phone(customer, new_phone())).status == 200
    assert (await customer.call("GET", "/me")).status == 200
    headers = {"Authorization": f"Bearer {other['access_token']}"}
    assert (await world.call("GET", "/me", headers=headers)).status == 401
    spent = {"refresh_token": other["refresh_token"], "device_id": "second"}
    assert (await world.call("POST", "/auth/refresh", spent)).status == 401


async def test_the_number_of_somebody_else_stays_theirs(world: World, customer: Customer, clock):
    other = await signed_in(world)
    clock.ahead = timedelta(seconds=5)
    taken = await change_phone(customer, other.phone)
    assert (taken.status, taken.code) == (409, "phone_taken")
    identity = await world.edge.accounts.identity(customer.id, "")
    assert (identity.phone, identity.phone_verified) == (customer.phone, True)


async def test_two_who_want_one_number_get_it_once(world: World, customer: Customer, clock):
    other, phone = await signed_in(world), new_phone()
    assert (await ask(customer, phone)).status == 202
    first = world.actors.last_code()
    clock.ahead = timedelta(seconds=5)
    assert (await ask(other, phone)).status == 202
    second = world.actors.last_code()
    answers = await asyncio.gather(confirm(customer, phone, first), confirm(other, phone, second))
    assert sorted(answer.status for answer in answers) == [200, 409]


async def test_the_former_number_is_free_for_others(world: World, customer: Customer, clock):
    assert (await change_phone(customer, new_phone())).status == 200
    clock.ahead = timedelta(seconds=5)
    assert (await world.call("POST", "/auth/register", registration(customer.phone))).status == 201
    verify = {"phone": customer.phone, "code": world.actors.last_code()}
    assert (await world.call("POST", "/auth/phone/verify", verify)).status == 200


async def test_a_code_of_one_customer_or_number_is_none_of_another(world: World, customer: Customer):
    other, phone = await signed_in(world), new_phone()
    assert (await ask(customer, phone)).status == 202
    code = world.actors.last_code()
    assert (await confirm(other, phone, code)).code == "code_invalid"
    assert (await confirm(customer, new_phone(), code)).code == "code_invalid"
    assert (await confirm(customer, phone, code)).status == 200


async def test_five_wrong_codes_end_it(world: World, customer: Customer, module_database):
    phone = new_phone()
    assert (await ask(customer, phone)).status == 202
    code = world.actors.last_code()
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    answers = [await confirm(customer, phone, wrong) for _ in range(6)]
    assert [answer.status for answer in answers] == [400] * 5 + [429]
    counts = module_database.rows(
        "SELECT attempts FROM {users}.sent_codes WHERE user_id = %s AND purpose = 'new_phone'", (customer.id,)
    )
    assert counts == [(5,)]


async def test_a_password_code_at_the_former_number_is_void(world: World, customer: Customer, clock):
    code = await ask_code(world, customer.email)
    clock.ahead = timedelta(seconds=5)
    assert (await change_phone(customer, new_phone())).status == 200
    assert (await reset(world, customer.email, code)).code == "code_invalid"


async def test_a_number_that_was_never_verified_is_replaced_without_a_hold(world: World, module_database):
    """A slip of the pen at the registration: there is nobody to be told, and nothing to be held."""
    wrong, right = new_phone(), new_phone()
    email = f"slip{wrong}@example.com"
    await world.call("POST", "/auth/register", registration(wrong, email=email))
    tokens = await login(world, email, "first")
    someone = Customer(world, "", email, wrong, tokens["access_token"], tokens["refresh_token"], "first")
    assert (await change_phone(someone, right)).status == 200
    me = (await someone.call("GET", "/me")).body
    assert (me["phone_verified"], me["withdrawals_held_until"]) == (True, None)
    assert module_database.rows("SELECT 1 FROM {users}.notices WHERE user_id = %s", (me["id"],)) == []


async def test_while_withdrawals_are_held_the_number_stays(world: World, customer: Customer):
    """Neither by a code that was asked for before nor by a new one: the owner has the day that a hold promises."""
    phone = new_phone()
    await customer.call("PUT", "/me/pin", {"pin": PIN, "password": PASSWORD})
    assert (await ask(customer, phone, pin=PIN)).status == 202
    code = world.actors.last_code()
    await customer.call("PUT", "/me/pin", {"pin": "715926", "password": PASSWORD})
    for answer in (await confirm(customer, phone, code), await ask(customer, phone, pin="715926")):
        assert (answer.status, answer.code) == (403, "withdrawals_held")
    assert (await world.edge.accounts.identity(customer.id, "")).phone == customer.phone
    await after_the_hold(customer)
    assert (await change_phone(customer, phone, pin="715926")).status == 200


async def test_the_present_number_is_no_change(customer: Customer):
    answer = await ask(customer, customer.phone)
    assert (answer.status, answer.fields) == (400, {"phone"})


async def test_a_frozen_account_changes_nothing(customer: Customer, module_database):
    module_database.rows(
        "INSERT INTO {ledger}.user_status (user_id, shard, status, frozen_at, reason, updated_at)"
        " VALUES (%s, 0, 'FROZEN', NOW(6), 'test', NOW(6))",
        (customer.id,),
    )
    answer = await ask(customer, new_phone())
    assert (answer.status, answer.code) == (403, "account_frozen")


class TestWithTheUsualLimits:
    @pytest.fixture
    def edge_settings(self, edge_settings: EdgeSettings) -> EdgeSettings:
        return replace(edge_settings, rates=rate_rules(address_factor=1000))

    @pytest.mark.parametrize("part", [(Argon2Passwords, "check_password"), (MySqlPhoneChanges, "ask")])
    async def test_what_a_part_of_ours_kept_from_being_sent_costs_nothing(
        self, customer: Customer, monkeypatch: pytest.MonkeyPatch, part: tuple[type, str]
    ):
        async def away(*_: object) -> None:
            raise Unavailable("a part")

        phone = new_phone()
        with monkeypatch.context() as broken:
            broken.setattr(*part, away)
            assert [(await ask(customer, phone)).status for _ in range(6)] == [503] * 6
        assert (await ask(customer, phone)).status == 202

    async def test_whoever_asks_too_early_again_and_again_may_ask_when_it_is_time(
        self, world: World, customer: Customer
    ):
        phone = new_phone()
        assert (await ask(customer, phone)).status == 202
        early = [await ask(customer, phone) for _ in range(6)]
        assert {(one.status, one.code) for one in early} == {(429, "rate_limited")}
        world.edge.clock.ahead += timedelta(seconds=int(early[0].headers["Retry-After"]))
        assert (await ask(customer, phone)).status == 202

    async def test_a_wrong_password_counts(self, customer: Customer):
        guesses = [(await ask(customer, new_phone(), password=f"wrong password {n}")).status for n in range(6)]
        assert guesses == [403] * 5 + [429]
