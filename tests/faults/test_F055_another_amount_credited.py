"""F55: Deriv says that it was done, for another recipient than was asked."""

import pytest

from actors.base import AsyncioActorRef
from actors.deriv_calls import CallEnd
from actors.deriv_transfers import transfer_result
from penpay.domain.deriv_protocol import decode
from penpay.domain.money import usd
from penpay.domain.rail_end import Outcome
from penpay.messages import ProbeAnswered
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, operation, paid_body, rail, row_of, settle


def test_a_reply_about_somebody_else_proves_nothing() -> None:
    text = (
        '{"echo_req":{},"msg_type":"paymentagent_transfer","req_id":1,"paymentagent_transfer":1,"transaction_id":7,'
        '"client_to_full_name":"A B","client_to_loginid":"CR2"}'
    )
    end = CallEnd(outcome=Outcome.CONFIRMED, frame=decode(text))
    assert transfer_result(end, "CR2").outcome is Outcome.CONFIRMED
    assert transfer_result(end, "CR1").outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("minor", [965, 967, 1])
async def test_another_amount_in_the_statement_stops_the_deposit(
    admitted: House, saga: AsyncioActorRef, minor: int
) -> None:
    house = admitted
    await settle(saga, accepted(house), evidence(house, "stk", paid_body(house.clock.now())))
    await settle(saga, rail(house, "DERIV_TRANSFER", Outcome.UNKNOWN, code="dropped"))
    found = ProbeAnswered(
        probe="transfer",
        operation_id=operation(house, "DERIV_TRANSFER"),
        outcome="CONFIRMED",
        reference="991",
        amount=usd(minor),
    )
    await settle(saga, found)
    assert (row_of(house).state, house.reviews) == ("IN_REVIEW", ["contradicting_transfer"])
    assert "done" not in [posting.key for unit in house.units.values() for posting in unit.postings]
