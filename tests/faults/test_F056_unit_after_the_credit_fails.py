"""F56: the credit is confirmed, and the unit that books it cannot be recorded."""

import pytest

from actors.base import AsyncioActorRef
from penpay.domain.errors import OutcomeUnknown, Unavailable
from penpay.domain.rail_end import Outcome
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, paid_body, rail, row_of, settle


@pytest.mark.parametrize("failure", [Unavailable("database"), OutcomeUnknown("crash")])
async def test_the_evidence_waits_and_is_booked_once(
    admitted: House, saga: AsyncioActorRef, failure: Exception
) -> None:
    house = admitted
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now())))
    end = rail(house, "DERIV_TRANSFER", Outcome.CONFIRMED, provider_ref="991")
    house.failing.append(failure)
    with pytest.raises(Unavailable):
        await saga.aask(end)
    assert row_of(house).state == "DERIV_SENDING"
    house.waiting.append(end.row)
    await settle(saga, end, end)
    assert row_of(house).state == "COMPLETED"
    assert [posting.key for unit in house.units.values() for posting in unit.postings] == ["paid", "hold", "done"]
