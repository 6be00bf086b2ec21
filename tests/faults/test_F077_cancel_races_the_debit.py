"""F77: the customer cancels while the debit is on its way, and before it is."""

import asyncio

import pytest

from penpay.client import ApiProblem
from tests.faults.stage import Stage
from tests.faults.withdrawing import BALANCE_MINOR, operations, tree, withdrawer


async def test_an_attempted_debit_cannot_be_cancelled(stage: Stage) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(deriv={"fault": "slow", "fault_delay_s": 1.5})
    async with asyncio.timeout(30):
        while [attempts for _, attempts in operations(stage, withdrawal, "DERIV_WITHDRAW")] != [1]:
            await asyncio.sleep(0.02)
    with pytest.raises(ApiProblem) as told:
        await who.client.call("POST", f"/transactions/{withdrawal}/cancel")
    assert (told.value.status, told.value.code) == (409, "not_cancellable")
    await stage.reaches(withdrawal, "COMPLETED")
    assert (await who.told()).counts == (1, 1, 0)


async def test_before_the_attempt_it_ends_and_nothing_is_debited_later(stage: Stage) -> None:
    who = await withdrawer(stage)
    code = await who.code()
    await tree(stage, "rails/deriv/withdrawals", "stop")
    try:
        withdrawal = await who.ask(code)
        await who.client.call("POST", f"/transactions/{withdrawal}/cancel")
        await stage.reaches(withdrawal, "FAILED")
    finally:
        await tree(stage, "rails/deriv/withdrawals", "start")
    # The rail is at work again: the next withdrawal passes, the cancelled one stays where it is.
    again = await who.withdraw()
    await stage.reaches(again, "COMPLETED")
    assert operations(stage, withdrawal, "DERIV_WITHDRAW") == [("WITHDRAWN", 0)]
    assert stage.postings(withdrawal) == []
    assert (await who.told()).counts == (1, 1, 0)
    assert await who.balance_minor() == BALANCE_MINOR - who.amount_minor
