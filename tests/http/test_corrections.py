"""Two people make the books follow a provider that moved another amount, after its list was read once more."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from penpay.adapters.database import Database
from penpay.adapters.subject_store import MySqlSubjects
from penpay.domain.errors import NotSent
from penpay.domain.money import Money, kes, usd
from penpay.domain.movements import Contradiction, movement_unit
from penpay.domain.presentation import time_text
from penpay.domain.reconciliation import Booked, Finding, Remedy, Verdict
from penpay.domain.review import Action
from penpay.domain.review_view import actions_of
from penpay.domain.unit import RejectCode, UnitOfWork
from penpay.messages import Committed, CommitUnit, UnitRejected
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
    return await desk.resolve(item, {**DECISION, "action": action, "evidence": f"ticket-{item}"})


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
    assert (record.action, record.detail["evidence"]) == ("ledger.correct", f"ticket-{item}")
    assert body["note"] is None


STANDING, AGREEING = seen(usd(-100), usd(-694)), seen(usd(-100), usd(-100))
LISTED_ANEW = seen(usd(-500), usd(-694))
IN_PART = replace(STANDING, verdict=Verdict.NOT_TOLD, remedy=Remedy.NONE)


LISTS = {"standing": STANDING, "both agree": AGREEING, "another amount": LISTED_ANEW, "not listed": None}


@pytest.mark.parametrize("found", LISTS.values(), ids=LISTS.keys())
async def test_what_is_offered_about_it_is_what_the_node_takes_whatever_its_provider_lists_by_now(
    desk: Desk,  # noqa: F811
    stores: Database,
    module_database,
    found: Finding | None,
):
    """One exit: the books follow, or the question is closed, as the list says. Nobody is offered what is refused."""
    desk.found = found
    taken = []
    for action in Action:
        item = question(module_database, usd(-100), usd(-694))
        status, body = await answer(desk, item, action)
        assert (status, body.get("code")) in {(200, None), (409, "review_not_resolvable")}
        if status == 200:
            taken.append(action)
        else:
            assert staff_log(module_database, item) == []
    subject = await MySqlSubjects(stores).subject(item)
    assert subject is not None
    assert (list(actions_of(subject)), taken) == (["correct"], ["correct"])


@pytest.mark.parametrize("found", [AGREEING, None], ids=["both agree", "not listed"])
async def test_what_does_not_stand_any_more_is_closed_and_nothing_is_booked(
    desk: Desk,  # noqa: F811
    module_database,
    found: Finding | None,
):
    item = question(module_database, usd(-100), usd(-694))
    desk.found = found
    status, body = await answer(desk, item, "correct")
    assert (status, "nothing was booked" in body["note"]) == (200, True), body
    ((_, asked),) = desk.actors.asked
    assert (asked.unit.postings, asked.unit.reviews) == ((), ())
    assert [one.item_id for one in asked.unit.reviews_closed] == [item]
    assert [record.action for record in asked.unit.audit] == ["review.closed"]


async def test_other_amounts_than_people_were_shown_are_another_question_in_the_place_of_this_one(
    desk: Desk,  # noqa: F811
    module_database,
):
    item = question(module_database, usd(-100), usd(-694))
    desk.found = replace(LISTED_ANEW, answered=2)
    status, body = await answer(desk, item, "correct")
    assert (status, "other amounts" in body["note"]) == (200, True), body
    ((_, asked),) = desk.actors.asked
    unit = asked.unit
    assert (unit.unit_id, [one.evidence["listed"] for one in unit.reviews]) == ("differs:72:-694:-500:2", ["-5.00 USD"])
    assert (unit.postings, [one.item_id for one in unit.reviews_closed]) == ((), [item])
    assert [record.action for record in unit.audit] == ["ledger.differs", "review.closed"]


def known(desk: Desk, database, item: str, *, closed: bool):  # noqa: F811
    """Somebody has asked about the amounts by now; `closed`: by answering this question."""

    def said(asked: CommitUnit) -> Committed | UnitRejected:
        if not asked.unit.unit_id.startswith("differs:"):
            return Committed(asked.unit.unit_id)
        if closed:
            database.rows("UPDATE {ledger}.review_items SET closed_at = UTC_TIMESTAMP(6) WHERE id = %s", (item,))
        return UnitRejected(asked.unit.unit_id, RejectCode.UNIT_DIFFERS)

    desk.found, desk.actors.answers[CommitUnit] = LISTED_ANEW, said
    return desk.resolve(item, {**DECISION, "action": "correct", "evidence": f"ticket-{item}"})


async def test_a_question_whose_successor_was_put_already_is_closed_alone(desk: Desk, module_database):  # noqa: F811
    item = question(module_database, usd(-100), usd(-694))
    status, body = await known(desk, module_database, item, closed=False)
    assert (status, "other amounts" in body["note"]) == (200, True), body
    (_, closed) = (asked.unit for _, asked in desk.actors.asked)
    assert (closed.unit_id, closed.reviews) == (f"review:{item}:closed", ())
    assert [one.item_id for one in closed.reviews_closed] == [item]


async def test_who_answers_it_second_has_done_nothing(desk: Desk, module_database):  # noqa: F811
    item = question(module_database, usd(-100), usd(-694))
    status, body = await known(desk, module_database, item, closed=True)
    assert (status, body["code"], "Somebody else" in body["detail"]) == (409, "review_not_resolvable", True)
    assert len(desk.actors.asked) == 1
    assert [action for _, action, _ in staff_log(module_database, item)] == ["review.correct", "review.correct.refused"]


@pytest.mark.parametrize("found", [IN_PART, NotSent("timed_out")])
async def test_a_list_that_cannot_be_read_decides_nothing(desk: Desk, module_database, found: object):  # noqa: F811
    item = question(module_database, usd(-100), usd(-694))
    desk.found = found
    status, body = await answer(desk, item, "correct")
    assert (status, body["code"], desk.actors.asked) == (503, "rail_down", [])
    assert staff_log(module_database, item) == [], "its reference is free"


async def test_a_payment_that_is_listed_no_more_is_corrected_as_it_was_found(desk: Desk, module_database):  # noqa: F811
    """Safaricom lists two days, and people may need more."""
    item = question(module_database, kes(100_000), kes(130_000), time_text(datetime.now(UTC) - timedelta(hours=48)))
    assert (await answer(desk, item, "correct"))[0] == 200
    young = question(module_database, kes(100_000), kes(130_000), time_text(datetime.now(UTC) - timedelta(hours=46)))
    assert (await answer(desk, young, "correct"))[0] == 200
    (old, new) = (asked.unit.postings for _, asked in desk.actors.asked)
    assert (len(old), new) == (1, ())


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
