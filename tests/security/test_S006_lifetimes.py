"""S6: access tokens live fifteen minutes, devices sign in again after an idle week or a month."""

from datetime import timedelta

import pytest

from tests.http.world import Answer, Customer, World, login

SKEW = timedelta(seconds=30)


async def refresh(world: World, customer: Customer) -> Answer:
    body = {"refresh_token": customer.refresh, "device_id": customer.device}
    answer = await world.call("POST", "/auth/refresh", body)
    if answer.status == 200:
        customer.refresh, customer.access = answer.body["refresh_token"], answer.body["access_token"]
    return answer


@pytest.mark.parametrize(("age", "status"), [(timedelta(minutes=14), 200), (timedelta(minutes=15) + SKEW, 401)])
async def test_an_access_token(customer: Customer, clock, age: timedelta, status: int):
    clock.ahead = age
    assert (await customer.call("GET", "/me")).status == status


async def test_a_device_that_was_not_seen_for_a_week(world: World, customer: Customer, clock):
    clock.ahead = timedelta(days=6, hours=23)
    answer = await refresh(world, customer)
    assert answer.body["expires_in"] == 900
    assert answer.body["refresh_expires_in"] == 7 * 86_400
    clock.ahead += timedelta(days=7, minutes=1)
    assert (await refresh(world, customer)).code == "refresh_invalid"
    clock.ahead = timedelta()


async def test_a_month_is_the_end_however_busy_the_device_was(world: World, customer: Customer, clock):
    for day in range(5, 30, 5):
        clock.ahead = timedelta(days=day)
        assert (await refresh(world, customer)).status == 200
    assert (await refresh(world, customer)).body["refresh_expires_in"] <= 5 * 86_400
    clock.ahead = timedelta(days=30, minutes=1)
    assert (await refresh(world, customer)).code == "refresh_invalid"


async def test_an_idle_device_takes_no_place(world: World, customer: Customer, clock):
    clock.ahead = timedelta(days=8)
    await login(world, customer.email, "second")
    third = await login(world, customer.email, "third")
    assert third["access_token"]
