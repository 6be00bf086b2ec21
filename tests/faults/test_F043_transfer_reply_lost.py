"""F43: the transfer was executed, and its reply was lost."""

from tests.faults.stage import Stage


async def test_the_statement_proves_it_and_it_is_not_sent_again(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, deriv={"fault": "executed"})
    await stage.reaches(deposit, "COMPLETED")
    assert "DERIV_UNKNOWN" in stage.path(deposit)
    assert (await stage.told(who)).counts == (1, 1, 1)
    ((proof,),) = stage.rows(
        "SELECT JSON_VALUE(data, '$.proof') FROM {ledger}.transaction_events"
        " WHERE transaction_id = %s AND event = 'DerivConfirmed'",
        deposit,
    )
    assert proof == "statement"
