"""Two questions about what may be the same money are shown beside one another; nothing is matched by itself."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from penpay.domain import deposit_events as ev
from penpay.domain.money import kes
from penpay.domain.presentation import time_text
from penpay.domain.review import Action, ReviewItem
from penpay.domain.strays import Stray, ended, same_money, stray_unit
from penpay.domain.unit import ReviewOpened, UnitOfWork
from tests.domain.books import SEND
from tests.domain.test_deposit_rules import accepted

PUSHED = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
CREDITED_S = 120.0


def as_stored(opened: ReviewOpened, *, after_s: float) -> ReviewItem:
    return ReviewItem(
        id=opened.id,
        shard=0,
        transaction_id=opened.transaction_id,
        operation_id=opened.operation_id,
        kind=opened.kind,
        reason=opened.reason,
        owner_role=opened.owner_role,
        opened_at=PUSHED + timedelta(seconds=after_s),
        due_at=opened.due_at,
        evidence=opened.evidence,
    )


def missing() -> ReviewItem:
    """As a deposit asks that a query credited."""
    evidence = {"amount": "1300.00", "payer": "2547****126", "pushed_at": time_text(PUSHED)}
    opened = ReviewOpened(
        id="M",
        transaction_id="T",
        operation_id="O",
        kind="receipt_missing",
        reason="",
        owner_role="FINANCE",
        due_at=PUSHED,
        evidence=evidence,
    )
    return as_stored(opened, after_s=CREDITED_S)


def listed(*, minor: int = 130_000, after_s: float = 30, tail: str = "126") -> ReviewItem:
    """As the inbox asks about a payment that names no push of ours."""
    at = time_text(PUSHED + timedelta(seconds=after_s))
    stray = Stray(kind="payment", ref="NOBODYS001", amount=kes(minor), at=at, phone_tail=tail)
    (opened,) = stray_unit(stray, review_id="S", now=PUSHED, actor="inbox").reviews
    return as_stored(opened, after_s=900)


@pytest.mark.parametrize(
    ("stray", "same"),
    [
        (listed(), True),
        (listed(tail="4126"), True),
        (listed(tail=""), True),
        (listed(after_s=-299), True),
        (listed(after_s=CREDITED_S + 299), True),
        (listed(tail="127"), False),
        (listed(minor=130_100), False),
        (listed(after_s=-301), False),
        (listed(after_s=CREDITED_S + 301), False),
        (replace(listed(), kind="credit_unmatched"), False),
    ],
)
def test_amount_visible_digits_and_time_say_what_may_be_the_same(stray: ReviewItem, same: bool) -> None:
    assert same_money(stray, [stray, missing()]) == ((missing(),) if same else ())
    assert same_money(missing(), [missing(), stray]) == ((stray,) if same else ())


def test_a_question_that_was_put_before_it_told_all_this_is_like_none() -> None:
    bare = replace(missing(), evidence={})
    assert same_money(bare, [listed()]) == same_money(listed(), [bare]) == ()


def test_a_deposit_that_a_query_credits_says_what_a_listed_payment_is_compared_with() -> None:
    story = accepted()
    decision = story.happens(ev.MpesaPaid(source="query", amount=SEND), after_s=30)
    (opened,) = decision.reviews
    assert opened.kind == "receipt_missing"
    assert opened.evidence == {
        "amount": SEND.text(),
        "payer": story.saga.phone_mask,
        "pushed_at": time_text(story.saga.pushed_at),
    }


def test_what_was_the_same_leaves_suspense_under_its_own_receipt_and_nothing_is_sent() -> None:
    stray = Stray(kind="payment", ref="NOBODYS001", amount=kes(130_000), at=time_text(PUSHED))
    found = stray_unit(stray, review_id="S", now=PUSHED, actor="inbox")
    bare = UnitOfWork(unit_id="review:S:closed", shard=0, at=PUSHED)
    unit = ended(bare, stray, Action.SETTLE, item_id="S", reference=stray.ref, actor="staff:A")
    assert {(one.kind, one.ref) for one in unit.references}.isdisjoint((one.kind, one.ref) for one in found.references)
    entries = [entry for posting in (*found.postings, *unit.postings) for entry in posting.entries]
    left = {entry.account.code: 0 for entry in entries}
    for entry in entries:
        left[entry.account.code] += entry.amount_minor
    assert left == {"mpesa_paybill": 0, "suspense": 0}
    assert unit.new_operations == ()


def test_of_who_paid_a_question_shows_as_much_as_a_mask_of_ours() -> None:
    assert listed(tail="4126").evidence["phone_tail"] == "126"
    assert "phone_tail" not in listed(tail="").evidence
