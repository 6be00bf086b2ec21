"""F15: the intent to push is recorded, and nothing was sent."""

from actors.base import AsyncioActorRef
from penpay.messages import ProbeAnswered, WakeUp
from penpay.messages_rails import DARAJA_GATE, Submit
from tests.actors.house import House
from tests.actors.test_saga import row_of, settle


async def test_a_fresh_intent_is_handed_over_again(admitted: House, saga: AsyncioActorRef) -> None:
    admitted.clock.turn(30)
    await settle(saga, WakeUp(), ProbeAnswered(probe="recipient", operation_id="", outcome="OK"))
    (submit,) = (message for message in admitted.told_to(DARAJA_GATE) if isinstance(message, Submit))
    (made,) = (made for unit in admitted.units.values() for made in unit.new_operations)
    assert submit.operation_id == made.id
    assert row_of(admitted).state == "STK_SENDING"


async def test_an_old_intent_ends_without_a_prompt(admitted: House, saga: AsyncioActorRef) -> None:
    admitted.clock.turn(121)
    await settle(saga, WakeUp())
    assert (row_of(admitted).state, row_of(admitted).failure_code) == ("FAILED", "stk_not_sent")
    assert not admitted.told_to(DARAJA_GATE)
