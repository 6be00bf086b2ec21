"""F45: Deriv refuses the first attempt."""

import pytest

from tests.faults.stage import Stage


@pytest.mark.parametrize("code", ["PaymentAgentTransferError", "PermissionDenied", "InputValidationFailed"])
async def test_a_final_refusal_gives_the_shillings_back(stage: Stage, code: str) -> None:
    who = stage.customer()
    refusal = {"fault": "refuse", "error_code": code, "error_message": "This client cannot receive.", "times": 0}
    deposit = await stage.deposit(who, deriv=refusal)
    state = await stage.reaches(deposit, "REVERSED", "DERIV_HELD", "IN_REVIEW")
    told = await stage.told(who)
    assert len(told.transfers) == 0
    if state == "REVERSED":
        assert told.payments[0]["reversed_by"]
        assert stage.postings(deposit) == ["paid", "hold", "void", "refund_hold", "refund_done"]
    await stage.control.post("/deriv/script", {"clear": True})
    assert state != "FAILED"


async def test_a_refusal_of_our_own_account_waits(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, deriv={"fault": "refuse", "error_code": "RateLimit"})
    await stage.reaches(deposit, "COMPLETED")
    assert "DERIV_HELD" in stage.path(deposit)
    assert (await stage.told(who)).counts == (1, 1, 1)
