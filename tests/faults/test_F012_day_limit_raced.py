"""F12: many requests race for what is left of the day's limit."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from actors.base import AsyncioActorRef
from actors.user import UserActor, UserParts
from penpay.domain.admission import Limits
from penpay.domain.money import usd
from penpay.domain.rules import Rules
from tests.actors.house import House, PlainSealer
from tests.actors.test_user import asked, code
from tests.faults.stage import Stage

DAY_MINOR = 200_000


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


async def test_of_twenty_wishes_at_once_one_gets_what_is_left_and_it_stays_taken(stage: Stage) -> None:
    who = stage.customer()
    wish = {"amount": {"amount": "1000.00", "currency": "USD"}}
    first = await stage.post(who, "/deposits", wish)
    assert first.status == 202, first.body
    await stage.reaches(first.body["id"], "COMPLETED")
    # What is left is enough for one more: the others are told of the limit, not of the prompt that is open.
    replies = await asyncio.gather(*(stage.post(who, "/deposits", wish) for _ in range(20)))
    assert Counter((reply.status, reply.code) for reply in replies) == {
        (202, ""): 1,
        (422, "daily_limit_exceeded"): 19,
    }
    (second,) = (reply.body["id"] for reply in replies if reply.status == 202)
    await stage.reaches(second, "COMPLETED")
    ((shard, taken_minor),) = stage.rows(
        "SELECT shard, CAST(SUM(receive_minor) AS SIGNED) FROM {ledger}.transactions WHERE user_id = %s GROUP BY shard",
        who.user_id,
    )
    assert taken_minor == DAY_MINOR
    # The sum is in the rows: whoever remembers nothing of this day counts the same.
    assert await stage.operator.restart(f"shards/{shard}/users") == 200
    small = await stage.post(who, "/deposits", {"amount": {"amount": "2.00", "currency": "USD"}})
    assert (small.status, small.code) == (422, "daily_limit_exceeded")
