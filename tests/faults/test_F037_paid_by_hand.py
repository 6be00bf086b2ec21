"""F37: somebody pays the PayBill by hand, with a reference of ours or with garbage."""

import asyncio

from tests.faults.operating import findings, until_comparable
from tests.faults.stage import Stage
from tests.faults.withdrawing import held


async def test_it_stands_in_suspense_before_a_person_and_credits_nobody(stage: Stage) -> None:
    await until_comparable(stage)
    who = stage.customer()
    deposit = await stage.deposit(who)
    await stage.reaches(deposit, "COMPLETED")
    receipts = {}
    for shillings, reference in ((511, (await stage.push_of(who))["reference"]), (512, "HELLO")):
        told = {"amount_kes": shillings, "reference": reference}
        receipts[(await stage.control.post(f"/phones/{who.msisdn}/pay", told))["receipt"]] = shillings * 100
    # The node watches Safaricom's list, and books them when they are no longer on their way.
    async with asyncio.timeout(60):
        while not all(booked(stage, receipt) for receipt in receipts):
            await asyncio.sleep(0.1)
    for receipt, minor in receipts.items():
        assert booked(stage, receipt) == [("suspense", minor)]
        asked = stage.rows("SELECT kind, owner_role FROM {ledger}.review_items WHERE evidence LIKE %s", f"%{receipt}%")
        assert asked == [("payment_unmatched", "FINANCE")]
    assert stage.state(deposit) == "COMPLETED"
    assert held(stage, deposit) == {}
    assert len((await stage.told(who)).transfers) == 1


async def test_a_prompt_that_was_refused_and_then_paid_by_hand_is_credited_with_what_safaricom_says(
    stage: Stage,
) -> None:
    await until_comparable(stage)
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"outcome": "1032"})
    await stage.reaches(deposit, "FAILED")
    push = await stage.push_of(who)
    told = {"amount_kes": push["amount_minor"] // 100, "reference": push["reference"]}
    receipt = (await stage.control.post(f"/phones/{who.msisdn}/pay", told))["receipt"]
    # Nobody asks about this push any more: the node finds the payment in Safaricom's list itself.
    assert await stage.reaches(deposit, "COMPLETED", "REVERSED", within_s=60.0) == "COMPLETED"
    assert receipt not in await findings(stage)


def booked(stage: Stage, receipt: str) -> list[tuple[str, int]]:
    """Key and cents of what was booked on the PayBill for a receipt that no deposit knows."""
    found = stage.rows(
        "SELECT p.posting_key, e.amount_minor FROM {ledger}.postings p"
        " JOIN {ledger}.ledger_entries e ON e.posting_id = p.id JOIN {ledger}.accounts a ON a.id = e.account_id"
        " WHERE p.unit_id = %s AND a.code = 'mpesa_paybill'",
        f"ref:{receipt}",
    )
    return [(str(key), int(minor)) for key, minor in found]
