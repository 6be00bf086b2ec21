"""F12: many requests race for what is left of the day's limit."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from actors.base import AsyncioActorRef
from actors.user import UserActor, UserParts
from penpay.domain.admission import Limits
from penpay.domain.decision import Rules
from penpay.domain.money import usd
from tests.actors.house import House, PlainSealer
from tests.actors.test_user import asked, code


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def hasty(house: House) -> AsyncIterator[AsyncioActorRef]:
    """A customer whose phone takes prompts one after the other, so that only the day's limit is left."""
    limits = Limits(stk_open_s=0.0, stk_min_interval_s=0.0)
    parts = UserParts(3, house, house, house.clock, house.ids, PlainSealer(), house.board, limits, Rules())
    ref = UserActor.start("U1", parts)
    yield ref  # type: ignore[misc]
    await ref.shutdown(1)


async def test_the_sum_stays_below_the_limit(house: House, hasty: AsyncioActorRef) -> None:
    wishes = [asked(usd(30_000), key=f"k{number}") for number in range(20)]
    answers = await asyncio.gather(*(hasty.aask(wish) for wish in wishes))
    assert sorted(answer.status for answer in answers) == [202] * 6 + [422] * 14
    assert {code(answer) for answer in answers if answer.status == 422} == {"daily_limit_exceeded"}
    assert sum(row.receive.minor for row in house.rows.values()) == 180_000
