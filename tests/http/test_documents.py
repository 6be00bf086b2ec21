"""The OpenAPI document and the page that shows it."""

import hashlib
import re
from pathlib import Path

import penpay.http
from penpay.domain.problems import PROBLEMS
from penpay.http.routes import PREFIX, ROUTES
from tests.http.world import World

STATIC = Path(penpay.http.__file__).parent / "static"


async def test_the_document_names_every_route_and_every_reference_exists(world: World):
    answer = await world.call("GET", "/openapi.json")
    document = answer.body
    assert document["openapi"].startswith("3.1")
    documented = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert documented == {(route.method.lower(), PREFIX + route.path) for route in ROUTES}
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
    assert len(set(operation_ids)) == len(operation_ids) == len(ROUTES)


def test_every_problem_of_a_route_is_in_the_catalogue():
    assert {code for route in ROUTES for code in route.problems} <= PROBLEMS.keys()


async def test_the_page_needs_no_other_host(world: World):
    page = await world.call("GET", "/docs")
    assert page.status == 200
    assert "connect-src 'self'" in page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    sources = re.findall(rb'(?:src|href)="([^"]+)"', page.raw)
    assert sources
    for source in sources:
        assert source.startswith(b"/docs/")
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
