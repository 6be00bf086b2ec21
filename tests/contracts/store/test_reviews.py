"""Questions that are closed one by one, on either store: beside a saga that goes on meanwhile."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from penpay.domain.review import Approval, ReviewItem, closing
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


def close(opened: ReviewOpened, approval: Approval = STAFF, *, at: datetime = AT) -> UnitOfWork:
    item = ReviewItem(
        id=opened.id,
        shard=SHARD,
        transaction_id=opened.transaction_id,
        operation_id="",
        kind=opened.kind,
        reason="?",
        owner_role="OPS",
        opened_at=AT,
        due_at=AT,
    )
    return closing(item, approval, at=at)


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
