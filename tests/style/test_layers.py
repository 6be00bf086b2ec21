"""Who may import whom. A room that is not listed is a composition root and may see everything."""

import pytest

from tests.style.source import Module, is_standard, is_within, modules

PORTS = ("penpay.ports", "penpay.ports_audit", "penpay.ports_ledger", "penpay.ports_rails")
CORE = ("penpay.domain", "penpay.messages", "penpay.messages_rails", *PORTS)
# Writing a line is not an outside effect that a test would want to replace.
LOGGING = ("structlog",)
EDGE = ("aiohttp", "multidict", "yarl", "pydantic", "orjson", "prometheus_client")
# The runtime's only word for "a dependency is away" is an exception of the domain.
RUNTIME_WORDS = ("penpay.domain.errors",)

ALLOWED = {
    # It turns values into text and back, and knows nothing else.
    "penpay.domain": ("penpay.domain", "orjson"),
    "penpay.messages": CORE,
    "penpay.messages_rails": CORE,
    "penpay.ports": CORE,
    "penpay.ports_ledger": CORE,
    "penpay.ports_audit": CORE,
    "penpay.ports_rails": CORE,
    "penpay.data": ("penpay",),
    "config": ("config", "pydantic", "structlog", "orjson", "dotenv"),
    "actors": ("actors", *CORE, "config", "pykka", *LOGGING),
    "supervisors": (
        "supervisors",
        "actors.base",
        "penpay.messages",
        "penpay.messages_rails",
        "penpay.ports",
        "config",
        "pykka",
        *RUNTIME_WORDS,
        *LOGGING,
    ),
    "supervisors.tree": ("supervisors", "actors", *CORE, "config", "pykka", *LOGGING),
    "penpay.http": ("penpay.http", *CORE, "penpay.data", "penpay.__version__", "config", *EDGE, *LOGGING),
    "penpay.invariants": (
        "penpay.invariants",
        *CORE,
        "penpay.adapters.database",
        "penpay.adapters.ledger_rows",
        "penpay.adapters.metrics",
        "penpay.adapters.sql_text",
        "penpay.data",
        "actors.periodic",
        *LOGGING,
    ),
    "penpay.sandbox": ("penpay.sandbox", "aiohttp", "multidict", "yarl", "cryptography", "orjson"),
    "penpay.simulation.store": ("penpay.simulation.store", *CORE, "penpay.data"),
    "penpay.simulation.books": (
        "penpay.simulation.books",
        "penpay.simulation.store",
        *CORE,
        "penpay.adapters.sql_text",
    ),
    "penpay.stack": ("penpay.stack", "penpay.sandbox.config", "pymysql"),
}
ADAPTER = (*CORE, "penpay.adapters", "penpay.data", "config", *LOGGING)
SERIALISERS = {"orjson"}
"""A driver's wire form, not a driver."""
FAMILIES = {
    "yarl": "aiohttp",
    "multidict": "aiohttp",
    "pymysql": "aiomysql",
    "jwt": "cryptography",
    "dateutil": "phonenumbers",
}


def rule_for(name: str) -> str | None:
    """The most exact rule that covers a module."""
    return max((rule for rule in ALLOWED if is_within(name, rule)), key=len, default=None)


def trespasses(module: Module) -> list[str]:
    rule = rule_for(module.name)
    if rule is None:
        return []
    return sorted(
        name
        for name in module.imports()
        if not is_standard(name) and not any(is_within(name, allowed) for allowed in ALLOWED[rule])
    )


@pytest.mark.parametrize("module", [m for m in modules() if rule_for(m.name)], ids=lambda m: m.place)
def test_a_room_imports_only_what_it_may(module):
    assert trespasses(module) == []


@pytest.mark.parametrize(
    "module", [m for m in modules() if is_within(m.name, "penpay.adapters")], ids=lambda m: m.place
)
def test_an_adapter_has_one_driver(module):
    outside = {name for name in module.imports() if not is_standard(name)}
    drivers = {name.partition(".")[0] for name in outside if not any(is_within(name, allowed) for allowed in ADAPTER)}
    drivers = {FAMILIES.get(driver, driver) for driver in drivers} - SERIALISERS
    assert len(drivers) <= 1
    assert not drivers & {"actors", "supervisors", "penpay"}


def test_the_rules_find_what_they_forbid():
    planted = {
        "penpay.domain.money": "import aiohttp",
        "actors.saga": "from penpay.adapters import mysql",
        "supervisors.supervisor": "from actors import ledger",
        "penpay.http.api": "from actors.base import AsyncioActor",
        "penpay.sandbox.world": "from penpay.domain.money import Money",
    }
    import ast  # noqa: PLC0415 - only here
    from pathlib import Path  # noqa: PLC0415

    from tests.style.source import ROOT  # noqa: PLC0415

    for name, code in planted.items():
        path = ROOT / Path(*name.split(".")).with_suffix(".py")
        assert trespasses(Module(path, code, ast.parse(code))) != [], name
