"""F15: the node dies when the intent to push is recorded, and nothing was sent."""

from collections.abc import AsyncIterator

import pytest

from penpay.bench.seed import Customer
from tests.faults.operating import configured
from tests.faults.stage import Stage
from tests.faults.withdrawing import operations, tree


@pytest.fixture
async def intended(stage: Stage) -> AsyncIterator[tuple[Customer, str]]:
    """Somebody whose push is an intent, and the deposit: it waits for Deriv's word about the recipient."""
    who = stage.customer()
    await tree(stage, "rails/deriv/transfers", "stop")
    deposit = await stage.deposit(who)
    assert stage.state(deposit) == "STK_SENDING"
    assert operations(stage, deposit, "STK") == [("INTENT", 0)]
    yield who, deposit
    if (await stage.operator.members())["rails/deriv/transfers"]["state"] != "running":
        await tree(stage, "rails/deriv/transfers", "start")


async def test_a_fresh_intent_is_sent_once_by_the_next_incarnation(
    stage: Stage, intended: tuple[Customer, str]
) -> None:
    who, deposit = intended
    stage.installation.node.kill()
    assert (await stage.told(who)).counts == (0, 0, 0)
    await stage.installation.node.start_async()
    await stage.reaches(deposit, "COMPLETED")
    assert operations(stage, deposit, "STK") == [("CONFIRMED", 1)]
    assert (await stage.told(who)).counts == (1, 1, 1)


async def test_an_old_intent_ends_without_a_prompt(stage: Stage, intended: tuple[Customer, str]) -> None:
    who, deposit = intended
    # Two minutes are over when it is up again: the customer has gone.
    async with configured(stage.installation.node, PENPAY_TIMING__STK_MAX_AGE_S="120"):
        await stage.reaches(deposit, "FAILED")
    failed = stage.rows("SELECT failure_code FROM {ledger}.transactions WHERE id = %s", deposit)
    assert failed == [("stk_not_sent",)]
    assert [attempts for _, attempts in operations(stage, deposit, "STK")] == [0]
    assert stage.postings(deposit) == []
    assert (await stage.told(who)).counts == (0, 0, 0)
