"""F103: the customer pays after the time for which their rate was locked."""

from datetime import timedelta

import pytest

from actors.base import AsyncioActorRef
from tests.actors.house import House
from tests.actors.test_saga import accepted, evidence, paid_body, row_of, settle

IN_TIME = timedelta(minutes=10)


@pytest.mark.parametrize(
    ("late_by", "state", "keys"),
    [
        (timedelta(0), "DERIV_SENDING", ["paid", "hold"]),
        (timedelta(seconds=1), "REFUND_SENDING", ["suspense", "refund_hold"]),
    ],
    ids=["at the last moment", "a second later"],
)
async def test_it_is_credited_at_the_locked_rate_or_given_back_whole(
    admitted: House, saga: AsyncioActorRef, late_by: timedelta, state: str, keys: list[str]
) -> None:
    house = admitted
    await settle(saga, accepted(house))
    asked = row_of(house)
    pushed_at = house.clock.now()
    house.clock.turn((IN_TIME + late_by).total_seconds() + 60)
    await settle(saga, evidence(house, "stk", paid_body(pushed_at + IN_TIME + late_by)))
    row = row_of(house)
    assert row.state == state
    assert (row.receive, row.mid_rate_e6) == (asked.receive, asked.mid_rate_e6)
    postings = [posting for unit in house.units.values() for posting in unit.postings]
    assert [posting.key for posting in postings] == keys
    # Whatever was decided, it is about every shilling that came.
    assert {abs(leg.amount_minor) for posting in postings for leg in posting.entries} == {asked.send.minor}
