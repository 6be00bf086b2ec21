"""Forgotten and changed passwords, and the list of devices, through the API."""

from datetime import timedelta

from tests.http.test_sign_in import registration
from tests.http.world import PASSWORD, Answer, Customer, World, login, new_phone, signed_in

NEW_PASSWORD = "a quite different sentence"


async def sign_in(world: World, email: str, password: str, device: str = "other") -> Answer:
    body = {"email": email, "password": password, "device": {"id": device, "name": "X", "platform": "web"}}
    return await world.call("POST", "/auth/login", body)


async def ask_code(world: World, email: str) -> str:
    before = len(world.actors.told)
    answer = await world.call("POST", "/auth/password/forgot", {"email": email})
    assert answer.status == 202, answer.raw
    return world.actors.last_code() if len(world.actors.told) > before else ""


async def reset(world: World, email: str, code: str, password: str = NEW_PASSWORD) -> Answer:
    return await world.call("POST", "/auth/password/reset", {"email": email, "code": code, "password": password})


async def test_a_code_by_sms_sets_a_new_password(world: World, customer: Customer):
    code = await ask_code(world, customer.email)
    assert world.actors.told[-1][1].to == customer.phone
    assert (await reset(world, customer.email, code)).status == 204
    assert (await sign_in(world, customer.email, PASSWORD)).code == "credentials_invalid"
    assert (await sign_in(world, customer.email, NEW_PASSWORD)).status == 200


async def test_no_code_goes_to_a_number_that_nobody_verified(world: World):
    phone = new_phone()
    await world.call("POST", "/auth/register", registration(phone))
    assert await ask_code(world, f"r{phone}@example.com") == ""


async def test_a_code_works_once(world: World, customer: Customer):
    code = await ask_code(world, customer.email)
    assert (await reset(world, customer.email, code)).status == 204
    again = await reset(world, customer.email, code, "yet another sentence")
    assert (again.status, again.code) == (400, "code_invalid")


async def test_an_old_code_does_not_work(world: World, customer: Customer, clock):
    code = await ask_code(world, customer.email)
    clock.ahead = timedelta(minutes=11)
    assert (await reset(world, customer.email, code)).code == "code_invalid"


async def test_a_code_of_one_account_opens_no_other(world: World, customer: Customer):
    other = await signed_in(world)
    code = await ask_code(world, other.email)
    assert (await reset(world, customer.email, code)).code == "code_invalid"


async def test_five_wrong_codes_make_the_right_one_useless(world: World, customer: Customer):
    code = await ask_code(world, customer.email)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    for _ in range(5):
        assert (await reset(world, customer.email, wrong)).code == "code_invalid"
    # The limit per account would answer 429 by now; the count in the database must hold without it.
    changes = world.edge.password_changes
    from penpay.http.codes import code_hash  # noqa: PLC0415 - only here

    done = await changes.reset(
        customer.email,
        code_hash=code_hash(world.edge, f"reset|{customer.email}", code),
        password_hash="irrelevant",
        held_until=world.edge.clock.now(),
        notice_id=world.edge.ids.ulid(),
        at=world.edge.clock.now(),
    )
    assert not done


async def test_a_fresh_code_is_not_replaced_and_not_sent_again(world: World, customer: Customer, clock):
    code = await ask_code(world, customer.email)
    clock.ahead = timedelta(seconds=3)  # the limiter's second has passed, the code's minute has not
    assert await ask_code(world, customer.email) == ""
    assert (await reset(world, customer.email, code)).status == 204


async def test_a_weak_new_password_is_refused_before_the_code_is_looked_at(world: World, customer: Customer):
    code = await ask_code(world, customer.email)
    assert (await reset(world, customer.email, code, "password123")).fields == {"password"}
    assert (await reset(world, customer.email, code)).status == 204


async def test_a_signed_in_customer_changes_the_password_and_stays_signed_in(world: World, customer: Customer):
    second = await login(world, customer.email, "second")
    body = {"password": PASSWORD, "new_password": NEW_PASSWORD}
    assert (await customer.call("PUT", "/me/password", {**body, "password": "wrong"})).code == "password_wrong"
    assert (await customer.call("PUT", "/me/password", {**body, "new_password": "12345678"})).fields == {"new_password"}
    assert (await customer.call("PUT", "/me/password", body)).status == 204
    assert (await customer.call("GET", "/me")).status == 200
    bearer = {"Authorization": f"Bearer {second['access_token']}"}
    assert (await world.call("GET", "/me", headers=bearer)).status == 401


async def test_devices_are_listed_with_the_one_that_asks(world: World, customer: Customer):
    await login(world, customer.email, "second")
    items = (await customer.call("GET", "/me/devices")).body["items"]
    assert {(one["id"], one["current"]) for one in items} == {(customer.device, True), ("second", False)}
    assert items[0].keys() == {"id", "name", "platform", "signed_in_at", "last_used_at", "current"}


async def test_a_removed_device_is_out_at_once_and_makes_room(world: World, customer: Customer):
    second = await login(world, customer.email, "second")
    assert (await sign_in(world, customer.email, PASSWORD, "third")).code == "device_limit"
    assert (await customer.call("DELETE", "/me/devices/second")).status == 204
    bearer = {"Authorization": f"Bearer {second['access_token']}"}
    assert (await world.call("GET", "/me", headers=bearer)).status == 401
    refresh = {"refresh_token": second["refresh_token"], "device_id": "second"}
    assert (await world.call("POST", "/auth/refresh", refresh)).code == "refresh_invalid"
    assert (await sign_in(world, customer.email, PASSWORD, "third")).status == 200


async def test_only_an_own_signed_in_device_can_be_removed(world: World, customer: Customer):
    stranger = await signed_in(world)
    for device in (stranger.device, "nobody", "a%20b", "x" * 80):
        assert (await customer.call("DELETE", f"/me/devices/{device}")).code == "not_found"
    assert (await stranger.call("GET", "/me")).status == 200


async def test_codes_to_one_receiver_are_bounded_per_day(world: World, clock):
    phone = new_phone()
    codes = []
    for minute in range(12):
        clock.ahead = timedelta(minutes=4 * minute)
        codes.append((await world.call("POST", "/auth/phone/resend", {"phone": phone})).status)
    assert codes == [202] * 10 + [429] * 2
