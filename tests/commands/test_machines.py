"""What a machine gets of every command: one document, a status, and a refusal of numbers that mean nothing."""

import itertools
import json
from collections.abc import Iterator

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from penpay.chaos import look
from penpay.cli import app
from penpay.commands import measuring
from penpay.commands.measuring import Measured
from penpay.demo import run as demo
from penpay.simulation import runs, safeguards

WITHOUT_A_RESULT = {"serve", "up", "sandbox"}
"""They run until they are stopped; `sandbox` says in JSON where it listens."""
JSON_AS_IT_IS = {"openapi"}
PARTS = ("_actors", "_ledger", "_deposits", "_withdrawals", "_security")


def commands(node=None, name: str = "") -> Iterator[tuple[str, object]]:
    node = node or get_command(app)
    if not hasattr(node, "commands"):
        yield name, node
        return
    if node.invoke_without_command and name:
        yield name, node
    for word, child in node.commands.items():
        yield from commands(child, f"{name} {word}".strip())


COMMANDS = dict(commands())
NUMBERS = [
    (name, option.opts[0], option.type_descriptor.parameter_info.min)
    for name, command in COMMANDS.items()
    for option in command.params
    if option.type_descriptor.annotation in {int, float}
]


def run(*arguments: str):
    return CliRunner().invoke(app, arguments)


def document(said) -> object:
    """All that stands on stdout is one line, one document."""
    (line,) = said.stdout.splitlines()
    return json.loads(line)


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - WITHOUT_A_RESULT - JSON_AS_IT_IS))
def test_every_command_with_a_result_has_it_for_machines(name):
    assert any("--json" in option.opts for option in COMMANDS[name].params)


@pytest.mark.parametrize(("name", "option", "least"), NUMBERS, ids=[f"{name} {option}" for name, option, _ in NUMBERS])
def test_a_number_below_its_least_is_a_usage_error(name, option, least):
    said = run(*name.split(), option, str(least - 1))
    assert said.exit_code == 2, said.output
    assert said.stdout == ""


@pytest.mark.parametrize("met", [True, False])
@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("bench", "--json"), PARTS),
        (("bench", "--json", "ledger"), ("_ledger",)),
        (("bench", "withdrawals", "--json"), ("_withdrawals",)),
    ],
    ids=["all", "before", "behind"],
)
def test_measurements_are_one_document(words, names, met, monkeypatch):
    for name in PARTS:
        told = Measured(name, ["for people"], {"per_s": 1}, met or name != "_ledger")
        monkeypatch.setattr(measuring, name, lambda told=told, **_: told)
    said = run(*words)
    assert document(said) == {name: {"per_s": 1} for name in names}
    assert said.exit_code == (0 if met or "_ledger" not in names else 1)


@pytest.mark.parametrize("status", [0, 1])
def test_the_demo_keeps_its_tables_off_the_document(status, monkeypatch):
    def play(console) -> int:
        console.print("tables")
        return status

    monkeypatch.setattr(demo, "run", play)
    said = run("demo", "--json")
    assert said.exit_code == status
    assert document(said)["holds"] is (status == 0)
    assert said.stderr == "tables\n"
    assert run("demo").stdout == "tables\n"


def test_the_table_of_safeguards_is_one_document(monkeypatch):
    some = dict(itertools.islice(runs.SAFEGUARDS.items(), 3))
    monkeypatch.setattr(safeguards, "SAFEGUARDS", some)
    said = run("simulate", "--ablations", "--seeds", "1", "--json")
    rows = document(said)
    assert [row["safeguard"] for row in rows] == list(some)
    assert {"failed", "seeds", "first", "wrong"} < rows[0].keys()
    assert said.exit_code == (1 if any(row["first"] is None for row in rows) else 0)


def test_a_migration_says_what_it_did(database, monkeypatch):
    monkeypatch.setenv("PENPAY_DATABASE__URL", database.url)
    monkeypatch.setenv("PENPAY_DATABASE__ADMIN_URL", database.admin_url)
    monkeypatch.setenv("PENPAY_DATABASE__PREFIX", database.prefix)
    monkeypatch.setenv("PENPAY_NODE__SHARDS", str(database.shards))
    said = run("migrate", "--json")
    assert said.exit_code == 0, said.output
    assert document(said) == {"installation_id": database.installation_id, "applied": []}


def test_what_waits_for_a_person_has_nothing_for_machines(tmp_path, monkeypatch):
    monkeypatch.setattr(look, "look", lambda *_: 0)
    assert run("chaos", "--look", str(tmp_path)).exit_code == 0
    assert run("chaos", "--look", str(tmp_path), "--json").exit_code == 2
    assert run("chaos", "--look", str(tmp_path / "gone")).exit_code == 2
