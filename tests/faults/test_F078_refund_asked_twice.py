"""F78: staff ask for a refund twice, of a payment that Safaricom has reversed already."""

from typing import Any

from penpay.stack import ProcessFailed
from tests.faults.operating import run
from tests.faults.stage import Stage


def resolved(stage: Stage, item: str, *, second: str) -> bool:
    """Whether a decision to refund was taken."""
    words = ("--action", "refund", "--by", "Achieng", "--second", second, "--evidence", "ticket 78", "--yes")
    try:
        stage.installation.run("review", "resolve", item, *words)
    except ProcessFailed:
        return False
    return True


async def question(stage: Stage, transaction_id: str) -> str:
    """The item that waits for this transaction."""
    _, listed = await run(stage.installation, "review", "list")
    items: list[dict[str, Any]] = [one for one in listed if one["transaction"] == transaction_id]
    assert len(items) == 1, items
    return str(items[0]["id"])


async def test_one_person_may_not_and_two_do_it_once(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"paid_kes": 77})
    await stage.reaches(deposit, "IN_REVIEW")
    item = await question(stage, deposit)
    assert not resolved(stage, item, second="achieng"), "the same person twice"
    assert stage.state(deposit) == "IN_REVIEW"
    (payment,) = (await stage.told(who)).payments
    await stage.control.post(f"/payments/{payment['receipt']}/reverse", {})
    assert resolved(stage, item, second="Brian")
    assert not resolved(stage, item, second="Brian"), "it is decided"
    # Safaricom says that it was reversed already, and that is what was wanted.
    await stage.reaches(deposit, "REVERSED", within_s=40)
    assert [code for (code,) in reversals(stage, deposit)] == ["CONFIRMED"]
    truth = await stage.control.get("/truth")
    codes = [one["result_code"] for one in truth["reversals"] if one["receipt"] == payment["receipt"]]
    assert codes == ["R000001"]


def reversals(stage: Stage, transaction_id: str) -> list[tuple[Any, ...]]:
    """States of the operations that give money back."""
    statement = "SELECT state FROM {ledger}.provider_operations WHERE transaction_id = %s AND kind = 'REVERSAL'"
    return stage.rows(statement, transaction_id)
