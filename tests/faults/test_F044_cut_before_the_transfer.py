"""F44: the socket is cut before Deriv has read or executed the transfer."""

import pytest

from tests.faults.stage import Stage


@pytest.mark.parametrize("fault", [pytest.param("before_read", marks=pytest.mark.slow), "not_executed"])
async def test_absence_is_proven_before_it_is_sent_again(stage: Stage, fault: str) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, deriv={"fault": fault})
    await stage.reaches(deposit, "COMPLETED")
    assert stage.path(deposit)[-4:] == ["DERIV_SENDING", "DERIV_UNKNOWN", "DERIV_SENDING", "COMPLETED"]
    assert (await stage.told(who)).counts == (1, 1, 1)
