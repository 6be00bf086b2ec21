"""F18: no answer to the push within its time."""

import pytest

from tests.faults.stage import WAITS, Stage

SLOW = {"fault": "late", "fault_delay_s": 4.0}


async def test_a_callback_resolves_it(unlisted: Stage) -> None:
    stage, who = unlisted, unlisted.customer()
    deposit = await stage.deposit(who, phone={**SLOW, **WAITS})
    await stage.reaches(deposit, "STK_UNKNOWN", "FAILED")
    await stage.answers(who)
    await stage.reaches(deposit, "COMPLETED")
    # Only the callback names the push, which a query then agrees to.
    assert stage.paid_by(deposit) == "query"
    assert await stage.receipt_credited(who, deposit)
    assert (await stage.told(who)).counts == (1, 1, 1)


async def test_without_a_callback_the_list_of_payments_resolves_it(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={**SLOW, **WAITS, "callback": "lost"})
    await stage.reaches(deposit, "STK_UNKNOWN", "FAILED")
    await stage.answers(who)
    await stage.reaches(deposit, "COMPLETED")
    assert "STK_UNKNOWN" in stage.path(deposit)
    assert stage.paid_by(deposit) == "pull"
    assert (await stage.told(who)).counts == (1, 1, 1)


@pytest.mark.slow
async def test_it_fails_only_after_its_time_and_a_clean_list(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={**SLOW, "outcome": "1032", "answer_delay_s": 0.5, "callback": "lost"})
    await stage.reaches(deposit, "FAILED")
    ((seconds,),) = stage.rows(
        "SELECT TIMESTAMPDIFF(MICROSECOND, created_at, updated_at) / 1e6 FROM {ledger}.transactions WHERE id = %s",
        deposit,
    )
    # A quarter of an hour, two hundred times faster.
    assert seconds >= 4.5
    assert (await stage.told(who)).counts == (1, 0, 0)
