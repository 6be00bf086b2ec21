"""F66: the payout was taken or not, and its answer never came."""

import pytest

from tests.faults.stage import Stage
from tests.faults.withdrawing import held, operations, slow, withdrawer


@pytest.mark.parametrize("fault", ["reset_after", *slow("html_after", "truncated")])
async def test_a_payout_that_was_taken_is_paid_once(stage: Stage, fault: str) -> None:
    who = await withdrawer(stage)
    # The result stays away, too: only the same id, sent again, can say that the first was taken.
    withdrawal = await who.withdraw(b2c={"fault": fault, "callback": "lost"})
    await stage.reaches(withdrawal, "COMPLETED")
    assert "B2C_UNKNOWN" in stage.path(withdrawal)
    told = await who.told()
    assert (told.counts, len(told.payouts)) == ((1, 1, 0), 1)
    assert len(operations(stage, withdrawal, "B2C")) == 1
    assert stage.postings(withdrawal) == ["debited", "witnessed", "payout_hold", "payout_done"]
    assert held(stage, withdrawal) == {}


@pytest.mark.parametrize("fault", ["reset", *slow("html", "error")])
async def test_a_payout_that_was_not_taken_is_sent_again_under_its_id(stage: Stage, fault: str) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(b2c={"fault": fault})
    await stage.reaches(withdrawal, "COMPLETED")
    told = await who.told()
    assert (told.counts, len(told.payouts)) == ((1, 1, 0), 1)
    ((state, attempts),) = operations(stage, withdrawal, "B2C")
    assert state == "CONFIRMED"
    assert attempts >= 2
