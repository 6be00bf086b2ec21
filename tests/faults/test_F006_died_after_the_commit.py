"""F6: the first attempt was recorded, and its answer was lost."""

import json
from typing import Any

import pytest

from actors.base import AsyncioActorRef
from penpay.domain.errors import OutcomeUnknown
from penpay.messages import CommitUnit
from tests.actors.house import House
from tests.actors.test_user import asked, user  # noqa: F401 - fixture


class Forgetful(House):
    """Records the first unit, and does not say so."""

    async def ask(self, address: str, message: object, *, timeout_s: float = 5.0) -> Any:
        first = not self.units
        answer = await super().ask(address, message, timeout_s=timeout_s)
        assert isinstance(message, CommitUnit)
        if first:
            raise OutcomeUnknown("crash")
        return answer


@pytest.fixture
def house() -> House:
    return Forgetful()


async def test_the_answer_is_found_in_the_rows(house: House, user: AsyncioActorRef) -> None:  # noqa: F811
    lost = await user.aask(asked())
    again = await user.aask(asked())
    (row,) = house.rows.values()
    assert {lost.status, again.status} == {202}
    assert json.loads(again.body)["id"] == row.id
