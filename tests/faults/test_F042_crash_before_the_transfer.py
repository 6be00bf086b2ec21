"""F42: the intent to transfer is recorded, and nothing was sent."""

from actors.base import AsyncioActorRef
from penpay.messages import WakeUp
from penpay.messages_rails import DERIV_TRANSFERS, Submit
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, operation, paid_body, row_of, settle


async def test_the_same_operation_is_handed_over_again(admitted: House, saga: AsyncioActorRef) -> None:
    await settle(saga, accepted(admitted), evidence(admitted, "stk", paid_body(admitted.clock.now())))
    admitted.clock.turn(3600)
    await settle(saga, WakeUp())
    submits = [told.operation_id for told in admitted.told_to(DERIV_TRANSFERS) if isinstance(told, Submit)]
    assert submits == [operation(admitted, "DERIV_TRANSFER")] * 2
    assert row_of(admitted).state == "DERIV_SENDING"
    made = [made.kind for unit in admitted.units.values() for made in unit.new_operations]
    assert made.count("DERIV_TRANSFER") == 1
