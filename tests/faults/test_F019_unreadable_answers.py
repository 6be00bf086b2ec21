"""F19: the answer to the push is cut off, or a page of HTML."""

import pytest

from tests.faults.stage import WAITS, Stage


@pytest.mark.parametrize("fault", ["truncated", "html_after"])
async def test_what_was_executed_is_found_and_not_repeated(stage: Stage, fault: str) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={**WAITS, "fault": fault})
    await stage.reaches(deposit, "STK_UNKNOWN", "FAILED")
    await stage.answers(who)
    await stage.reaches(deposit, "COMPLETED")
    assert "STK_UNKNOWN" in stage.path(deposit)
    assert (await stage.told(who)).counts == (1, 1, 1)


@pytest.mark.slow
async def test_what_was_not_executed_ends_without_money(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"fault": "html"})
    await stage.reaches(deposit, "FAILED")
    assert "STK_UNKNOWN" in stage.path(deposit)
    assert (await stage.told(who)).counts == (0, 0, 0)
    assert stage.postings(deposit) == []
