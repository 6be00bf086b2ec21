"""F46: a refusal that comes after an unknown outcome proves nothing about the first attempt."""

from actors.base import AsyncioActorRef
from penpay.domain.rail_end import Outcome
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, paid_body, rail, row_of, settle


async def test_the_deposit_stays_unknown(admitted: House, saga: AsyncioActorRef) -> None:
    house = admitted
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now())))
    await settle(saga, rail(house, "DERIV_TRANSFER", Outcome.UNKNOWN, attempt=1, code="dropped"))
    refused = rail(house, "DERIV_TRANSFER", Outcome.REFUSED, attempt=2, code="PaymentAgentTransferError")
    await settle(saga, refused)
    assert row_of(house).state == "DERIV_UNKNOWN"
    assert [posting.key for unit in house.units.values() for posting in unit.postings] == ["paid", "hold"]
