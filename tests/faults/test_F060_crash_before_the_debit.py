"""F60: the node dies with the code in hand, before anything was debited."""

from tests.faults.stage import Stage
from tests.faults.withdrawing import operations, tree, withdrawer


async def test_the_code_waits_sealed_beside_the_intent_and_is_used_once(stage: Stage) -> None:
    who = await withdrawer(stage)
    code = await who.code()
    await tree(stage, "rails/deriv/withdrawals", "stop")
    try:
        withdrawal = await who.ask(code)
        assert operations(stage, withdrawal, "DERIV_WITHDRAW") == [("INTENT", 0)]
        ((sealed, open_),) = stage.rows(
            "SELECT sealed_request, request FROM {ledger}.provider_operations WHERE transaction_id = %s", withdrawal
        )
        assert sealed
        assert code.encode() not in sealed
        assert code not in str(open_)
    finally:
        stage.installation.node.kill()
        await stage.installation.node.start_async()
    await stage.reaches(withdrawal, "COMPLETED")
    assert (await who.told()).counts == (1, 1, 0)
    assert operations(stage, withdrawal, "DERIV_WITHDRAW") == [("CONFIRMED", 1)]
