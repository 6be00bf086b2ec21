"""F41: the payment's unit is lost before it is durable."""

import pytest

from actors.base import AsyncioActorRef
from penpay.domain.errors import OutcomeUnknown, Unavailable
from penpay.messages_rails import DERIV_TRANSFERS, Submit
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, paid_body, row_of, settle


async def test_nothing_is_sent_and_the_evidence_is_applied_again(admitted: House, saga: AsyncioActorRef) -> None:
    await settle(saga, accepted(admitted))
    arrived = evidence(admitted, "stk", paid_body(admitted.clock.now()))
    admitted.failing.append(OutcomeUnknown("crash"))
    with pytest.raises(Unavailable):
        await saga.aask(arrived)
    assert not [told for told in admitted.told_to(DERIV_TRANSFERS) if isinstance(told, Submit)]
    admitted.waiting.append(arrived.row)
    await settle(saga, arrived)
    assert row_of(admitted).state == "DERIV_SENDING"
    assert len([told for told in admitted.told_to(DERIV_TRANSFERS) if isinstance(told, Submit)]) == 1
