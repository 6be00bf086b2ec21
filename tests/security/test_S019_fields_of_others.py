"""S19: a request sets what it is documented to set, and an answer shows what it is documented to show."""

import pytest

from penpay.http.dispatch import Route
from penpay.http.examples import EXAMPLES
from penpay.http.routes import ROUTES
from penpay.messages_rails import GetBalance
from tests.http.rows import BEGAN, add_step, add_transaction
from tests.http.world import Customer, World

SMUGGLED = {
    "state": "PAID",
    "status": "COMPLETED",
    "user_id": "01KAF0Z3T9V5N5W6H3C8Q2YB7D",
    "is_admin": True,
    "fx_rate": "1.00",
    "amount_kes": 1,
    "kyc_tier": 3,
    "limit_usd_minor": 10**9,
    "id": "x",
    "__proto__": {},
}
WITH_BODY = [route for route in ROUTES if route.body is not None]
READS = [route for route in ROUTES if route.method == "GET" and route.signed_in and route.answers.get(200) is not None]


@pytest.fixture(autouse=True)
def silent_deriv(world: World) -> None:
    """Deriv tells no balance."""
    world.actors.answers[GetBalance] = lambda _: None


@pytest.mark.parametrize("route", WITH_BODY, ids=lambda route: route.path)
async def test_a_field_that_is_not_documented_is_refused(world: World, customer: Customer, route: Route):
    smuggled = {field: value for field, value in SMUGGLED.items() if field not in route.body.model_fields}
    for field, value in (*smuggled.items(), ("all", smuggled)):
        more = value if field == "all" else {field: value}
        key = {"Idempotency-Key": f"{field}-1"} if route.idempotent else {}
        answer = await customer.call(route.method, route.path, {**EXAMPLES[route.body], **more}, headers=key)
        assert (answer.status, answer.code, answer.fields) == (400, "invalid_request", set(more))


@pytest.mark.parametrize("place", ["amount", "device"])
async def test_nor_is_one_inside_another(customer: Customer, place: str):
    model = next(route.body for route in WITH_BODY if place in EXAMPLES[route.body])
    route = next(route for route in WITH_BODY if route.body is model)
    body = {**EXAMPLES[model], place: {**EXAMPLES[model][place], "minor": 1}}
    answer = await customer.call(route.method, route.path, body, headers={"Idempotency-Key": "k"})
    assert answer.fields == {f"{place}.minor"}


@pytest.mark.parametrize("route", READS, ids=lambda route: route.path)
async def test_an_answer_has_no_field_beyond_its_documented_form(customer: Customer, module_database, route: Route):
    data = {"receipt": "TKK1ABC2DE", "phone": "254712345678", "sealed": "secret", "money_at": "gone"}
    made = add_transaction(
        module_database, customer, state="COMPLETED", status="COMPLETED", completed_at=BEGAN, data=data
    )
    add_step(module_database, made, 1, "CREATED", "StkStarted", "STK_SENDING")
    answer = await customer.call("GET", route.path.replace("{id}", made))
    assert answer.status == 200
    route.answers[200].model_validate(answer.body)
    assert b"254712345678" not in answer.raw
    assert b"sealed" not in answer.raw
