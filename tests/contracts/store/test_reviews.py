"""Questions that are closed one by one, on either store: beside a saga that goes on meanwhile."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from penpay.domain.money import usd
from penpay.domain.review import Action, Approval, ReviewItem, closing
from penpay.domain.strays import Stray, claimed, ended, stray_unit
from penpay.domain.unit import RejectCode, ReviewClosed, ReviewOpened, UnitOfWork
from penpay.messages import Committed, UnitRejected
from tests.contracts.store.ledgers import ledger
from tests.contracts.store.units import begun
from tests.ledger.house import SHARD, fresh_id, stepped

AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
STAFF, OTHERS = Approval("Achieng", "Kamau", "ticket 1"), Approval("Wanjiru", "Odhiambo", "ticket 2")


def asked(unit: UnitOfWork, kind: str) -> ReviewOpened:
    assert unit.transaction is not None
    return ReviewOpened(
        id=fresh_id(),
        transaction_id=unit.transaction.row.id,
        operation_id="",
        kind=kind,
        reason="?",
        owner_role="OPS",
        due_at=AT,
    )


def item_of(opened: ReviewOpened) -> ReviewItem:
    return ReviewItem(
        id=opened.id,
        shard=SHARD,
        transaction_id=opened.transaction_id,
        operation_id="",
        kind=opened.kind,
        reason="?",
        owner_role="OPS",
        opened_at=AT,
        due_at=AT,
        evidence=opened.evidence,
    )


def close(opened: ReviewOpened, approval: Approval = STAFF, *, at: datetime = AT) -> UnitOfWork:
    return closing(item_of(opened), approval, at=at)


async def test_one_question_is_closed_and_its_saga_goes_on_from_where_it_was(stage):
    async with ledger(stage) as (process, commit):
        first = begun()
        one, other = asked(first, "evidence_unusable"), asked(first, "reference_taken")
        await commit(replace(first, reviews=(one, other)))
        assert isinstance(await commit(close(one)), Committed)
        assert isinstance(await commit(stepped(first, state="AWAITING_PAYER")), Committed)
        rows = await process.sagas.load(first.transaction.row.id)
        assert (rows.row.state, rows.row.version) == ("AWAITING_PAYER", 2)
    items = {row["id"]: row["resolution"] for row in stage.stored("review_items")}
    assert items == {one.id: "Achieng and Kamau, ticket 1", other.id: ""}
    records = [row["actor"] for row in stage.stored("audit_log") if row["subject"] == one.id]
    assert records == ["staff:Achieng"]


async def test_an_open_question_is_known_by_its_kind_until_it_is_closed(stage):
    async with ledger(stage) as (process, commit):
        first, second = begun(), begun()
        one = asked(first, "row_unreadable")
        await commit(replace(first, reviews=(one, asked(first, "receipt_missing"))))
        await commit(second)

        async def known(unit: UnitOfWork, kind: str) -> bool:
            return await process.sagas.has_open_question(unit.transaction.row.id, kind)

        assert await known(first, "row_unreadable")
        assert [await known(first, "parked"), await known(second, "row_unreadable")] == [False, False]
        await commit(close(one))
        assert [await known(first, "row_unreadable"), await known(first, "receipt_missing")] == [False, True]


async def test_two_pairs_of_people_close_a_question_once(stage):
    async with ledger(stage) as (_, commit):
        first = begun()
        one = asked(first, "receipt_missing")
        await commit(replace(first, reviews=(one,)))
        answers = await asyncio.gather(commit(close(one)), commit(close(one, OTHERS)), commit(close(one)))
        done, refused, again = answers
        assert (done.replayed, again.replayed) == (False, True)
        assert isinstance(refused, UnitRejected)
        assert refused.code is RejectCode.UNIT_DIFFERS
    assert [row["resolution"] for row in stage.stored("review_items")] == [STAFF.text()]
    assert len([row for row in stage.stored("audit_log") if row["subject"] == one.id]) == 1


async def test_what_evidence_has_closed_keeps_its_answer(stage):
    async with ledger(stage) as (_, commit):
        first = begun()
        one = asked(first, "receipt_missing")
        await commit(replace(first, reviews=(one,)))
        attached = ReviewClosed(
            transaction_id=one.transaction_id, kind="receipt_missing", resolution="receipt attached"
        )
        await commit(stepped(first, state="AWAITING_PAYER", reviews_closed=(attached,)))
        assert isinstance(await commit(close(one, at=AT + timedelta(hours=1))), Committed)
    assert [row["resolution"] for row in stage.stored("review_items")] == ["receipt attached"]


async def test_a_close_whose_answer_was_lost_is_done_once(stage):
    async with ledger(stage) as (process, commit):
        first = begun()
        one = asked(first, "unit_quarantined")
        await commit(replace(first, reviews=(one,)))
        for effect in (False, True):
            process.lose("ledger.commit", effect=effect)
        assert isinstance(await commit(close(one)), Committed)
    assert [row["resolution"] for row in stage.stored("review_items")] == [STAFF.text()]
    assert len([row for row in stage.stored("audit_log") if row["subject"] == one.id]) == 1


# --- a credit that was set aside as nobody's, and what it turns out to be ---


def nobodys() -> tuple[Stray, ReviewItem, UnitOfWork]:
    stray = Stray(kind="credit", ref=fresh_id(), amount=usd(2_000), at="2026-11-20T09:00:00.000Z")
    unit = stray_unit(stray, review_id=fresh_id(), now=AT, actor="test")
    (opened,) = unit.reviews
    return stray, item_of(opened), unit


def given(stray: Stray, item: ReviewItem, operation_id: str = "") -> UnitOfWork:
    bare = closing(item, STAFF, at=AT)
    return claimed(bare, stray, operation_id=operation_id or fresh_id(), actor="staff:Achieng")


async def test_a_credit_of_nobody_is_found_with_its_question_and_with_whose_it_is_since(stage):
    async with ledger(stage) as (process, commit):
        stray, item, unit = nobodys()
        assert await process.sagas.filed_credit(stray.ref) is None
        await commit(unit)
        found = await process.sagas.filed_credit(stray.ref)
        assert (found.item.id, found.item.closed_at, found.claimed_by) == (item.id, None, "")
        assert found.item.evidence["ref"] == stray.ref
        operation_id = fresh_id()
        assert isinstance(await commit(given(stray, item, operation_id)), Committed)
        found = await process.sagas.filed_credit(stray.ref)
        assert (found.item.resolution, found.claimed_by) == (STAFF.text(), operation_id)
        assert found.item.closed_at is not None


@pytest.mark.parametrize("claim_first", [True, False])
async def test_a_credit_of_nobody_is_decided_once(stage, claim_first):
    async with ledger(stage) as (_, commit):
        stray, item, unit = nobodys()
        await commit(unit)
        owned = ended(
            closing(item, OTHERS, at=AT), stray, Action.OWN, item_id=item.id, reference="t", actor="staff:Wanjiru"
        )
        claim = given(stray, item)
        first, second = (claim, owned) if claim_first else (owned, claim)
        assert isinstance(await commit(first), Committed)
        late = await commit(second)
        assert isinstance(late, UnitRejected)
        assert late.code is RejectCode.UNIT_DIFFERS
