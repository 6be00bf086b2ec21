"""A difference between a provider's list and our books, on the real database: people are asked each time it comes."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from penpay.adapters.agent_account import AgentReading
from penpay.adapters.reconcile_store import MySqlReconciliation
from penpay.adapters.review_store import MySqlReviews
from penpay.domain.ledger import AccountCode
from penpay.domain.money import Money, usd
from penpay.domain.movements import DIFFERS, Contradiction, movement_of, movement_unit
from penpay.domain.reconciliation import Finding
from penpay.domain.review import Action, Approval, ReviewItem
from penpay.domain.review_alone import answered
from penpay.domain.statement import StatementRow
from penpay.domain.unit import ProviderReference, RejectCode
from penpay.messages import Committed, UnitRejected
from penpay.provider_lists import AGENT, Lists, kind_of
from tests.contracts.store.units import begun, booked, confirmed, credited
from tests.ledger.house import Ledger, fresh_id, opened, paid

REF = 7201
NOW = datetime.now(UTC)
AT = NOW - timedelta(minutes=5)


@dataclass
class Comparing:
    """Deriv's statement of the agent with one line, beside books in which it is 9.66 dollars that left."""

    ledger: Ledger
    listed: Money = field(default_factory=lambda: usd(-100))

    async def read(self, since: datetime) -> AgentReading:
        row = StatementRow(id=REF, at=AT, action="transfer", amount=self.listed, balance_after=usd(0))
        return AgentReading([row], usd(0), complete=True)

    async def booked_since(self, account: str) -> datetime:
        return NOW - timedelta(hours=1)

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def found(self) -> Finding:
        """What a comparison comes to, whoever makes it."""
        books = MySqlReconciliation(self.ledger.database)
        lists = Lists(payments=self, agent=self, books=books, reads=self, clock=self, settle_s=600.0)
        found, _ = await lists.compared(AGENT, NOW - timedelta(hours=1), until=self.now(), now=self.now())
        return next(one for one in found if one.ref == str(REF))

    async def put(self, finding: Finding) -> Committed | UnitRejected | None:
        """What is done about it then."""
        assert finding.amount is not None
        movement = movement_of(kind_of(AGENT, finding.amount), finding)
        if movement is None:
            return None
        return await self.ledger.commit(movement_unit(movement, review_id=fresh_id(), now=self.now(), actor="inbox"))

    async def compares(self) -> Committed | UnitRejected | None:
        return await self.put(await self.found())

    async def asked(self) -> list[ReviewItem]:
        return list(await MySqlReviews(self.ledger.database).open_items(limit=10))

    async def decided(self, item: ReviewItem, *, stands: bool) -> None:
        """Two people answer it; `stands`: what the list says when it is read for that."""
        approval = Approval("Achieng", "Kamau", f"ticket {item.id}")
        unit = answered(item, Action.CORRECT, approval, new_id=fresh_id(), at=self.now(), stands=stands)
        assert isinstance(await self.ledger.commit(unit), Committed)


@pytest.fixture
async def comparing(database):
    async with opened(database.url, prefix=database.prefix) as ledger:
        first = begun()
        payment = paid(first)
        left = confirmed(payment, ref=str(REF))
        used = ProviderReference(kind="deriv_transaction", ref=str(REF), operation_id=left.id)
        sent = credited(payment, operations=(left,), references=(used,))
        for unit in (booked(AccountCode.DERIV_AGENT, usd(1_000_000)), first, payment, sent):
            assert isinstance(await ledger.commit(unit), Committed)
        yield Comparing(ledger)


async def test_what_was_taken_back_and_is_shown_again_is_asked_about_again(comparing: Comparing):
    for _ in range(3):
        comparing.listed = usd(-100)
        await comparing.compares()
        (item,) = await comparing.asked()
        assert (item.kind, item.evidence["listed"], item.evidence["booked"]) == (DIFFERS, "-1.00 USD", "-9.66 USD")
        comparing.listed = usd(-966)
        assert await comparing.compares() is None, "they agree: there is nothing to be asked"
        await comparing.decided(item, stands=False)
        assert await comparing.asked() == []


async def test_a_difference_is_one_question_whoever_compares_and_however_often(comparing: Comparing):
    for _ in range(2):
        both = await comparing.found(), await comparing.found()
        assert isinstance(await comparing.put(both[0]), Committed)
        await comparing.ledger.restart()
        for late in (await comparing.put(both[1]), await comparing.compares()):
            assert isinstance(late, UnitRejected)
            assert late.code is RejectCode.UNIT_DIFFERS
        (item,) = await comparing.asked()
        await comparing.decided(item, stands=False)


@pytest.mark.parametrize("stands", [True, False])
async def test_what_was_seen_before_it_was_answered_is_not_asked_about_behind_the_answer(
    comparing: Comparing, stands: bool
):
    await comparing.compares()
    seen = await comparing.found()
    (item,) = await comparing.asked()
    await comparing.decided(item, stands=stands)
    assert isinstance(await comparing.put(seen), UnitRejected)
    assert DIFFERS not in {one.kind for one in await comparing.asked()}


async def test_books_that_followed_are_asked_about_when_the_list_goes_back(comparing: Comparing):
    for listed in (usd(-100), usd(-966), usd(-100)):
        comparing.listed = listed
        await comparing.compares()
        (item,) = [one for one in await comparing.asked() if one.kind == DIFFERS]
        assert item.evidence["listed"] == f"{listed.text()} USD"
        await comparing.decided(item, stands=True)
        assert await comparing.compares() is None


async def test_of_two_pairs_who_answer_at_once_one_puts_what_follows_and_neither_leaves_two(comparing: Comparing):
    await comparing.compares()
    (item,) = await comparing.asked()
    comparing.listed = usd(-500)
    instead = movement_of("debit", await comparing.found())
    assert isinstance(instead, Contradiction)
    told = [
        comparing.ledger.commit(
            answered(item, Action.CORRECT, pair, new_id=fresh_id(), at=NOW, stands=False, instead=instead)
        )
        for pair in (Approval("Achieng", "Kamau", "ticket 1"), Approval("Wanjiru", "Odhiambo", "ticket 2"))
    ]
    first, second = await asyncio.gather(*told)
    assert {type(first), type(second)} == {Committed, UnitRejected}
    assert isinstance(await comparing.compares(), UnitRejected), "whoever compares asks nothing else"
    assert [one.evidence["listed"] for one in await comparing.asked()] == ["-5.00 USD"]
