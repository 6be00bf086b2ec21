"""F32: another amount was paid than was asked for."""

import pytest

from tests.faults.operating import findings
from tests.faults.stage import Stage


@pytest.mark.parametrize("paid_kes", [1, 999, 5000])
async def test_what_arrived_is_booked_to_suspense_and_looked_at(stage: Stage, paid_kes: int) -> None:
    who = stage.customer()
    # A query knows no amount: what it says first is booked as asked, and contradicted later (below).
    deposit = await stage.deposit(who, phone={"paid_kes": paid_kes, "query": ["pending"] * 30})
    await stage.reaches(deposit, "IN_REVIEW")
    assert stage.postings(deposit) == ["suspense"]
    ((minor,),) = stage.rows(
        "SELECT e.amount_minor FROM {ledger}.postings p JOIN {ledger}.ledger_entries e ON e.posting_id = p.id"
        " WHERE p.transaction_id = %s AND e.amount_minor > 0",
        deposit,
    )
    assert minor == 100 * paid_kes
    assert len(stage.reviews(deposit)) == 1
    assert (await stage.told(who)).counts == (1, 1, 0)


@pytest.mark.parametrize("paid_kes", [1, 5000])
async def test_what_a_query_was_believed_about_is_corrected_by_the_receipt(stage: Stage, paid_kes: int) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"paid_kes": paid_kes, "callback": "lost"})
    await stage.reaches(deposit, "IN_REVIEW")
    assert stage.reviews(deposit) == ["amount_mismatch"]
    assert {"paid", "corrected"} <= set(stage.postings(deposit))
    booked = stage.rows(
        "SELECT SUM(e.amount_minor) FROM {ledger}.postings p"
        " JOIN {ledger}.ledger_entries e ON e.posting_id = p.id JOIN {ledger}.accounts a ON a.id = e.account_id"
        " WHERE p.transaction_id = %s AND a.code = 'mpesa_paybill'",
        deposit,
    )
    assert booked == [(100 * paid_kes,)]
    ((receipt,),) = stage.rows("SELECT JSON_VALUE(data, '$.receipt') FROM {ledger}.transactions WHERE id = %s", deposit)
    assert receipt not in await findings(stage), "in the comparison, too, it counts as all that was booked for it"
