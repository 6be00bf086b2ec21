"""The agent's statement against our books, by the node that has the agent's session."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from actors.deriv_statement import AgentStatement
from penpay.app.reconciliation import AgentReconciliation
from penpay.domain.errors import Unavailable
from penpay.domain.money import Money, usd
from penpay.domain.movements import Contradiction, decode_movement
from penpay.domain.rail_end import Outcome
from penpay.domain.reconciliation import Booked
from penpay.domain.strays import Stray
from penpay.provider_lists import Lists
from tests.rails.fakes import until
from tests.rails.test_deriv import Rail, agent  # noqa: F401 - the agent is a fixture

SETTLE_S = 600.0
OLD_S = SETTLE_S + 60
"""A movement as old is on its way into no book any more."""


@dataclass
class OurBooks:
    """What the ledger says: ids of Deriv with what is booked for them, and what operations still wait for."""

    amounts: dict[str, Money] = field(default_factory=dict)
    waited_for: frozenset[Money] = frozenset()
    away: bool = False
    answers: list[str] = field(default_factory=list)
    """Keys of what people have answered, once for each time."""

    async def booked(self, kinds, *, account, currency, since, refs) -> dict[str, Booked]:
        if self.away:
            raise Unavailable("database")
        known = self.amounts.items()
        return {ref: Booked(ref=ref, amount=amount, at=since, transaction_id="T1") for ref, amount in known}

    async def awaited(self) -> frozenset[Money]:
        return self.waited_for

    async def answered(self) -> Counter[str]:
        return Counter(self.answers)


@dataclass
class Opened:
    """The books have spoken of the agent ever since."""

    at: datetime

    async def booked_since(self, account: str) -> datetime:
        return self.at


def job(rail: Rail, books: OurBooks, compared: Callable[[datetime], None] = lambda _: None) -> AgentReconciliation:
    """As after a start: it remembers nothing."""
    opened = Opened(rail.clock.now() - timedelta(days=1))
    lists = Lists(payments=None, agent=None, books=books, reads=opened, clock=rail.clock, settle_s=SETTLE_S)
    return AgentReconciliation(lists, rail.watching(), compared)


async def transferred(rail: Rail, **step: str) -> str:
    """6.94 dollars that Deriv says it has moved; its id of that."""
    if step:
        await rail.box.deriv_step("paymentagent_transfer", **step)
    rail.submit(rail.intent(694))
    end = await rail.post.next_end()
    assert (end.outcome, end.code) == (Outcome.CONFIRMED, "")
    return str(end.provider_ref)


@pytest.fixture
def rail(sandbox_rails, dialer, agent) -> Rail:  # noqa: F811
    return Rail(sandbox_rails, dialer, agent)


async def test_another_amount_than_is_booked_becomes_evidence_once_over_runs_and_restarts(rail: Rail):
    async with rail.running():
        ref = await transferred(rail, fault="other_amount", amount="1.00")
        books = OurBooks({ref: usd(-694)})
        first = job(rail, books)
        assert [await first.compare(), await first.compare()] == ["1 compared, 1 differ"] * 2
        await job(rail, books).compare()
    (row,) = rail.filed.rows
    assert (row.kind, row.shard, row.operation_id) == ("movement", 0, "")
    found = decode_movement(row.body)
    assert isinstance(found, Contradiction)
    assert (found.ref, found.listed, found.booked, found.transaction_id) == (ref, usd(-100), usd(-694), "T1")


async def test_what_people_answered_becomes_evidence_when_it_is_there_once_more(rail: Rail):
    async with rail.running():
        ref = await transferred(rail, fault="other_amount", amount="1.00")
        books = OurBooks({ref: usd(-694)})
        for number in range(3):
            await job(rail, books).compare()
            await job(rail, books).compare()
            assert len(rail.filed.rows) == number + 1
            books.answers.append(f"differs:{ref}:-694:-100")
    found = [decode_movement(row.body) for row in rail.filed.rows]
    assert [one.answered for one in found if isinstance(one, Contradiction)] == [0, 1, 2]
    assert len({one.key for one in found}) == 3


async def test_what_agrees_with_the_books_is_no_evidence(rail: Rail):
    async with rail.running():
        books = OurBooks({await transferred(rail): usd(-694)})
        rail.clock.turn(OLD_S)
        assert await job(rail, books).compare() == "1 compared, 0 differ"
    assert rail.filed.rows == []


async def test_dollars_that_left_without_a_reason_become_evidence_when_they_are_old_enough(rail: Rail):
    async with rail.running():
        ref, books = await transferred(rail), OurBooks()
        looking = job(rail, books)
        await looking.compare()
        assert rail.filed.rows == [], "they may be on their way into the books"
        rail.clock.turn(OLD_S)
        books.waited_for = frozenset({usd(-694)})
        await looking.compare()
        assert rail.filed.rows == [], "an operation of ours waits for them"
        books.waited_for = frozenset()
        await looking.compare()
        await looking.compare()
    (row,) = rail.filed.rows
    found = decode_movement(row.body)
    assert isinstance(found, Stray)
    assert (found.kind, found.ref, found.amount) == ("debit", ref, usd(694))


async def test_credits_of_nobody_are_left_to_their_own_look(rail: Rail):
    async with rail.running():
        await rail.box.control("/funds", {"account": "agent", "delta_minor": 4_321})
        rail.clock.turn(OLD_S)
        assert await job(rail, OurBooks()).compare() == "1 compared, 1 differ"
    assert [row.kind for row in rail.filed.rows if row.kind == "movement"] == []


async def test_what_is_older_than_the_window_is_left_to_people(rail: Rail):
    async with rail.running():
        await transferred(rail)
        rail.clock.turn(13 * SETTLE_S)
        assert await job(rail, OurBooks()).compare() == "0 compared, 0 differ"
    assert rail.filed.rows == []


async def test_only_the_node_that_has_the_session_looks(rail: Rail):
    async with rail.running():
        looking = job(rail, OurBooks())
        rail.witness.ready = False
        assert await looking.compare() == "the session is down"
        await rail.lease.release()
        assert await looking.compare() == "another node has the rail"


async def test_a_look_that_meets_another_waits_for_its_turn(rail: Rail):
    rail.statement = AgentStatement(
        witness=rail.witness, addresses=rail.post, clock=rail.clock, call_s=5.0, reads_per_min=600
    )
    async with rail.running():
        await transferred(rail)
        while not rail.statement.wait_s():
            await rail.statement.read(rail.clock.now())
        assert await job(rail, OurBooks()).compare() == "1 compared, 0 differ"


async def test_it_is_told_when_a_look_went_through_and_only_then(rail: Rail):
    went: list[datetime] = []
    async with rail.running():
        await transferred(rail)
        await rail.box.deriv_step("statement", fault="refuse", error_code="RateLimit")
        looking = job(rail, OurBooks(), went.append)
        assert (await looking.compare()).startswith("not read: ")
        with pytest.raises(Unavailable):
            await job(rail, OurBooks(away=True), went.append).compare()
        assert went == []
        at = rail.clock.now()
        await looking.compare()
    assert [abs(one - at) < timedelta(minutes=1) for one in went] == [True]


async def test_a_statement_that_cannot_be_read_and_books_that_are_away_postpone_a_look(rail: Rail):
    async with rail.running():
        await transferred(rail)
        await rail.box.deriv_step("statement", fault="refuse", error_code="RateLimit")
        assert (await job(rail, OurBooks()).compare()).startswith("not read: ")
        await until(lambda: rail.witness.ready)
        with pytest.raises(Unavailable):
            await job(rail, OurBooks(away=True)).compare()
    assert rail.filed.rows == []
