"""What a simulated world leaves behind is judged by the SQL invariants in a real schema as well."""

import pytest

from penpay.simulation import play
from penpay.simulation.books.sweep import sweep
from penpay.simulation.world import Seed, World
from tests.contracts.store.judging import sql_verdict

SEEDS = range(901, 913)


@pytest.fixture
def ended(monkeypatch) -> list[World]:
    """Worlds as they were when their verdict was spoken."""
    worlds: list[World] = []
    judge = play.verdict
    monkeypatch.setattr(play, "verdict", lambda world: (worlds.append(world), judge(world))[1])
    return worlds


def test_the_books_of_simulated_worlds_are_sound_for_the_database_too(ended, contract_database):
    entries = 0
    for number in SEEDS:
        assert play.play(Seed(number)).wrong == (), number
        server = ended.pop().server
        entries += len(server.schema.ledger_entries.rows)
        assert sweep(server) == {}, number
        assert sql_verdict(server, contract_database) == set(), number
    assert entries > 10 * len(SEEDS), "money moved"
