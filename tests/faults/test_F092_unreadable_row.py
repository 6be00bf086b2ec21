"""F92: a transaction whose row the code cannot read: a person sees it all the same, and the row stays as it is."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from actors.parking import park
from actors.saga import SagaActor, SagaParts
from actors.suspects import Suspects
from penpay.adapters.inbox_store import MySqlInboxStore
from penpay.adapters.review_store import MySqlReviews
from penpay.adapters.saga_store import MySqlSagaStore
from penpay.adapters.story_store import MySqlStories
from penpay.adapters.subject_store import MySqlSubjects
from penpay.domain.decision import Occasion
from penpay.domain.errors import Unavailable
from penpay.domain.review import Approval
from penpay.domain.review_view import actions_of, previews
from penpay.domain.rules import Rules
from penpay.domain.timeline import Deadlines
from penpay.explain import show
from penpay.messages import Refusal, ResolveReview, WakeUp
from tests.contracts.store.units import begun
from tests.faults.hosting import hosted
from tests.ledger.house import SHARD, CountedIds, Ledger, SystemClock, fresh_id, opened, sealer

DAMAGE: Mapping[str, tuple[str, str]] = {
    "a state of a later version": ("state", "TELEPORTED"),
    "data that is no JSON": ("data", "{"),
    "a time that is none": ("data", '{"paid_at":"yesterday"}'),
    "numbers for texts": ("data", "7"),
}


@dataclass
class Post:
    """`Addresses` with nobody but the ledger."""

    ledger: Ledger
    away: list[Exception] = field(default_factory=list)

    async def ask(self, address: str, message: object, *, timeout_s: float = 5.0) -> object:
        assert address == f"shards/{SHARD}/ledger"
        if self.away:
            raise self.away.pop()
        return await self.ledger.ref.aask(message, timeout_s=timeout_s)

    def tell(self, address: str, message: object) -> None:
        """Nobody listens."""


class Later(SystemClock):
    """Days from now."""

    def __init__(self, days: int) -> None:
        super().__init__()
        self._ahead = timedelta(days=days)

    def now(self) -> datetime:
        return super().now() + self._ahead


@pytest.fixture
async def ledger(database: Any) -> AsyncIterator[Ledger]:
    async with opened(database.url, prefix=database.prefix) as one:
        yield one


@pytest.fixture
def post(ledger: Ledger) -> Post:
    return Post(ledger)


@pytest.fixture
def parts(ledger: Ledger, post: Post) -> SagaParts:
    return SagaParts(
        shard=SHARD,
        addresses=post,
        store=MySqlSagaStore(ledger.database, sealer()),
        clock=SystemClock(),
        ids=CountedIds(),
        rules=Rules(),
        sealer=sealer(),
        suspects=Suspects(MySqlInboxStore(ledger.database, sealer())),
    )


async def damaged(ledger: Ledger, database: Any, damage: str) -> str:
    """A transaction whose row somebody or something spoiled."""
    first = begun()
    assert first.transaction is not None
    await ledger.commit(first)
    column, value = DAMAGE[damage]
    transaction_id = first.transaction.row.id
    database.rows(f"UPDATE {{ledger}}.transactions SET {column} = %s WHERE id = %s", (value, transaction_id))
    return transaction_id


def row_of(database: Any, transaction_id: str) -> Any:
    (row,) = database.rows("SELECT * FROM {ledger}.transactions WHERE id = %s", (transaction_id,))
    return row


def questions(database: Any, transaction_id: str) -> list[tuple[Any, ...]]:
    return database.rows(  # type: ignore[no-any-return]
        "SELECT kind, owner_role, closed_at FROM {ledger}.review_items WHERE transaction_id = %s", (transaction_id,)
    )


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_row_that_nobody_can_read_stands_in_front_of_a_person_once_and_unchanged(
    ledger: Ledger, database: Any, parts: SagaParts, damage: str
) -> None:
    transaction_id = await damaged(ledger, database, damage)
    before = row_of(database, transaction_id)
    for _ in range(2):
        await park(transaction_id, ValueError("unreadable"), parts)
    assert questions(database, transaction_id) == [("row_unreadable", "OPS", None)]
    assert row_of(database, transaction_id) == before, "nobody can say what it means, so nobody changes it"


async def test_one_open_question_is_enough_whatever_the_day_and_one_that_was_closed_is_put_again(
    ledger: Ledger, database: Any, parts: SagaParts
) -> None:
    transaction_id = await damaged(ledger, database, "data that is no JSON")

    async def crashes_days_later(days: int) -> list[tuple[Any, ...]]:
        await park(transaction_id, ValueError("unreadable"), replace(parts, clock=Later(days)))
        return [question for question in questions(database, transaction_id) if question[2] is None]

    for days in (0, 1, 2):
        assert len(await crashes_days_later(days)) == 1, "people know of it"
    database.rows("UPDATE {ledger}.review_items SET closed_at = NOW(6) WHERE transaction_id = %s", (transaction_id,))
    assert len(await crashes_days_later(3)) == 1, "they closed it, and the row cannot be read all the same"
    assert len(questions(database, transaction_id)) == 2


async def test_a_ledger_that_is_away_is_asked_again(
    ledger: Ledger, database: Any, parts: SagaParts, post: Post
) -> None:
    transaction_id = await damaged(ledger, database, "data that is no JSON")
    post.away.append(Unavailable("ledger"))
    with pytest.raises(Unavailable):
        await park(transaction_id, ValueError("unreadable"), parts)
    assert questions(database, transaction_id) == []
    await park(transaction_id, ValueError("unreadable"), parts)
    assert questions(database, transaction_id) == [("row_unreadable", "OPS", None)]


@pytest.mark.parametrize("damage", DAMAGE)
async def test_its_host_gives_up_at_once_and_puts_the_question_once_whichever_process_meets_it(
    ledger: Ledger, database: Any, parts: SagaParts, damage: str
) -> None:
    transaction_id = await damaged(ledger, database, damage)
    handled: list[object] = []

    class Noted(SagaActor):
        async def on_receive(self, message: Any) -> Any:
            handled.append(message)
            return await super().on_receive(message)

    for number in (1, 2):
        async with hosted(parts, Noted) as tree, asyncio.timeout(60):
            (host,) = tree.describe()["children"]
            while not any(child["state"] == "parked" for child in host["children"]):
                tree.registry.tell(f"sagas/{transaction_id}", WakeUp())
                await asyncio.sleep(0.01)
                (host,) = tree.describe()["children"]
            while not questions(database, transaction_id):
                await asyncio.sleep(0.01)
        assert len(handled) == number, "nothing is gained by another try"
    assert questions(database, transaction_id) == [("row_unreadable", "OPS", None)]


async def test_people_are_told_why_there_is_no_exit_from_a_row_that_nobody_can_read(
    ledger: Ledger, database: Any, parts: SagaParts
) -> None:
    transaction_id = await damaged(ledger, database, "a state of a later version")
    await park(transaction_id, ValueError("unreadable"), parts)
    (item,) = await MySqlReviews(ledger.database).about(transaction_id)
    subject = await MySqlSubjects(ledger.database).subject(item.id)
    assert subject is not None
    occasion = Occasion(SystemClock().now(), (fresh_id(), fresh_id(), fresh_id()))
    exits = previews(subject, rules=Rules(), occasion=occasion)
    assert [one.action for one in exits if not one.refusal] == ["close"], "once it is repaired, nothing else is asked"
    held = replace(subject, item=replace(item, kind="parked"))
    exits = previews(held, rules=Rules(), occasion=occasion)
    assert {one.refusal for one in exits} >= {"its row cannot be read"}
    assert all(one.refusal for one in exits)
    assert (actions_of(subject), actions_of(held)) == (("close",), ())


@pytest.mark.parametrize("damage", DAMAGE)
async def test_its_story_tells_what_can_be_told_and_that_the_row_cannot_be_read(
    ledger: Ledger, database: Any, damage: str
) -> None:
    transaction_id = await damaged(ledger, database, damage)
    sound = begun()
    await ledger.commit(sound)
    assert sound.transaction is not None
    stories = MySqlStories(ledger.database, sealer())
    told, other = await stories.story(transaction_id), await stories.story(sound.transaction.row.id)
    assert told is not None
    assert other is not None
    page, beside = told.rendered(Deadlines()), other.rendered(Deadlines())
    assert page["outlook"].startswith("Its row cannot be read")
    assert page["transaction"]["failure"]["code"] == "row_unreadable"
    for part in ("timeline", "operations", "postings"):
        assert len(page[part]) == len(beside[part]), "the other tables are sound"
    assert page["timeline"]
    assert page["operations"]
    shown = StringIO()
    show(Console(file=shown, width=200), told, Deadlines())
    assert "Its row cannot be read" in shown.getvalue()
    assert page["operations"][0]["id"] in shown.getvalue()


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("parked", [False, True], ids=["at rest", "parked"])
async def test_a_decision_about_another_question_of_it_is_refused_and_breaks_nothing(
    ledger: Ledger, database: Any, parts: SagaParts, damage: str, *, parked: bool
) -> None:
    transaction_id = await damaged(ledger, database, damage)
    address, approval = f"sagas/{transaction_id}", Approval("Achieng Otieno", "Brian Kamau", "ticket 4711")
    async with hosted(parts) as tree, asyncio.timeout(60):
        while parked and not questions(database, transaction_id):
            tree.registry.tell(address, WakeUp())
            await asyncio.sleep(0.01)
        for _ in range(2):
            asked = ResolveReview(item_id=fresh_id(), action="refund", approval=approval)
            assert await tree.registry.ask(address, asked) == Refusal("review_not_resolvable", "its row cannot be read")
        (host,) = tree.describe()["children"]
        assert [child["state"] for child in host["children"]] == ["running"]
    assert len(questions(database, transaction_id)) == parked
