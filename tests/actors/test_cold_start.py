"""A cold start: what users and sagas have to read they read in their starts, which are few at once and measured."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from actors.base import AskTimeout, NobodyObserves
from actors.desk import UserParts
from actors.saga import SagaActor, SagaParts
from actors.suspects import Suspects
from actors.user import UserActor
from penpay.domain.admission import Limits
from penpay.domain.errors import Unavailable
from penpay.domain.fx import Direction
from penpay.domain.money import kes
from penpay.domain.rules import Rules
from penpay.messages import AcceptDeposit, CreateQuote, ForgetUser, HttpAnswer, SagaBegan, WakeUp
from supervisors.root import SupervisionTree
from supervisors.specs import EntityHostSpec, SupervisorSpec
from tests.actors.house import House, PlainSealer, customer

AT_ONCE = 3


@dataclass
class SlowHouse(House):
    """Reads take a moment, and are counted."""

    reads: list[str] = field(default_factory=list)
    reading: int = 0
    most: int = 0
    away: bool = False

    async def load(self, key: str, *, eat_day: str = "") -> Any:
        if self.away:
            raise Unavailable("database")
        self.reads.append(key)
        self.reading += 1
        self.most = max(self.most, self.reading)
        await asyncio.sleep(0.001)
        self.reading -= 1
        return await super().load(key, eat_day=eat_day)


class Notes(NobodyObserves):
    """Whose starts were measured."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def activated(self, kind: str, seconds: float) -> None:
        self.started.append(kind)


@pytest.fixture
def house() -> SlowHouse:
    return SlowHouse()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
async def tree(house: SlowHouse, notes: Notes) -> AsyncIterator[SupervisionTree]:
    common: dict[str, Any] = {
        "shard": 3,
        "addresses": house,
        "store": house,
        "clock": house.clock,
        "ids": house.ids,
        "rules": Rules(),
        "sealer": PlainSealer(),
    }
    sagas = SagaParts(**common, suspects=Suspects(house))
    users = UserParts(**common, board=house.board, limits=Limits())
    hosts = [
        EntityHostSpec(name="users", factory=lambda key: (UserActor, (key, users)), recovery_limit=AT_ONCE),
        EntityHostSpec(name="sagas", factory=lambda key: (SagaActor, (key, sagas)), recovery_limit=AT_ONCE),
    ]
    spec = SupervisorSpec(name="penpay", strategy="one_for_one", children=hosts)
    tree = SupervisionTree(spec, randomness=random.Random(1), observer=notes)
    await tree.start()
    yield tree
    await tree.stop()


def asked(user_id: str) -> AcceptDeposit:
    return AcceptDeposit(
        customer=customer(user_id),
        route="r",
        key_hash=f"k-{user_id}",
        fingerprint="f",
        quote_id="",
        amount=kes(130_000),
        phone="",
        request_id="",
    )


async def begun(house: SlowHouse, tree: SupervisionTree, count: int) -> list[str]:
    """Deposits that just began, one for each user; nobody has read anything since."""
    answers = await asyncio.gather(*(tree.registry.ask(f"users/U{n}", asked(f"U{n}")) for n in range(count)))
    assert [answer.status for answer in answers] == [202] * count
    house.reads.clear()
    house.most = 0
    return list(house.rows)


async def test_few_sagas_read_at_once_each_once_the_most_urgent_first(
    house: SlowHouse, tree: SupervisionTree, notes: Notes
) -> None:
    ids = await begun(house, tree, 20)
    notes.started.clear()
    urgent_first = ids[::-1]
    await asyncio.gather(*(tree.registry.ask(f"sagas/{key}", WakeUp()) for key in urgent_first))
    assert house.reads == urgent_first
    assert house.most == AT_ONCE
    assert notes.started == ["saga"] * 20


async def test_few_users_read_at_once_each_once(house: SlowHouse, tree: SupervisionTree, notes: Notes) -> None:
    answers: list[HttpAnswer] = await asyncio.gather(
        *(tree.registry.ask(f"users/U{n}", asked(f"U{n}")) for n in range(20))
    )
    assert [answer.status for answer in answers] == [202] * 20
    assert house.reads == [f"U{n}" for n in range(20)]
    assert house.most == AT_ONCE
    assert notes.started == ["user"] * 20


async def test_a_saga_that_just_began_brings_its_row_along(house: SlowHouse, tree: SupervisionTree) -> None:
    (key,) = await begun(house, tree, 1)
    await tree.registry.ask(f"sagas/{key}", SagaBegan(house.rows[key]))
    assert house.reads == []


async def test_a_user_reads_nothing_for_what_needs_no_rows(house: SlowHouse, tree: SupervisionTree) -> None:
    await tree.registry.ask("users/U1", ForgetUser())
    await tree.registry.ask(
        "users/U1", CreateQuote(customer=customer("U1"), direction=Direction.DEPOSIT, amount=kes(130_000))
    )
    assert house.reads == []


async def test_what_a_start_has_read_serves_the_first_message_only(house: SlowHouse, tree: SupervisionTree) -> None:
    """It was refused before it looked at the rows; meanwhile they may have changed."""
    refused = await tree.registry.ask("users/U1", asked_with_unknown_quote("U1"))
    assert refused.status != 202
    answer = await tree.registry.ask("users/U1", asked("U1"))
    assert answer.status == 202
    assert house.reads == ["U1", "U1"]


async def test_what_was_read_for_somebody_who_gave_up_serves_nobody_else(
    house: SlowHouse, tree: SupervisionTree
) -> None:
    with pytest.raises(AskTimeout):
        await tree.registry.ask("users/U1", asked("U1"), timeout_s=0.0001)
    await tree.registry.ask("users/U1", asked("U1"))
    assert house.reads == ["U1", "U1"]


async def test_with_the_database_away_an_asker_learns_it_at_once(house: SlowHouse, tree: SupervisionTree) -> None:
    house.away = True
    with pytest.raises(Unavailable, match="database"):
        await tree.registry.ask("users/U1", asked("U1"), timeout_s=60)
    house.away = False
    assert (await tree.registry.ask("users/U1", asked("U1"))).status == 202


def asked_with_unknown_quote(user_id: str) -> AcceptDeposit:
    return AcceptDeposit(
        customer=customer(user_id),
        route="r",
        key_hash="other",
        fingerprint="f",
        quote_id="nobody's",
        amount=None,
        phone="",
        request_id="",
    )
