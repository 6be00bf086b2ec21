"""F61: the debit was executed, its reply was lost, and its code is spent."""

from tests.faults.stage import Stage
from tests.faults.withdrawing import BALANCE_MINOR, held, operations, withdrawer


async def test_both_statements_prove_it_and_the_code_is_not_sent_again(stage: Stage) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(deriv={"fault": "executed"})
    await stage.reaches(withdrawal, "COMPLETED")
    assert "DERIV_UNKNOWN" in stage.path(withdrawal)
    assert "FAILED" not in stage.path(withdrawal)
    assert (await who.told()).counts == (1, 1, 0)
    assert await who.balance_minor() == BALANCE_MINOR - who.amount_minor
    assert operations(stage, withdrawal, "DERIV_WITHDRAW") == [("CONFIRMED", 1)]
    assert stage.postings(withdrawal) == ["debited", "witnessed", "payout_hold", "payout_done"]
    assert held(stage, withdrawal) == {}


async def test_a_debit_that_never_happened_ends_without_a_posting(stage: Stage) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(deriv={"fault": "not_executed"})
    await stage.reaches(withdrawal, "FAILED")
    assert "DERIV_UNKNOWN" in stage.path(withdrawal)
    assert stage.postings(withdrawal) == []
    told = await who.told()
    assert (told.counts, len(told.payouts)) == ((0, 0, 0), 0)
    assert await who.balance_minor() == BALANCE_MINOR
