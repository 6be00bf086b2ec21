"""F68: the result comes before the answer to the payout's request."""

from tests.faults.stage import Stage
from tests.faults.withdrawing import believed_for, held, withdrawer


async def test_it_finds_its_payout_and_pays_once(stage: Stage) -> None:
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(b2c={"fault": "late", "fault_delay_s": 1.8, "delay_s": 0.0})
    await stage.reaches(withdrawal, "COMPLETED")
    assert "AWAITING_RESULT" not in stage.path(withdrawal)
    assert believed_for(stage, withdrawal) == ["result"]
    told = await who.told()
    assert (told.counts, len(told.payouts)) == ((1, 1, 0), 1)
    assert stage.postings(withdrawal) == ["debited", "witnessed", "payout_hold", "payout_done"]
    assert held(stage, withdrawal) == {}
