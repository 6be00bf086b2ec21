"""What is asked of everything at once, for a person who waits."""

import pytest

from penpay.domain.errors import Unavailable
from penpay.invariants import questions
from tests.invariants.test_rounds import unanswered


async def test_what_is_not_answered_keeps_no_other_rule_from_being_asked(ledger, monkeypatch):
    asked, told = unanswered(monkeypatch, ("i21_balance_differs",), times=1), []
    found = await questions.check(ledger.database, say=told.append)
    assert isinstance(found["i21_balance_differs"], Unavailable)
    assert [rows for name, rows in found.items() if name != "i21_balance_differs"] == [()] * (len(asked) - 1)
    assert [*found] == told == asked


async def test_a_database_that_is_away_is_told_at_once(ledger, monkeypatch):
    asked = unanswered(monkeypatch, (), times=1)
    ledger.database.close()
    with pytest.raises(Unavailable):
        await questions.check(ledger.database)
    assert asked == []
