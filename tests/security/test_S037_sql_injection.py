"""S37: values reach the database as values. Text that is SQL is stored or refused like any other text."""

import ast
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

import penpay
from penpay.adapters import mysql
from penpay.http.examples import EXAMPLES
from penpay.http.rates import rate_rules
from penpay.http.routes import ROUTES
from penpay.messages_rails import GetBalance
from tests.http.world import Customer, World

PAYLOADS = (
    "' OR '1'='1",
    "'; SELECT SLEEP(5) -- ",
    '" UNION SELECT password_hash FROM users #',
    "\\' OR 1=1 -- ",
    "%27%20OR%201=1",
    "x' AND (SELECT 1 FROM (SELECT SLEEP(5)) y) AND '1'='1",
    "\u02bc OR 1=1",
    ":user_id",
    "{users}.users",
)
ROUTES_TRIED = [route for route in ROUTES if route.path != "/events"]
PACKAGE = Path(penpay.__file__).parent


def poisoned(value: object, payload: str) -> object:
    """Every text of a body replaced."""
    if isinstance(value, dict):
        return {name: poisoned(one, payload) for name, one in value.items()}
    return payload if isinstance(value, str) else value


@pytest.fixture
def sent(monkeypatch) -> list[str]:
    """Every statement that goes to the server."""
    statements: list[str] = []
    for name in ("query", "rows"):
        original = getattr(mysql.Connection, name)

        async def noted(self, statement, *more, _original=original, **others):
            statements.append(statement)
            return await _original(self, statement, *more, **others)

        monkeypatch.setattr(mysql.Connection, name, noted)
    return statements


@pytest.fixture
def edge_settings(edge_settings):
    """As many reads as there are payloads."""
    return replace(edge_settings, rates=rate_rules(address_factor=1000, read_per_minute=100_000))


async def test_no_parameter_becomes_a_statement(world: World, customer: Customer, sent: list[str]):
    world.actors.answers[GetBalance] = lambda _: None
    for route, payload in product(ROUTES_TRIED, PAYLOADS):
        names = [*(route.query or type("None", (), {"model_fields": {}})).model_fields, "acct1", "token1", "state"]
        answer = await customer.call(
            route.method,
            route.path.replace("{id}", "x' OR 1=1"),
            poisoned(EXAMPLES[route.body], payload) if route.body else None,
            headers={"Idempotency-Key": "k" + payload.replace(" ", "").encode("ascii", "ignore").decode()},
            params={name.rstrip("_"): payload for name in names} if route.method == "GET" else None,
        )
        assert answer.status < 500, (route.path, payload, answer.raw)
    for statement in sent:
        assert "SLEEP(5)" not in statement.replace("\\'", "").split("'")[::2].__str__()


async def test_a_name_with_a_quote_is_a_name(world: World):
    name = "Niamh O'Brien \\"
    phone = "254712999001"
    body = {"email": "o'brien@example.com", "phone": phone, "password": "one long sentence", "full_name": name}
    assert (await world.call("POST", "/auth/register", body)).status == 201


def test_no_statement_is_put_together_where_it_is_used():
    """SQL lives in files; what runs is made by `Queries`, which renders every value as a literal."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        if any(part in file.parts for part in ("bench", "demo", "chaos", "simulation")):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
                if any(text.lstrip().upper().startswith(verb) for verb in ("SELECT ", "INSERT ", "UPDATE ", "DELETE ")):
                    found.append(f"{file.relative_to(PACKAGE)}:{node.lineno}")
    # A lock's name as a literal, and an invariant's own text: both are ours.
    assert {place.partition(":")[0] for place in found} == {"adapters/migrations.py", "invariants/questions.py"}
    assert len(found) == 2
