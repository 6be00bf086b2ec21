"""F47: two equal transfers at once, the reply of the first is lost."""

from tests.faults.stage import Stage
from tests.faults.withdrawing import tree


async def test_each_is_credited_once_and_told_apart(stage: Stage) -> None:
    who = stage.customer()
    await stage.control.post("/deriv/script", {"knobs": {"statement_lag_s": 1.8}})
    first = await stage.deposit(who, deriv={"fault": "executed"})
    await stage.reaches(first, "DERIV_UNKNOWN", "COMPLETED")
    second = await stage.deposit(who)
    await stage.reaches(first, "COMPLETED")
    assert "DERIV_UNKNOWN" in stage.path(first)
    await stage.reaches(second, "COMPLETED")
    await stage.control.post("/deriv/script", {"knobs": {"statement_lag_s": 0.0}})
    told = await stage.told(who)
    assert told.counts == (2, 2, 2)
    references = stage.rows(
        "SELECT o.transaction_id, o.provider_ref FROM {ledger}.provider_operations o"
        " WHERE o.kind = 'DERIV_TRANSFER' AND o.transaction_id IN (%s, %s)",
        first,
        second,
    )
    assert len({reference for _, reference in references}) == 2


async def test_the_second_is_not_sent_before_the_first_is_proven(stage: Stage) -> None:
    who, other = stage.customer(), stage.customer()
    amount = stage.amount_of(who)
    # Nobody proves anything until both are there.
    await tree(stage, "rails/deriv/resolver", "stop")
    try:
        first = await stage.deposit(who, amount, deriv={"fault": "executed"})
        await stage.reaches(first, "DERIV_UNKNOWN")
        second = await stage.deposit(other, amount)
        await stage.reaches(second, "DERIV_SENDING")
    finally:
        await tree(stage, "rails/deriv/resolver", "start")
    for person, deposit in ((who, first), (other, second)):
        await stage.reaches(deposit, "COMPLETED")
        assert len((await stage.told(person)).transfers) == 1
    ((ready_at, sent_at),) = times(stage, second)
    ((proven_at,),) = stage.rows("SELECT completed_at FROM {ledger}.transactions WHERE id = %s", first)
    assert ready_at < proven_at <= sent_at


def times(stage: Stage, deposit: str) -> list[tuple[object, object]]:
    """When its transfer was wanted, and when it was sent."""
    return stage.rows(
        "SELECT o.created_at, MIN(a.sent_at) FROM {ledger}.provider_operations o JOIN {ledger}.rail_attempts a"
        " ON a.operation_id = o.id WHERE o.transaction_id = %s AND o.kind = 'DERIV_TRANSFER' GROUP BY o.id",
        deposit,
    )
