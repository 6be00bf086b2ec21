"""F5: the client lost our 202 and asks again after days."""

import json

import pytest

from actors.base import AsyncioActorRef
from tests.actors.house import House
from tests.actors.test_user import asked, house, user  # noqa: F401 - fixtures

DAY_S = 86_400


@pytest.mark.parametrize("days", [1.1, 8, 89])
async def test_the_first_answer_is_kept(house: House, user: AsyncioActorRef, days: float) -> None:  # noqa: F811
    first = await user.aask(asked())
    house.clock.turn(days * DAY_S)
    again = await user.aask(asked())
    assert (again.status, again.body, again.replayed) == (202, first.body, True)
    assert json.loads(again.body)["id"] in house.rows
    assert len(house.rows) == 1
