"""F63: the agent receives another amount than was debited."""

import pytest

from actors.base import AsyncioActorRef
from penpay.domain.money import usd
from penpay.domain.rail_end import Outcome
from penpay.messages import ProbeAnswered
from penpay.messages_rails import DARAJA_GATE, Submit
from tests.actors.house import House
from tests.actors.test_withdrawals import (
    house,  # noqa: F401 - fixtures
    operation,
    rail,
    row_of,
    saga,  # noqa: F401
    settle,
    user,  # noqa: F401
)


@pytest.mark.parametrize("minor", [1999, 2001, 1900])
async def test_nothing_is_paid_and_a_person_looks(
    house: House,  # noqa: F811
    saga: AsyncioActorRef,  # noqa: F811
    minor: int,
) -> None:
    of = operation(house, "DERIV_WITHDRAW")
    await settle(saga, rail(house, "DERIV_WITHDRAW", Outcome.CONFIRMED, provider_ref="c1"))
    seen = ProbeAnswered(probe="witness", operation_id=of, outcome="CONFIRMED", reference="a1", amount=usd(minor))
    await settle(saga, seen)
    assert (row_of(house).state, house.reviews) == ("IN_REVIEW", ["witness_mismatch"])
    debited, witnessed = [posting for unit in house.units.values() for posting in unit.postings]
    assert (debited.key, witnessed.key) == ("debited", "witnessed")
    # What arrived is booked as it arrived; what is too much is set aside, what is missing is our loss.
    legs = {entry.account.code.value: entry.amount_minor for entry in witnessed.entries}
    asked = row_of(house).send.minor
    rest = {"suspense": asked - minor} if minor > asked else {"write_off": asked - minor}
    assert legs == {"deriv_agent": minor, "deriv_in": -asked, **rest}
    assert not [told for told in house.told_to(DARAJA_GATE) if isinstance(told, Submit)]
