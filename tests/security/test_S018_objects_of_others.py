"""S18: every call and every id belongs to somebody. The matrix of who may call what is made from the router."""

import pytest

from penpay.http.dispatch import Route
from penpay.http.examples import EXAMPLES
from penpay.http.routes import ROUTES
from penpay.messages import CreateQuote, Refusal
from penpay.messages_rails import GetBalance
from tests.http.rows import BEGAN, add_transaction
from tests.http.world import Answer, Customer, World, signed_in

SIGNED = [route for route in ROUTES if route.signed_in and route.path != "/events"]
WITH_ID = [route for route in ROUTES if "{id}" in route.path]


@pytest.fixture(autouse=True)
def silent_deriv(world: World) -> None:
    """Deriv tells no balance."""
    world.actors.answers[GetBalance] = lambda _: None


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


async def ask(who: World | Customer, route: Route, id_: str = "01KAF0Z3T9V5N5W6H3C8Q2YB7D", **headers: str) -> Answer:
    body = EXAMPLES[route.body] if route.body else None
    key = {"Idempotency-Key": "k"} if route.idempotent else {}
    return await who.call(route.method, route.path.replace("{id}", id_), body, headers={**key, **headers})


@pytest.mark.parametrize("route", SIGNED, ids=name)
async def test_a_stranger_may_call_nothing_that_needs_a_customer(world: World, route: Route):
    assert (await ask(world, route)).code == "unauthorized"
    for token in ("Bearer " + "a" * 300, "Bearer ops-token", "Basic YTpi"):
        answer = await ask(world, route, Authorization=token)
        assert (answer.status, answer.code) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_customer_who_left_is_a_stranger(world: World, customer: Customer):
    await world.call("POST", "/auth/logout", {"refresh_token": customer.refresh, "device_id": customer.device})
    statuses = {name(route): (await ask(customer, route)).status for route in SIGNED}
    assert set(statuses.values()) == {401}, statuses


async def test_a_customer_gets_behind_every_door_of_theirs(world: World, customer: Customer):
    world.actors.answers[CreateQuote] = lambda _: Refusal("rates_unavailable", "", 1)
    quiet = [route for route in SIGNED if not route.idempotent and "code" not in route.path]
    statuses = {name(route): (await ask(customer, route)).status for route in quiet}
    assert not {401, 403} & (set(statuses.values()) - {statuses["PUT /me/pin"], statuses["PUT /me/password"]}), statuses


async def test_a_frozen_customer_reads_everything(customer: Customer, module_database):
    module_database.rows(
        "INSERT INTO {ledger}.user_status (user_id, shard, status, frozen_at, reason, updated_at)"
        " VALUES (%s, 0, 'FROZEN', NOW(6), 'test', NOW(6))",
        (customer.id,),
    )
    reads = [route for route in SIGNED if route.method == "GET" and "{id}" not in route.path]
    assert {(await ask(customer, route)).status for route in reads} == {200}


@pytest.mark.parametrize("route", WITH_ID, ids=name)
async def test_somebody_elses_object_does_not_exist(world: World, customer: Customer, module_database, route: Route):
    made = add_transaction(module_database, customer, state="COMPLETED", status="COMPLETED", completed_at=BEGAN)
    theirs = customer.device if "devices" in route.path else made
    other = await signed_in(world, linked=False)
    foreign = await ask(other, route, theirs)
    none = await ask(other, route, "01KAF0Z3T9V5N5W6H3C8Q2YB7D")
    assert (foreign.status, none.status) == (404, 404)
    assert foreign.body | {"instance": ""} == none.body | {"instance": ""}
    if route.method == "GET":
        assert (await ask(customer, route, theirs)).status == 200


async def test_lists_hold_only_what_is_ones_own(world: World, customer: Customer, module_database):
    add_transaction(module_database, customer)
    other = await signed_in(world)
    assert (await other.call("GET", "/transactions")).body["items"] == []
    assert (await other.call("GET", "/balance")).body["in_flight"] == []
    assert [one["id"] for one in (await other.call("GET", "/me/devices")).body["items"]] == [other.device]
    assert (await other.call("GET", "/statements")).raw.count(b"\n") == 3
