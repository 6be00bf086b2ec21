"""S55: the owner sees the signed-in devices, can end each of them, and is told of every change by SMS.

The message is stored in the transaction of the change, so neither a gateway that is away nor a crash loses it, and
nobody waits for it.
"""

import asyncio
from datetime import timedelta

import pytest

from penpay.adapters.key_store import MySqlKeys
from penpay.adapters.notice_store import MySqlNotices
from penpay.app.identity_jobs import IdentityJobs
from penpay.domain.errors import Refused, Unavailable
from penpay.domain.notices import TRIES_MAX
from tests.http.test_passwords import ask_code, reset
from tests.http.test_phones import after_the_hold, change_phone
from tests.http.world import PASSWORD, Customer, World, login, new_phone


class Gateway:
    """An SMS gateway that does what it is told."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None
        self.sent: list[tuple[str, str]] = []

    async def send(self, *, to: str, text: str) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.sent.append((to, text))


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def jobs(world, stores, sealer, gateway, module_database) -> IdentityJobs:
    module_database.rows("DELETE FROM {users}.notices")
    return IdentityJobs(stores, sealer, gateway, world.edge.clock, MySqlKeys(stores, sealer))


def kinds(module_database, customer: Customer) -> list[str]:
    rows = module_database.rows("SELECT kind FROM {users}.notices WHERE user_id = %s ORDER BY id", (customer.id,))
    return [str(kind) for (kind,) in rows]


async def test_every_change_leaves_its_message_and_the_first_device_none(world: World, module_database, jobs, customer):
    assert kinds(module_database, customer) == []
    await change_phone(customer, new_phone())
    await login(world, customer.email, "second")
    await customer.call("PUT", "/me/pin", {"pin": "480375", "password": PASSWORD})
    await customer.call("PUT", "/me/pin", {"pin": "715926", "password": PASSWORD})
    await customer.call("PUT", "/me/password", {"password": PASSWORD, "new_password": "a different sentence"})
    await reset(world, customer.email, await ask_code(world, customer.email))
    assert sorted(kinds(module_database, customer)) == sorted(
        ["device_added", "pin_set", "pin_changed", "password_changed", "phone_changed", "password_reset"]
    )


async def test_the_message_reaches_the_owners_phone_once(world: World, jobs, gateway, customer):
    await login(world, customer.email, "second")
    assert await jobs.send_notices() == "1 tried"
    assert await jobs.send_notices() == "0 tried"
    ((to, text),) = gateway.sent
    assert to == customer.phone
    assert "new device" in text
    assert customer.email not in text


async def test_a_changed_number_is_told_to_the_one_before(world: World, jobs, gateway, customer):
    """With it goes what was still to be said: a thief who changes the number silences nothing."""
    await login(world, customer.email, "second")
    await after_the_hold(customer)
    assert (await change_phone(customer, new_phone())).status == 200
    assert await jobs.send_notices() == "2 tried"
    assert {to for to, _ in gateway.sent} == {customer.phone}
    assert any("phone number" in text for _, text in gateway.sent)
    await customer.call("PUT", "/me/pin", {"pin": "480375", "password": PASSWORD})
    await jobs.send_notices()
    assert gateway.sent[-1][0] != customer.phone


async def test_a_gateway_that_is_away_postpones_and_loses_nothing(world: World, jobs, gateway, customer, clock):
    gateway.trouble = Unavailable("sms")
    await login(world, customer.email, "second")
    assert await jobs.send_notices() == "1 tried"
    assert await jobs.send_notices() == "0 tried"
    gateway.trouble = None
    clock.ahead = timedelta(seconds=15)
    await jobs.send_notices()
    assert len(gateway.sent) == 1


async def test_a_message_that_never_gets_through_ends_before_a_person(
    world: World, jobs, gateway, customer, clock, module_database
):
    gateway.trouble = Unavailable("sms")
    await login(world, customer.email, "second")
    for number in range(TRIES_MAX):
        clock.ahead = timedelta(hours=2 * number)
        assert await jobs.send_notices() == "1 tried"
    ended = module_database.rows("SELECT outcome, tries FROM {users}.notices WHERE user_id = %s", (customer.id,))
    assert ended == [("given_up", TRIES_MAX)]


async def test_a_refused_message_is_not_tried_again(world: World, jobs, gateway, customer, clock, module_database):
    gateway.trouble = Refused("403")
    await login(world, customer.email, "second")
    await jobs.send_notices()
    clock.ahead = timedelta(hours=2)
    assert await jobs.send_notices() == "0 tried"
    assert module_database.rows("SELECT outcome FROM {users}.notices") == [("refused",)]


async def test_two_nodes_send_a_message_once(world: World, stores, sealer, jobs, customer, clock):
    await login(world, customer.email, "second")
    one, two = MySqlNotices(stores, sealer), MySqlNotices(stores, sealer)
    claimed = await asyncio.gather(*(store.claim(limit=10, at=clock.now()) for store in (one, two)))
    assert sum(map(len, claimed)) == 1
