"""F64: the node dies after the debit, before its answer is known or before the payout is an intent."""

import asyncio

from tests.faults.stage import Stage
from tests.faults.withdrawing import BALANCE_MINOR, held, operations, tree, withdrawer


async def test_a_debit_whose_answer_died_with_the_node_is_found_and_paid_once(stage: Stage) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(deriv={"fault": "no_reply"})
    async with asyncio.timeout(30):
        while not (await who.told()).debits:
            await asyncio.sleep(0.02)
    stage.installation.node.kill()
    await stage.installation.node.start_async()
    await stage.reaches(withdrawal, "COMPLETED")
    assert (await who.told()).counts == (1, 1, 0)
    assert await who.balance_minor() == BALANCE_MINOR - who.amount_minor
    assert operations(stage, withdrawal, "DERIV_WITHDRAW") == [("CONFIRMED", 1)]
    assert len(operations(stage, withdrawal, "B2C")) == 1
    assert held(stage, withdrawal) == {}


async def test_a_debit_without_a_payout_goes_on_after_the_crash(stage: Stage) -> None:
    who = await withdrawer(stage)
    code = await who.code()
    # Nobody sees the debit arrive: neither who watches the agent's credits, nor who reads its statement.
    await tree(stage, "rails/deriv/resolver", "stop")
    try:
        withdrawal = await who.ask(code)
        await stage.reaches(withdrawal, "DEBITED")
        assert operations(stage, withdrawal, "B2C") == []
    finally:
        stage.installation.node.kill()
        await stage.installation.node.start_async()
    await stage.reaches(withdrawal, "COMPLETED")
    told = await who.told()
    assert (told.counts, len(told.payouts)) == ((1, 1, 0), 1)
    assert len(operations(stage, withdrawal, "B2C")) == 1
    assert stage.postings(withdrawal) == ["debited", "witnessed", "payout_hold", "payout_done"]
