"""F49: replies that come late, twice, or make no sense."""

import pytest

from tests.faults.stage import Stage

FAULTS = (
    {"fault": "late_reply", "fault_delay_s": 3.0},
    pytest.param({"fault": "late_execute", "fault_delay_s": 1.0}, marks=pytest.mark.slow),
    pytest.param({"fault": "slow", "fault_delay_s": 3.0}, marks=pytest.mark.slow),
    {"fault": "no_reply"},
    {"fault": "duplicate_reply"},
    pytest.param({"fault": "garbage_reply"}, marks=pytest.mark.slow),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["fault"])
async def test_it_ends_completed_and_credited_once(stage: Stage, fault: dict[str, object]) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, deriv=fault)
    await stage.reaches(deposit, "COMPLETED")
    assert (await stage.told(who)).counts == (1, 1, 1)
    assert stage.postings(deposit)[-1] == "done"
