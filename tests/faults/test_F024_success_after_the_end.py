"""F24: a success arrives after the deposit was closed as failed."""

from datetime import timedelta

from actors.base import AsyncioActorRef
from penpay.messages_rails import DARAJA_GATE
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, operation, paid_body, row_of, settle
from tests.faults.stage import Stage


async def test_paid_in_time_it_is_credited_at_its_rate(unlisted: Stage) -> None:
    stage, who = unlisted, unlisted.customer()
    # Queries claim a failure, the list of payments lags: the truth is told by a callback that takes its time.
    deposit = await stage.deposit(who, phone={"query": ["1032"] * 60, "callback": "lost"})
    await stage.reaches(deposit, "FAILED")
    push = await stage.push_of(who)
    await stage.control.post(f"/pushes/{push['checkout_id']}/callback", {})
    await stage.reaches(deposit, "COMPLETED")
    assert stage.path(deposit)[-4:] == ["FAILED", "PAID", "DERIV_SENDING", "COMPLETED"]
    assert (await stage.told(who)).counts == (1, 1, 1)


async def test_paid_too_late_it_is_given_back_from_suspense(admitted: House, saga: AsyncioActorRef) -> None:
    house = admitted
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now(), code=1032)))
    assert row_of(house).state == "FAILED"
    late = house.clock.now() + timedelta(minutes=11)
    house.clock.turn(48 * 3600)
    await settle(saga, evidence(house, "stk", paid_body(late)))
    assert row_of(house).state == "REFUND_SENDING"
    assert next(posting.key for unit in house.units.values() for posting in unit.postings) == "suspense"
    assert operation(house, "REVERSAL") in {getattr(told, "operation_id", "") for told in house.told_to(DARAJA_GATE)}
