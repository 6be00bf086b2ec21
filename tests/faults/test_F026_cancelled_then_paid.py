"""F26: a cancel and a success for the same prompt."""

from actors.base import AsyncioActorRef
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, paid_body, row_of, settle
from tests.faults.stage import WAITS, Stage


async def test_the_receipt_wins_over_an_earlier_cancel(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={**WAITS, "extra": ["1032@0.3"]})
    await stage.reaches(deposit, "FAILED")
    await stage.answers(who)
    await stage.reaches(deposit, "COMPLETED")
    assert (await stage.told(who)).counts == (1, 1, 1)


async def test_a_cancel_after_the_receipt_changes_nothing(admitted: House, saga: AsyncioActorRef) -> None:
    now = admitted.clock.now()
    await settle(saga, accepted(admitted), evidence(admitted, "stk", paid_body(now)))
    before = row_of(admitted)
    late = evidence(admitted, "stk", paid_body(now, code=1032))
    await settle(saga, late)
    assert row_of(admitted) == before
    assert late.row.id in admitted.consumed
