"""F65: the intent to pay out is recorded, and nothing was sent."""

from tests.faults.stage import Stage
from tests.faults.withdrawing import operations, tree, withdrawer


async def test_it_is_sent_with_the_stored_id(stage: Stage) -> None:
    who = await withdrawer(stage)
    code = await who.code()
    # Nobody sees the debit arrive: neither who watches the agent's credits, nor who reads its statement.
    await tree(stage, "rails/deriv/resolver", "stop")
    try:
        withdrawal = await who.ask(code)
        await stage.reaches(withdrawal, "DEBITED")
        await tree(stage, "rails/daraja/gate", "stop")
        await tree(stage, "rails/deriv/resolver", "start")
        await stage.reaches(withdrawal, "B2C_SENDING")
        assert operations(stage, withdrawal, "B2C") == [("INTENT", 0)]
        ((stored,),) = stage.rows(
            "SELECT JSON_VALUE(request, '$.originator_conversation_id') FROM {ledger}.provider_operations"
            " WHERE transaction_id = %s AND kind = 'B2C'",
            withdrawal,
        )
        assert not (await who.told()).payouts
    finally:
        stage.installation.node.kill()
        await stage.installation.node.start_async()
    await stage.reaches(withdrawal, "COMPLETED")
    (payout,) = (await who.told()).payouts
    assert payout["originator_id"] == stored
    assert (await who.told()).counts == (1, 1, 0)
