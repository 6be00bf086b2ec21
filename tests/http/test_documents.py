"""The OpenAPI document and the page that shows it."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from typer.testing import CliRunner

import penpay.http
from penpay.cli import app
from penpay.domain.problems import PROBLEMS
from penpay.http.console import ConsoleDesk
from penpay.http.customers import CustomerDesk
from penpay.http.examples import EXAMPLES
from penpay.http.internal import InternalParts, internal_app
from penpay.http.openapi import document
from penpay.http.openapi_internal import CALLS, internal_document
from penpay.http.reconciling import ReconcileDesk
from penpay.http.reviews import ReviewDesk
from penpay.http.routes import PREFIX, ROUTES
from tests.http.world import World

STATIC = Path(penpay.http.__file__).parent / "static"


async def test_the_document_names_every_route_and_every_reference_exists(world: World):
    answer = await world.call("GET", "/openapi.json")
    document = answer.body
    assert document["openapi"].startswith("3.1")
    documented = {(method, path) for path, methods in document["paths"].items() for method in methods}
    routes = {(route.method.lower(), PREFIX + route.path) for route in ROUTES}
    assert documented == routes | {("post", "/cb/{kind}/{token}")}
    references = set(re.findall(r'"#/components/schemas/(\w+)"', answer.raw.decode()))
    assert references <= document["components"]["schemas"].keys()
    assert {"Transaction", "DepositRequest", "Problem"} <= references


async def test_the_document_says_what_the_parsers_enforce(world: World):
    document = (await world.call("GET", "/openapi.json")).body
    amount = document["components"]["schemas"]["Amount"]
    assert amount["additionalProperties"] is False
    assert amount["properties"]["amount"]["pattern"] == r"^(0|[1-9][0-9]{0,11})\.[0-9]{2}$"
    deposit = document["paths"]["/api/v1/deposits"]["post"]
    assert deposit["security"] == [{"bearer": []}]
    assert [one["name"] for one in deposit["parameters"] if one["required"]] == ["Idempotency-Key"]
    assert {"202", "400", "401", "403", "409", "415", "422", "429", "500", "503"} <= deposit["responses"].keys()
    operation_ids = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(set(operation_ids)) == len(operation_ids) == len(ROUTES) + 1


def test_every_problem_of_a_route_is_in_the_catalogue():
    assert {code for route in ROUTES for code in route.problems} <= PROBLEMS.keys()


def test_the_committed_document_is_the_one_that_is_served():
    committed = json.loads((STATIC / "openapi.json").read_text())
    made = document(ROUTES, prefix=PREFIX, server_url="https://pay.example")
    assert committed == json.loads(json.dumps(made)), "penpay openapi > penpay/http/static/openapi.json"
    assert json.loads(CliRunner().invoke(app, ["openapi"]).output) == committed


@pytest.mark.parametrize("name", ["openapi.json", "openapi-internal.json"])
def test_the_document_is_valid_openapi(name: str):
    validate(json.loads((STATIC / name).read_text()), cls=OpenAPIV31SpecValidator)


def test_the_committed_document_of_the_internal_listener_is_the_one_that_is_served():
    committed = json.loads((STATIC / "openapi-internal.json").read_text())
    hint = "penpay openapi --internal > penpay/http/static/openapi-internal.json"
    assert committed == json.loads(json.dumps(internal_document())), hint
    assert json.loads(CliRunner().invoke(app, ["openapi", "--internal"]).output) == committed


def test_it_names_every_call_of_the_internal_listener():
    desks = {
        name: desk.__new__(desk)
        for name, desk in (
            ("desk", ReviewDesk),
            ("reconciliation", ReconcileDesk),
            ("customers", CustomerDesk),
            ("console", ConsoleDesk),
        )
    }
    parts = InternalParts(
        readiness=None,
        operations=None,
        metrics=None,
        ids=None,
        ops_token="",
        drain=bool,
        before_scrape=bool,
        **desks,
    )
    served = {
        (route.method, re.sub(r":[^}]+}", "}", route.resource.canonical))
        for route in internal_app(parts).router.routes()
        if route.method != "HEAD" and route.resource is not None and not route.resource.canonical.startswith("/console")
    }
    assert served == {(call.method, call.path) for call in CALLS}
    assert {code for call in CALLS for code in call.problems} <= PROBLEMS.keys()


def test_every_example_passes_through_its_own_model():
    for model, example in EXAMPLES.items():
        # What leaves is documented under its public names.
        model.model_validate(example)
    bodies = {route.body for route in ROUTES if route.body}
    answers = {model for route in ROUTES for model in route.answers.values() if model}
    assert bodies | answers <= EXAMPLES.keys()


def test_every_problem_code_of_the_public_api_is_shown_with_an_example():
    made = document(ROUTES, prefix=PREFIX, server_url="https://pay.example")
    shown = {
        code
        for methods in made["paths"].values()
        for operation in methods.values()
        for answer in operation["responses"].values()
        for code in answer.get("content", {}).get("application/problem+json", {}).get("examples", ())
    }
    # What never reaches a route, or belongs to the internal listener.
    elsewhere = {"method_not_allowed", "expectation_failed", "review_not_resolvable", "approval_reused", "money_open"}
    assert PROBLEMS.keys() - shown <= elsewhere


def test_the_simulator_is_named_on_a_development_stack_only():
    real = document(ROUTES, prefix=PREFIX, server_url="https://pay.example")
    stack = document(ROUTES, prefix=PREFIX, server_url="http://x", simulator_url="http://127.0.0.1:9/control")
    assert "127.0.0.1" not in json.dumps(real)
    assert "http://127.0.0.1:9/control/sms?to=%2B254712345678" in stack["info"]["description"]


async def test_the_page_needs_no_other_host(world: World):
    page = await world.call("GET", "/docs")
    assert page.status == 200
    assert "connect-src 'self'" in page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    sources = re.findall(rb'(?:src|href)="([^"]+)"', page.raw)
    assert sources
    for source in sources:
        if source == b"data:,":
            continue
        assert source.startswith((b"/docs/", b"/openapi.json"))
        assert (await world.call("GET", source.decode())).status == 200
    for other in ("/docs/SHA256SUMS", "/docs/../docs.py", "/docs/swagger-ui/LICENSE"):
        assert (await world.call("GET", other)).status == 404


def test_the_vendored_files_are_the_published_ones():
    listed = dict(line.split("  ")[::-1] for line in (STATIC / "SHA256SUMS").read_text().splitlines())
    present = {str(file.relative_to(STATIC)): file for file in (STATIC / "swagger-ui").iterdir()}
    assert listed.keys() == present.keys()
    for name, file in present.items():
        assert hashlib.sha256(file.read_bytes()).hexdigest() == listed[name]
    assert "Apache License" in (STATIC / "swagger-ui" / "LICENSE").read_text()
