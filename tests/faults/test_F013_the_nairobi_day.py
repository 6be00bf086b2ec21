"""F13: requests around midnight in Nairobi."""

from datetime import UTC, datetime, timedelta

import pytest

from actors.base import AsyncioActorRef
from penpay.domain.admission import eat_day
from penpay.domain.board import FxSnapshot
from penpay.domain.money import usd
from tests.actors.house import House
from tests.actors.test_user import _ended, asked, code, house, user  # noqa: F401 - fixtures

LAST = datetime(2026, 3, 1, 20, 59, 59, 999_999, UTC)


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (LAST, "2026-03-01"),
        (LAST + timedelta(microseconds=1), "2026-03-02"),
        (datetime(2026, 12, 31, 21, tzinfo=UTC), "2027-01-01"),
    ],
)
def test_a_day_ends_at_nine_in_the_evening_of_utc(at: datetime, day: str) -> None:
    assert eat_day(at) == day


async def test_the_next_day_has_a_limit_of_its_own(house: House, user: AsyncioActorRef) -> None:  # noqa: F811
    house.clock.at = LAST - timedelta(seconds=200)
    for number in range(3):
        house.board.fx = FxSnapshot(129_500_000, house.clock.now())
        answer = await user.aask(asked(usd(100_000), key=f"k{number}"))
        assert code(answer) == ("daily_limit_exceeded" if number == 2 else "")
        house.rows = {key: _ended(row) for key, row in house.rows.items()}
        house.clock.turn(70)
    house.clock.at = LAST + timedelta(microseconds=1)
    house.board.fx = FxSnapshot(129_500_000, house.clock.now())
    answer = await user.aask(asked(usd(100_000), key="k9"))
    assert answer.status == 202
    assert [row.eat_day for row in house.rows.values()] == ["2026-03-01", "2026-03-01", "2026-03-02"]
