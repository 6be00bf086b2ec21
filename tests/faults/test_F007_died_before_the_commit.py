"""F7: the first attempt died before anything was recorded."""

from actors.base import AsyncioActorRef
from penpay.domain.errors import Unavailable
from tests.actors.house import House
from tests.actors.test_user import asked, house, user  # noqa: F401 - fixtures


async def test_nothing_is_orphaned_and_the_key_stays_good(house: House, user: AsyncioActorRef) -> None:  # noqa: F811
    house.failing.append(Unavailable("database"))
    lost = await user.aask(asked())
    assert lost.status == 503
    assert (house.rows, house.told) == ({}, [])
    assert (await user.aask(asked())).status == 202
    assert len(house.rows) == 1
