"""Two people make the books follow a provider that moved another amount, after its list was read once more."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from penpay.domain.errors import NotSent
from penpay.domain.money import Money, kes, usd
from penpay.domain.movements import Contradiction, movement_unit
from penpay.domain.presentation import time_text
from penpay.domain.reconciliation import Booked, Finding, Remedy, Verdict
from penpay.domain.unit import UnitOfWork
from penpay.messages import Committed, CommitUnit
from tests.http.test_reviews import DECISION, Desk, add_item, desk, staff_log  # noqa: F401 - the desk is a fixture

SEEN = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
AT = "2026-11-20T09:00:00.000Z"


def question(database, listed: Money, booked: Money, at: str = AT) -> str:
    """As it is put by whoever finds it."""
    told = Contradiction(ref="72", listed=listed, booked=booked, at=at, transaction_id="T1")
    (review,) = movement_unit(told, review_id="", now=SEEN, actor="inbox").reviews
    return add_item(database, shard=0, kind=review.kind, evidence=dict(review.evidence))


def seen(listed: Money, booked: Money) -> Finding:
    """What a look at the list finds."""
    agrees = listed == booked
    return Finding(
        source="agent",
        ref="72",
        verdict=Verdict.AGREES if agrees else Verdict.DIFFERS,
        words="",
        amount=listed,
        at=SEEN,
        remedy=Remedy.NONE if agrees else Remedy.OTHER_AMOUNT,
        mine=Booked(ref="72", amount=booked, at=SEEN),
    )


async def answer(desk: Desk, item: str, action: str) -> tuple[int, dict]:  # noqa: F811
    desk.actors.answers[CommitUnit] = lambda asked: Committed(asked.unit.unit_id)
    return await desk.resolve(item, {**DECISION, "action": action, "evidence": f"ticket {item}"})


def legs(unit: UnitOfWork) -> dict[str, int]:
    (posting,) = unit.postings
    assert posting.key == "correct:72"
    return {f"{entry.account.code}:{entry.account.currency}": entry.amount_minor for entry in posting.entries}


@pytest.mark.parametrize(
    ("listed", "booked", "kind", "expected"),
    [
        (usd(-100), usd(-694), "debit", {"deriv_agent:USD": 594, "suspense:USD": -594}),
        (usd(-2000), usd(-694), "debit", {"deriv_agent:USD": -1306, "write_off:USD": 1306}),
        (usd(2100), usd(2000), "credit", {"deriv_agent:USD": 100, "suspense:USD": -100}),
        (usd(1), usd(2000), "credit", {"deriv_agent:USD": -1999, "write_off:USD": 1999}),
        (kes(100_000), kes(130_000), "payment", {"mpesa_paybill:KES": -30_000, "write_off:KES": 30_000}),
        (kes(130_001), kes(130_000), "payment", {"mpesa_paybill:KES": 1, "suspense:KES": -1}),
    ],
)
async def test_the_books_follow_and_a_surplus_is_asked_about(
    desk: Desk,  # noqa: F811
    module_database,
    listed: Money,
    booked: Money,
    kind: str,
    expected: dict[str, int],
):
    item = question(module_database, listed, booked)
    desk.found = seen(listed, booked)
    status, body = await answer(desk, item, "correct")
    assert status == 200, body
    assert desk.looks == [(kind, "72", SEEN)]
    ((_, asked),) = desk.actors.asked
    assert legs(asked.unit) == expected
    assert [one.item_id for one in asked.unit.reviews_closed] == [item]
    rest = listed.minor - booked.minor
    surplus = {"USD": "credit_surplus", "KES": "payment_surplus"}[listed.currency]
    put = [(one.kind, one.evidence["amount"], one.evidence["transaction"]) for one in asked.unit.reviews]
    assert put == ([(surplus, Money(rest, listed.currency).text(), "T1")] if rest > 0 else [])
    (record,) = asked.unit.audit
    assert (record.action, record.detail["evidence"]) == ("ledger.correct", f"ticket {item}")


STANDING, AGREEING = seen(usd(-100), usd(-694)), seen(usd(-100), usd(-100))
LISTED_ANEW = seen(usd(-500), usd(-694))
IN_PART = replace(STANDING, verdict=Verdict.NOT_TOLD, remedy=Remedy.NONE)


@pytest.mark.parametrize(
    ("found", "action", "code"),
    [
        (STANDING, "close", "review_not_resolvable"),
        (AGREEING, "correct", "review_not_resolvable"),
        (LISTED_ANEW, "correct", "review_not_resolvable"),
        (None, "correct", "review_not_resolvable"),
        *((found, action, "rail_down") for found in (IN_PART, NotSent("timed_out")) for action in ("correct", "close")),
        (STANDING, "lost", "review_not_resolvable"),
        *((found, "close", "") for found in (AGREEING, LISTED_ANEW, None)),
    ],
)
async def test_what_the_list_says_by_now_decides_and_a_refusal_leaves_the_reference_free(
    desk: Desk,  # noqa: F811
    module_database,
    found: Finding | Exception | None,
    action: str,
    code: str,
):
    item = question(module_database, usd(-100), usd(-694))
    desk.found = found
    status, body = await answer(desk, item, action)
    if code:
        assert (body["code"], desk.actors.asked, staff_log(module_database, item)) == (code, [], [])
        return
    assert status == 200, body
    ((_, asked),) = desk.actors.asked
    assert (asked.unit.postings, asked.unit.reviews) == ((), ())


async def test_a_payment_that_is_listed_no_more_is_corrected_as_it_was_found(desk: Desk, module_database):  # noqa: F811
    """Safaricom lists two days, and people may need more."""
    item = question(module_database, kes(100_000), kes(130_000), time_text(datetime.now(UTC) - timedelta(hours=48)))
    assert (await answer(desk, item, "close"))[0] == 409
    assert (await answer(desk, item, "correct"))[0] == 200
    young = question(module_database, kes(100_000), kes(130_000), time_text(datetime.now(UTC) - timedelta(hours=46)))
    assert (await answer(desk, young, "correct"))[0] == 409
    assert (await answer(desk, young, "close"))[0] == 200


@pytest.mark.parametrize("kind", ["credit_surplus", "payment_surplus"])
@pytest.mark.parametrize("action", ["own", "settle", "close", "correct"])
async def test_a_surplus_leaves_suspense(desk: Desk, module_database, kind: str, action: str):  # noqa: F811
    currency = "USD" if kind == "credit_surplus" else "KES"
    told = {"ref": "72", "amount": "5.94", "currency": currency, "at": AT, "transaction": "T1"}
    item = add_item(module_database, shard=0, kind=kind, evidence=told)
    desk.actors.answers[CommitUnit] = lambda asked: Committed(asked.unit.unit_id)
    status, _ = await desk.resolve(item, {**DECISION, "action": action, "evidence": item})
    if action in {"close", "correct"}:
        assert (status, desk.actors.asked) == (409, [])
        return
    assert status == 200
    ((_, asked),) = desk.actors.asked
    (posting,) = asked.unit.postings
    asset = "deriv_agent" if currency == "USD" else "mpesa_paybill"
    other = "equity" if action == "own" else asset
    assert {entry.account.code.value: entry.amount_minor for entry in posting.entries} == {"suspense": 594, other: -594}
