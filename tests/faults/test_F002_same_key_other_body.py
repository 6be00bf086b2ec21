"""F2: the same key with another body."""

import json

import pytest

from tests.faults.stage import Stage

CHANGES = {
    "amount": {"amount": {"amount": "1301.00", "currency": "KES"}},
    "currency": {"amount": {"amount": "1300.00", "currency": "USD"}},
    "phone": {"amount": {"amount": "1300.00", "currency": "KES"}, "phone": "+254700000001"},
    "quote": {"quote_id": "01KAF0Z3T9V5N5W6H3C8Q2YB7D"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_another_body_is_refused_and_changes_nothing(stage: Stage, change: object) -> None:
    who = stage.customer()
    assert (await stage.ask(who, 1300, key="k")).status == 202
    other = await stage.post(who, "/deposits", change, key="k")
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    assert stage.transactions_of(who) == 1


async def test_order_and_white_space_are_no_difference(stage: Stage) -> None:
    who = stage.customer()
    first = await stage.ask(who, 1300, key="k")
    text = json.dumps({"amount": {"currency": "KES", "amount": "1300.00"}}, indent=4)
    assert (await stage.post(who, "/deposits", text, key="k")).raw == first.raw
