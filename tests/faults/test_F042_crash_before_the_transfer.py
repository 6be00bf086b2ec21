"""F42: the node dies when the intent to transfer is recorded, and nothing was sent."""

from tests.faults.stage import WAITS, Stage
from tests.faults.withdrawing import operations, tree


async def test_the_same_operation_is_sent_once_by_the_next_incarnation(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone=WAITS)
    await stage.reaches(deposit, "AWAITING_PAYER")
    await tree(stage, "rails/deriv/transfers", "stop")
    try:
        await stage.answers(who)
        await stage.reaches(deposit, "DERIV_SENDING")
        assert operations(stage, deposit, "DERIV_TRANSFER") == [("INTENT", 0)]
        ((intended,),) = transfers(stage, deposit)
    finally:
        stage.installation.node.kill()
        assert (await stage.told(who)).counts == (1, 1, 0)
        await stage.installation.node.start_async()
    await stage.reaches(deposit, "COMPLETED")
    assert transfers(stage, deposit) == [(intended,)]
    assert operations(stage, deposit, "DERIV_TRANSFER") == [("CONFIRMED", 1)]
    # Without an attempt it was not sent, and nobody had to look for it.
    assert "DERIV_UNKNOWN" not in stage.path(deposit)
    assert stage.postings(deposit) == ["paid", "hold", "done"]
    assert (await stage.told(who)).counts == (1, 1, 1)


def transfers(stage: Stage, deposit: str) -> list[tuple[object, ...]]:
    """Ids of its operations that send dollars."""
    statement = "SELECT id FROM {ledger}.provider_operations WHERE transaction_id = %s AND kind = 'DERIV_TRANSFER'"
    return stage.rows(statement, deposit)
