"""The alarm clock: each due row rings once, rings again when it has moved, and again when nothing came of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from actors.base import MailboxFull
from actors.wakeups import PATIENCE_S, WakeUpsActor
from penpay.domain.errors import Unavailable
from penpay.messages import WakeUp
from tests.actors.house import House


class Rows(House):
    """A house whose due rows are given."""

    waiting_rows: Sequence[tuple[str, datetime]] = ()
    away = False
    full = ""
    """The transaction whose saga takes no more."""

    def tell(self, address: str, message: object) -> None:
        if self.full and address.endswith(self.full):
            raise MailboxFull(address, 64)
        super().tell(address, message)

    async def due(self, shard: int, *, now: datetime, limit: int) -> Sequence[tuple[str, datetime]]:
        if self.away:
            raise Unavailable("database")
        return [row for row in self.waiting_rows if row[1] <= now][:limit]

    def rung(self, transaction_id: str) -> int:
        return sum(isinstance(message, WakeUp) for message in self.told_to(f"shards/3/sagas/{transaction_id}"))


@pytest.fixture
def house() -> Rows:
    return Rows()


async def test_a_row_rings_once_until_it_moves_or_patience_ends(house: Rows) -> None:
    ref = WakeUpsActor.start(shard=3, addresses=house, store=house, clock=house.clock, every_s=3600.0)
    house.waiting_rows = [("A", house.clock.now())]
    await ref.aask("look")
    await ref.aask("look")
    assert house.rung("A") == 1
    house.clock.turn(1)
    house.waiting_rows = [("A", house.clock.now())]
    await ref.aask("look")
    assert house.rung("A") == 2
    house.clock.turn(PATIENCE_S)
    await ref.aask("look")
    assert house.rung("A") == 3
    await ref.shutdown(1)


async def test_when_the_database_is_back_everything_due_rings_again(house: Rows) -> None:
    ref = WakeUpsActor.start(shard=3, addresses=house, store=house, clock=house.clock, every_s=3600.0)
    house.waiting_rows = [("A", house.clock.now() - timedelta(hours=3))]
    await ref.aask("look")
    house.away = True
    await ref.aask("look")
    house.away = False
    await ref.aask("look")
    assert house.rung("A") == 2
    await ref.shutdown(1)


async def test_one_that_takes_no_more_keeps_no_other_asleep(house: Rows) -> None:
    ref = WakeUpsActor.start(shard=3, addresses=house, store=house, clock=house.clock, every_s=3600.0)
    house.waiting_rows = [("A", house.clock.now()), ("B", house.clock.now())]
    house.full = "A"
    await ref.aask("look")
    assert (house.rung("A"), house.rung("B")) == (0, 1)
    house.full = ""
    await ref.aask("look")
    assert (house.rung("A"), house.rung("B")) == (1, 1)
    await ref.shutdown(1)
