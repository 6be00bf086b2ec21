"""F10: amounts that are none."""

import pytest

from penpay.bench.seed import Customer
from tests.faults.stage import Stage

BAD = (
    *("-1.00", "+1.00", "1e3", "1e400", "NaN", "Infinity", "1,000.00", "10.005", "10.5", "10", " 10.00", "10.00\n"),
    *("\u0663\u0660\u0660.00", "\uff1100.00", "00.10", "0x10", "", "1" * 400, "1234567890123.00"),
    *(1300, 1300.0, True, None, ["1.00"], {}),
)


@pytest.mark.parametrize("amount", BAD, ids=repr)
async def test_it_is_refused_by_name(stage: Stage, somebody: Customer, amount: object) -> None:
    reply = await stage.post(somebody, "/deposits", {"amount": {"amount": amount, "currency": "KES"}})
    assert reply.status == 400
    assert [error["field"] for error in reply.body["errors"]] == ["amount.amount"]


@pytest.mark.parametrize("currency", ["kes", "EUR", "", None, 1])
async def test_another_currency_is_refused_by_name(stage: Stage, somebody: Customer, currency: object) -> None:
    reply = await stage.post(somebody, "/deposits", {"amount": {"amount": "1300.00", "currency": currency}})
    assert reply.status == 400
    assert [error["field"] for error in reply.body["errors"]] == ["amount.currency"]


@pytest.mark.parametrize("amount", ["0.00", "0.99", "250001.00", "999999999999.99"])
async def test_a_good_amount_outside_the_limits_is_another_matter(
    stage: Stage, somebody: Customer, amount: str
) -> None:
    reply = await stage.post(somebody, "/deposits", {"amount": {"amount": amount, "currency": "KES"}})
    assert (reply.status, reply.code) in {(422, "amount_out_of_range"), (422, "amount_not_whole")}
