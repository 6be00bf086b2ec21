"""`penpay check`: what holds, what does not, and what nobody could answer, each called so."""

import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from penpay import proofs
from penpay.cli import app
from penpay.domain.errors import StoreError, Unavailable

ROW = (7, "KES", -100)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the books say of each rule."""
    rules: dict[str, object] = {"i01_sums": (), "i02_legs": (), "i21_balance": ()}

    async def answered(_settings: object, *, say: Callable[[str], None]) -> object:
        for name in rules:
            say(name)
        return rules

    monkeypatch.setattr(proofs, "invariants_of", answered)
    monkeypatch.setenv("APP_ENV", "testing")
    monkeypatch.setattr("config.settings.load_settings", lambda _environ: None)
    return rules


def ended(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["check", *words])
    return done.exit_code, done.stdout


def test_books_that_are_whole_are_called_so(found):
    assert ended() == (0, "3 of 3 invariants hold\n")


def test_what_breaks_a_rule_is_shown(found):
    found["i01_sums"] = (ROW,)
    assert ended() == (1, "BROKEN i01_sums: (7, 'KES', -100)\n2 of 3 invariants hold\n")


def test_what_was_not_answered_neither_holds_nor_hides_the_others(found):
    found |= {"i01_sums": (ROW,), "i02_legs": StoreError(3, "disk full"), "i21_balance": Unavailable("database")}
    status, said = ended()
    assert status == 1
    assert said.splitlines() == [
        "BROKEN i01_sums: (7, 'KES', -100)",
        "NOT ANSWERED i02_legs: the database refused: (3, 'disk full')",
        "NOT ANSWERED i21_balance: the database did not answer in time",
        "0 of 3 invariants hold",
    ]
    status, said = ended("--json")
    assert status == 1
    assert json.loads(said) == {"i01_sums": [["7", "KES", "-100"]], "i02_legs": None, "i21_balance": None}


def test_what_was_not_answered_is_no_success(found):
    found["i21_balance"] = Unavailable("database")
    assert ended()[0] == 1
