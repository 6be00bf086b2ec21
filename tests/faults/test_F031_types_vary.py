"""F31: the same figures as other types."""

import pytest

from tests.faults.stage import Stage

SHAPES = (
    {"code_type": "string", "amount_type": "string", "balance": "packed", "phone": "string"},
    {"code_type": "int", "amount_type": "int", "balance": "number", "shuffle": True},
    {"code_type": "string", "amount_type": "float", "balance": "absent"},
)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
async def test_every_shape_says_the_same(unlisted: Stage, shape: dict[str, object]) -> None:
    stage, who = unlisted, unlisted.customer()
    deposit = await stage.only_called_back(who, **shape)
    await stage.reaches(deposit, "COMPLETED")
    assert stage.paid_by(deposit) == "callback"
    ((minor,),) = stage.rows(
        "SELECT e.amount_minor FROM {ledger}.postings p JOIN {ledger}.ledger_entries e ON e.posting_id = p.id"
        " WHERE p.transaction_id = %s AND p.posting_key = 'paid' AND e.amount_minor > 0",
        deposit,
    )
    assert minor == 100 * stage.amount_of(who)
