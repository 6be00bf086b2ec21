"""F45: Deriv refuses the first attempt."""

import pytest

from tests.faults.stage import Stage
from tests.faults.withdrawing import operations

FINAL = {
    "of this client": ("PaymentAgentTransferError", "This client cannot receive."),
    "of this request": ("InputValidationFailed", "Input validation failed: amount"),
}
OURS = {
    "too many calls": ("RateLimit", "You have reached the rate limit."),
    "our token": ("PermissionDenied", "Permission denied, requires payments scope."),
    "our money": ("PaymentAgentTransferError", "Your account balance is insufficient to transfer this amount."),
}


@pytest.mark.parametrize("refusal", FINAL.values(), ids=FINAL)
async def test_a_final_refusal_gives_the_shillings_back(stage: Stage, refusal: tuple[str, str]) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, deriv=_refused(*refusal))
    await stage.reaches(deposit, "REVERSED")
    assert stage.path(deposit)[-3:] == ["DERIV_SENDING", "REFUND_SENDING", "REVERSED"]
    assert stage.postings(deposit) == ["paid", "hold", "void", "refund_hold", "refund_done"]
    assert operations(stage, deposit, "DERIV_TRANSFER") == [("REFUSED", 1)]
    told = await stage.told(who)
    assert told.counts == (1, 1, 0)
    assert told.payments[0]["reversed_by"]


@pytest.mark.parametrize("refusal", OURS.values(), ids=OURS)
async def test_a_refusal_of_our_own_account_waits_and_is_tried_again(stage: Stage, refusal: tuple[str, str]) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, deriv=_refused(*refusal))
    await stage.reaches(deposit, "COMPLETED")
    assert stage.path(deposit)[-4:] == ["DERIV_SENDING", "DERIV_HELD", "DERIV_SENDING", "COMPLETED"]
    assert stage.postings(deposit) == ["paid", "hold", "done"]
    assert operations(stage, deposit, "DERIV_TRANSFER") == [("CONFIRMED", 2)]
    assert (await stage.told(who)).counts == (1, 1, 1)


async def test_an_error_that_nobody_knows_proves_nothing(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, deriv=_refused("SomethingNew", "An error that is in no document."))
    # Neither given back nor sent again: the statement has to show first that nothing was executed.
    await stage.reaches(deposit, "DERIV_UNKNOWN")
    assert operations(stage, deposit, "DERIV_TRANSFER") == [("UNKNOWN", 1)]
    assert stage.postings(deposit) == ["paid", "hold"]


def _refused(code: str, message: str) -> dict[str, object]:
    """Once."""
    return {"fault": "refuse", "error_code": code, "error_message": message}
