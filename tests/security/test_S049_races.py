"""S49: bounds hold when fifty requests arrive at once: devices, PIN tries, codes, link states. Money: F12 and S11."""

import asyncio
from datetime import timedelta

from penpay.domain.accounts import NewSession
from tests.http.test_passwords import ask_code
from tests.http.test_sign_in import registration
from tests.http.world import PASSWORD, Customer, World, link, new_phone, signed_in

MANY = 50


async def test_two_devices_at_most(world: World, customer: Customer, module_database):
    at = world.edge.clock.now()

    async def open_one(number: int) -> bool:
        session = NewSession(
            id=world.edge.ids.ulid(),
            user_id=customer.id,
            device_id=f"d{number}",
            device_name="X",
            platform="web",
            token=world.edge.secrets.token(),
            created_at=at,
            expires_at=at + timedelta(days=1),
        )
        return await world.edge.sessions.open_session(session, devices_max=2, held_until=at)

    opened = await asyncio.gather(*(open_one(number) for number in range(MANY)))
    assert sum(opened) == 1
    ((living,),) = module_database.rows(
        "SELECT COUNT(*) FROM {users}.sessions WHERE user_id = %s AND ended_at IS NULL", (customer.id,)
    )
    assert living == 2


async def test_five_tries_at_a_code(world: World, module_database):
    phone = new_phone()
    await world.call("POST", "/auth/register", registration(phone))
    at = world.edge.clock.now()
    tries = (world.edge.accounts.verify_phone(phone, code_hash=bytes([n]) * 32, at=at) for n in range(MANY))
    assert {str(one) for one in await asyncio.gather(*tries)} == {"wrong"}
    counts = module_database.rows(
        "SELECT attempts FROM {users}.sent_codes WHERE purpose = 'phone' ORDER BY updated_at DESC LIMIT 1"
    )
    assert counts == [(5,)]


async def test_five_tries_at_a_forgotten_password(world: World, customer: Customer, module_database):
    await ask_code(world, customer.email)
    at = world.edge.clock.now()

    async def guess(number: int) -> bool:
        return await world.edge.password_changes.reset(
            customer.email,
            code_hash=bytes([number]) * 32,
            password_hash=f"hash {number}",
            held_until=at,
            notice_id=world.edge.ids.ulid(),
            at=at,
        )

    assert not any(await asyncio.gather(*(guess(number) for number in range(MANY))))
    counts = module_database.rows(
        "SELECT attempts FROM {users}.sent_codes WHERE purpose = 'password' AND user_id = %s", (customer.id,)
    )
    assert counts == [(5,)]


async def test_a_code_sets_one_password(world: World, customer: Customer):
    code = await ask_code(world, customer.email)

    async def use(number: int) -> int:
        body = {"email": customer.email, "code": code, "password": f"a sentence, number {number}"}
        return (await world.call("POST", "/auth/password/reset", body)).status

    statuses = await asyncio.gather(*(use(number) for number in range(MANY)))
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 400, 429, 503}


async def test_one_address_is_one_account(world: World, module_database):
    async def register(_: int) -> int:
        body = registration(new_phone(), email="same@example.com", password=PASSWORD)
        return (await world.call("POST", "/auth/register", body)).status

    before = module_database.rows("SELECT COUNT(*) FROM {users}.users")[0][0]
    statuses = await asyncio.gather(*(register(number) for number in range(20)))
    assert set(statuses) <= {201, 503}
    assert module_database.rows("SELECT COUNT(*) FROM {users}.users")[0][0] == before + 1


async def test_a_deriv_account_is_linked_once(world: World):
    people = [await signed_in(world, linked=False) for _ in range(5)]
    answers = await asyncio.gather(*(link(one, "CR777001", "Wanjiku Kamau") for one in people))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 4
