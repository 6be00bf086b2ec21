"""S20: the server knows where a transaction stands; no request skips a step, repeats one, or goes back."""

import pytest

from penpay.bench.seed import Customer
from tests.faults.stage import Stage

DOLLARS = {"amount": {"amount": "20.00", "currency": "USD"}}


async def quote(stage: Stage, who: Customer, type_: str, amount: str, currency: str) -> str:
    body = {"type": type_, "amount": {"amount": amount, "currency": currency}}
    return str((await stage.post(who, "/quotes", body)).body["id"])


async def test_what_has_ended_is_not_cancelled(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who)
    await stage.reaches(deposit, "COMPLETED")
    refused = await stage.post(who, f"/transactions/{deposit}/cancel", {})
    assert (refused.status, refused.code) == (409, "not_cancellable")
    await stage.reaches(deposit, "COMPLETED")


async def test_a_quote_is_used_once_and_for_its_own_direction(stage: Stage) -> None:
    who = stage.customer()
    down, up = (
        await quote(stage, who, "DEPOSIT", "1300.00", "KES"),
        await quote(stage, who, "WITHDRAWAL", "20.00", "USD"),
    )
    assert (await stage.post(who, "/deposits", {"quote_id": up}, key="q1")).code == "quote_unknown"
    assert (await stage.post(who, "/deposits", {"quote_id": down}, key="q2")).status == 202
    assert (await stage.post(who, "/deposits", {"quote_id": down}, key="q3")).code == "quote_used"
    stranger = stage.customer()
    assert (await stage.post(stranger, "/deposits", {"quote_id": down}, key="q4")).code == "quote_unknown"


@pytest.mark.parametrize("field", ["quote_id", "amount"])
async def test_a_withdrawal_without_its_code_moves_nothing(stage: Stage, field: str) -> None:
    who = stage.customer()
    asked = DOLLARS if field == "amount" else {"quote_id": await quote(stage, who, "WITHDRAWAL", "20.00", "USD")}
    body = {**asked, "verification_code": "abcdefgh", "pin": "274913"}
    refused = await stage.post(who, "/withdrawals", body, key="w")
    assert refused.status in {403, 409}
    assert refused.code in {"pin_not_set", "code_amount_mismatch"}
    assert (await stage.get(who, "/transactions")).body["items"] == []
