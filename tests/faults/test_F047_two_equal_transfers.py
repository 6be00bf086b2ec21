"""F47: two equal transfers to one client, the reply of the first is lost."""

from tests.faults.stage import Stage


async def test_each_is_credited_once_and_told_apart(stage: Stage) -> None:
    who = stage.customer()
    await stage.control.post("/deriv/script", {"knobs": {"statement_lag_s": 1.8}})
    first = await stage.deposit(who, deriv={"fault": "executed"})
    await stage.reaches(first, "DERIV_UNKNOWN")
    second = await stage.deposit(who)
    await stage.reaches(first, "COMPLETED")
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
