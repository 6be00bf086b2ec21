"""The door must open: what the README tells a reader to type exists, and so do the places it names."""

import re

import pytest

from tests.style.source import ROOT

README = ROOT / "README.md"
TEXT = README.read_text() if README.exists() else ""
FENCES = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ").split("#")[0].strip()
    for fence in FENCES
    for line in fence.splitlines()
    if line.removeprefix("$ ").startswith(("./dev", "penpay"))
]
PLACES = sorted(set(re.findall(r"`((?:[A-Za-z0-9_.-]+/)+[A-Za-z0-9_.-]*|[a-z_]+\.(?:py|toml|yml|sql))`", TEXT)))


def test_the_readme_shows_the_two_commands():
    assert {"./dev demo", "./dev test"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_exists(command):
    from typer.main import get_command  # noqa: PLC0415 - only here

    from penpay.cli import app  # noqa: PLC0415

    program, *words = command.split()
    if program == "./dev":
        assert re.search(
            rf"\b{re.escape(words[0])}\b", re.search(r"case \$task in (.*?)\)", (ROOT / "dev").read_text())[1]
        )
        return
    node = get_command(app)
    for word in words:
        if word.startswith("-") or not hasattr(node, "commands"):
            break
        assert word in node.commands, command
        node = node.commands[word]


@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_the_readme_names_exists(place):
    assert (ROOT / place).exists() or any(ROOT.rglob(place))
