"""F58: Deriv mails no further code for a while."""

import pytest

from penpay.client import ApiProblem
from tests.faults.stage import Stage
from tests.faults.withdrawing import withdrawer


async def test_the_wait_is_passed_on_and_deriv_is_asked_once(stage: Stage) -> None:
    who = await withdrawer(stage)
    await who.code()
    refusal = {"op": "verify_email", "match": {"verify_email": who.email}, "error_code": "OtpRateLimitExceeded"}
    # A second step of the same kind is still there afterwards: nobody asked in a loop.
    steps = [{**refusal, "fault": "refuse", "error_message": message} for message in ("first", "second")]
    await stage.control.post("/deriv/script", {"steps": steps})
    with pytest.raises(ApiProblem) as told:
        await who.client.withdrawal_code(who.amount)
    assert (told.value.status, told.value.code) == (429, "rate_limited")
    assert told.value.body["retry_after_s"] >= 1
    waiting = (await stage.control.get("/script"))["deriv"]["steps"]
    assert [step["error_message"] for step in waiting if step["match"] == refusal["match"]] == ["second"]
    assert len((await stage.control.get("/deriv/codes", email=who.email))["codes"]) == 1
