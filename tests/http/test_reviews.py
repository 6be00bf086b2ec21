"""Staff decisions on the internal listener."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from penpay.adapters.audit_store import MySqlSysAudit
from penpay.adapters.http_reads import MySqlReads
from penpay.adapters.kyc_store import MySqlKyc
from penpay.adapters.metrics import Metrics
from penpay.adapters.review_store import MySqlReviews
from penpay.adapters.staff_store import MySqlApprovals
from penpay.adapters.subject_store import MySqlSubjects
from penpay.adapters.system import RandomUlids
from penpay.domain.decision import Occasion
from penpay.domain.errors import Unavailable
from penpay.domain.reconciliation import Finding
from penpay.domain.review import Approval
from penpay.domain.review_view import preview
from penpay.domain.rules import Rules
from penpay.domain.unit import RejectCode
from penpay.http.approvals import FourEyes
from penpay.http.internal import InternalParts, internal_app
from penpay.http.reviews import ReviewDesk
from penpay.http.site import Site
from penpay.messages import Committed, CommitUnit, Refusal, ResolveReview, UnitRejected
from tests.http.rows import add_transaction
from tests.http.world import Actors, Customer, LostAnswer, MovedClock

DECISION = {"action": "refund", "by": "Achieng Otieno", "second": "Brian Kamau", "evidence": "ticket 4711"}
TOKEN = {"Authorization": "Bearer operators-secret"}


@dataclass
class Desk:
    actors: Actors
    base: str
    session: aiohttp.ClientSession
    found: Finding | Exception | None = None
    """What a look at the provider's list comes to."""
    looks: list[tuple[str, str, datetime]] = field(default_factory=list)

    async def judged(self, kind: str, ref: str, *, at: datetime) -> Finding | None:
        self.looks.append((kind, ref, at))
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    async def resolve(self, item: str, body: object = None, **more: object) -> tuple[int, dict]:
        url = f"{self.base}/admin/v1/reviews/{item}/resolve"
        options = {"headers": TOKEN, "json": DECISION if body is None else body} | more
        async with self.session.post(url, **options) as answer:
            return answer.status, await answer.json(content_type=None)


@pytest.fixture
async def desk(stores, sealer, module_database) -> AsyncIterator[Desk]:
    # Every test may name the same ticket.
    module_database.rows("DELETE FROM {users}.approvals")
    made, metrics = Desk(Actors(), "", None), Metrics()
    parts = InternalParts(
        readiness=None,
        operations=None,
        metrics=metrics,
        ids=RandomUlids(),
        ops_token="operators-secret",
        drain=lambda: None,
        before_scrape=lambda: None,
        desk=ReviewDesk(
            reviews=MySqlReviews(stores),
            four_eyes=FourEyes(MySqlApprovals(stores), MySqlSysAudit(stores)),
            movements=made,
            names=MySqlKyc(stores, sealer),
            ids=RandomUlids(),
            addresses=made.actors,
            clock=MovedClock(),
            lost_answers=(LostAnswer,),
        ),
    )
    site = Site("internal", lambda: internal_app(parts), host="127.0.0.1", port=0, close_s=0.2)
    await site.open()
    async with aiohttp.ClientSession() as session:
        made.session, made.base = session, f"http://127.0.0.1:{site.port}"
        yield made
    await site.close()


def add_item(
    database,
    transaction: str = "",
    *,
    shard: int = 0,
    closed: bool = False,
    kind: str = "amount_mismatch",
    evidence: dict[str, str] | None = None,
) -> str:
    item, now = RandomUlids().ulid(), datetime.now(UTC).replace(tzinfo=None)
    database.rows(
        "INSERT INTO {ledger}.review_items VALUES (%s, %s, %s, '', %s, 'paid 5 more', 'FINANCE', %s, %s, %s, %s, '')",
        (
            *(item, shard, transaction, kind, json.dumps(evidence or {"receipt": "QK1"})),
            *(now + timedelta(hours=4), now, now if closed else None),
        ),
    )
    return item


@pytest.fixture
def transaction(customer: Customer, module_database) -> str:
    return add_transaction(module_database, customer, state="IN_REVIEW", status="IN_REVIEW", shard=2)


def staff_log(database, item: str) -> list[tuple[str, str, dict]]:
    rows = database.rows(
        "SELECT actor, action, detail FROM {audit}.audit_log WHERE chain = 'sys' AND subject = %s", (item,)
    )
    return [(actor, action, json.loads(detail)) for actor, action, detail in rows]


async def test_the_saga_is_asked_and_the_decision_is_logged(
    desk: Desk, stores, transaction: str, customer: Customer, module_database
):
    item = add_item(module_database, transaction, shard=2)
    row = await MySqlReads(stores).transaction(customer.id, transaction)
    desk.actors.answers[ResolveReview] = lambda _: row
    status, body = await desk.resolve(item)
    assert status == 200, body
    assert (body["item"], body["transaction"]["id"]) == (item, transaction)
    approval = Approval("Achieng Otieno", "Brian Kamau", "ticket 4711")
    asked = (f"shards/2/sagas/{transaction}", ResolveReview(item_id=item, action="refund", approval=approval))
    assert desk.actors.asked == [asked]
    ((actor, action, detail),) = staff_log(module_database, item)
    assert (actor, action) == ("staff:Achieng Otieno", "review.refund")
    assert (detail["second"], detail["evidence"], detail["transaction"]) == ("Brian Kamau", "ticket 4711", transaction)


async def test_a_decision_may_say_which_version_it_is_about(desk: Desk, transaction: str, module_database):
    desk.actors.answers[ResolveReview] = lambda _: Refusal("review_not_resolvable", "it has changed")
    assert (await desk.resolve(add_item(module_database, transaction), {**DECISION, "version": 7}))[0] == 409
    ((_, asked),) = desk.actors.asked
    assert asked.version == 7


async def test_the_rules_may_have_no_such_exit(desk: Desk, transaction: str, module_database):
    desk.actors.answers[ResolveReview] = lambda _: Refusal("review_not_resolvable", "its money is gone")
    status, body = await desk.resolve(add_item(module_database, transaction))
    assert (status, body["code"], body["detail"]) == (409, "review_not_resolvable", "its money is gone")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"second": "achieng  OTIENO"}, "second"),
        ({"second": ""}, "second"),
        ({"by": " "}, "by"),
        ({"evidence": ""}, "evidence"),
        ({"action": "forgive"}, "action"),
        ({"amount": "1.00"}, "amount"),
        ({"evidence": 7}, "evidence"),
        ({"version": "7"}, "version"),
        ({"version": -1}, "version"),
    ],
)
async def test_nothing_is_logged_or_asked_without_two_names_and_a_reference(
    desk: Desk, transaction: str, module_database, change: dict[str, object], field: str
):
    item = add_item(module_database, transaction)
    status, body = await desk.resolve(item, {**DECISION, **change})
    assert (status, body["code"]) == (400, "invalid_request")
    assert [error["field"] for error in body["errors"]] == [field]
    assert desk.actors.asked == []
    assert staff_log(module_database, item) == []


async def test_only_operators_decide(desk: Desk, transaction: str, module_database):
    item = add_item(module_database, transaction)
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        assert (await desk.resolve(item, headers=headers))[0] == 401
    assert desk.actors.asked == []


async def test_unknown_and_closed_items_are_not_decided_about(desk: Desk, transaction: str, module_database):
    assert (await desk.resolve(RandomUlids().ulid()))[0] == 404
    assert (await desk.resolve("nonsense"))[0] == 404
    status, body = await desk.resolve(add_item(module_database, transaction, closed=True))
    assert (status, body["code"]) == (409, "review_not_resolvable")
    assert desk.actors.asked == []


@pytest.mark.parametrize("kind", ["credit_unmatched", "credit_surplus"])
async def test_the_id_of_dollars_that_came_does_not_say_that_they_went_back(
    desk: Desk, module_database, stores, kind: str
):
    """It is what the question shows: whoever copies it would book a movement that Deriv never made."""
    told = {"ref": "150000001", "amount": "123.45", "currency": "USD", "at": "2026-11-20T09:00:00.000Z"}
    item = add_item(module_database, kind=kind, evidence=told)
    desk.actors.answers[CommitUnit] = lambda asked: Committed(asked.unit.unit_id)
    mistaken = {**DECISION, "action": "settle", "evidence": "150000001"}
    status, body = await desk.resolve(item, mistaken)
    assert (status, body["code"], desk.actors.asked) == (409, "review_not_resolvable", [])
    assert "own id says that it came" in body["detail"]
    subject = await MySqlSubjects(stores).subject(item)
    assert subject is not None
    occasion = Occasion(subject.item.opened_at, ("", "", ""))
    approval = Approval("Achieng Otieno", "Brian Kamau", "150000001")
    assert "its own id" in preview(subject, "settle", approval, rules=Rules(), occasion=occasion).refusal
    assert (await desk.resolve(item, {**mistaken, "evidence": f"15000009{len(kind)}"}))[0] == 200


async def test_an_item_without_a_transaction_is_closed_by_its_ledger(desk: Desk, module_database):
    item = add_item(module_database, shard=3)
    desk.actors.answers[CommitUnit] = lambda asked: Committed(asked.unit.unit_id)
    status, body = await desk.resolve(item, {**DECISION, "action": "close"})
    assert (status, body) == (200, {"item": item, "transaction": None, "note": None})
    ((address, asked),) = desk.actors.asked
    assert address == "shards/3/ledger"
    (closed,) = asked.unit.reviews_closed
    assert (closed.item_id, closed.transaction_id) == (item, "")
    assert "ticket 4711" in closed.resolution
    assert asked.unit.postings == ()


@pytest.mark.parametrize("state", ["AWAITING_PAYER", "COMPLETED", "IN_REVIEW"])
async def test_a_question_beside_a_transaction_is_closed_by_its_ledger_and_the_saga_is_not_asked(
    desk: Desk, customer: Customer, module_database, state: str
):
    transaction = add_transaction(module_database, customer, state=state, status=state, shard=2)
    item = add_item(module_database, transaction, shard=2, kind="evidence_unusable")
    desk.actors.answers[CommitUnit] = lambda asked: Committed(asked.unit.unit_id)
    status, body = await desk.resolve(item, {**DECISION, "action": "close"})
    assert (status, body) == (200, {"item": item, "transaction": None, "note": None})
    ((address, asked),) = desk.actors.asked
    assert (address, asked.unit.unit_id) == ("shards/2/ledger", f"review:{item}:closed")
    (closed,) = asked.unit.reviews_closed
    assert (closed.item_id, closed.transaction_id) == (item, transaction)
    assert (asked.unit.transaction, asked.unit.postings, asked.unit.new_operations) == (None, (), ())
    (record,) = asked.unit.audit
    assert (record.actor, record.action, record.subject) == ("staff:Achieng Otieno", "review.closed", item)
    told = {"second": "Brian Kamau", "evidence": "ticket 4711", "kind": "evidence_unusable", "transaction": transaction}
    assert record.detail == told
    ((_, action, detail),) = staff_log(module_database, item)
    assert (action, detail["transaction"]) == ("review.close", transaction)


@pytest.mark.parametrize("action", ["credit", "refund", "return", "pay", "absent", "own", "lost", "approve"])
async def test_a_question_beside_a_transaction_has_no_other_exit(
    desk: Desk, transaction: str, module_database, action: str
):
    item = add_item(module_database, transaction, kind="reference_taken")
    status, body = await desk.resolve(item, {**DECISION, "action": action})
    assert (status, body["code"]) == (409, "review_not_resolvable")
    assert body["detail"] == "Its transaction does not wait for it: it can only be closed."
    assert (desk.actors.asked, staff_log(module_database, item)) == ([], [])
    desk.actors.answers[CommitUnit] = lambda asked: Committed(asked.unit.unit_id)
    assert (await desk.resolve(item, {**DECISION, "action": "close"}))[0] == 200, (
        "what was no decision used up no ticket"
    )


async def test_an_item_without_a_transaction_has_no_other_exit(desk: Desk, module_database):
    status, body = await desk.resolve(add_item(module_database))
    assert (status, body["code"]) == (409, "review_not_resolvable")
    assert desk.actors.asked == []


async def test_money_of_nobody_that_was_given_back_by_hand_leaves_suspense(desk: Desk, module_database):
    told = {"ref": "QK7", "amount": "250.00", "currency": "KES", "at": "2026-11-20T09:00:00.000Z"}
    item = add_item(module_database, shard=0, kind="payment_unmatched", evidence=told)
    desk.actors.answers[CommitUnit] = lambda asked: Committed(asked.unit.unit_id)
    refused = await desk.resolve(item, {**DECISION, "action": "settle"})
    assert (refused[0], refused[1]["errors"][0]["field"]) == (400, "evidence"), "a ticket is no proof of a payment"
    assert (await desk.resolve(item, {**DECISION, "action": "settle", "evidence": "RK9ABCDEFG"}))[0] == 200
    ((_, asked),) = desk.actors.asked
    (posting,) = asked.unit.postings
    legs = {entry.account.code.value: entry.amount_minor for entry in posting.entries}
    assert legs == {"suspense": 25_000, "mpesa_paybill": -25_000}
    reference, settlement = asked.unit.references
    assert (settlement.kind, settlement.ref, settlement.operation_id) == ("settlement", reference.ref, item)
    assert (reference.kind, reference.ref) == ("mpesa_reversal", "RK9ABCDEFG")


@pytest.mark.parametrize(
    ("kind", "currency", "action", "booked"),
    [
        ("payment", "KES", "own", {"suspense": 25_000, "equity": -25_000}),
        ("credit", "USD", "own", {"suspense": 25_000, "equity": -25_000}),
        ("debit", "USD", "own", {"equity": 25_000, "deriv_agent": -25_000}),
        ("debit", "USD", "lost", {"write_off": 25_000, "deriv_agent": -25_000}),
        ("payment", "KES", "close", None),
        ("credit", "USD", "lost", None),
        ("debit", "USD", "settle", None),
        ("debit", "USD", "close", None),
    ],
)
async def test_a_movement_that_nothing_explains_ends_in_the_books(
    desk: Desk, module_database, kind: str, currency: str, action: str, booked: dict[str, int] | None
):
    told = {"ref": "QK7", "amount": "250.00", "currency": currency, "at": "2026-11-20T09:00:00.000Z"}
    item = add_item(module_database, shard=0, kind=f"{kind}_unmatched", evidence=told)
    desk.actors.answers[CommitUnit] = lambda asked: Committed(asked.unit.unit_id)
    status, body = await desk.resolve(item, {**DECISION, "action": action, "evidence": item})
    if booked is None:
        assert (status, body["code"], desk.actors.asked) == (409, "review_not_resolvable", [])
        return
    assert status == 200, body
    ((_, asked),) = desk.actors.asked
    (posting,) = asked.unit.postings
    assert {entry.account.code.value: entry.amount_minor for entry in posting.entries} == booked


async def test_who_closes_second_learns_it(desk: Desk, module_database):
    desk.actors.answers[CommitUnit] = lambda asked: UnitRejected(asked.unit.unit_id, RejectCode.UNIT_DIFFERS)
    status, body = await desk.resolve(add_item(module_database), {**DECISION, "action": "close"})
    assert (status, body["code"]) == (409, "review_not_resolvable")


async def test_an_id_that_was_used_already_is_named(desk: Desk, module_database):
    told = {"ref": "QK8", "amount": "250.00", "currency": "KES", "at": "2026-11-20T09:00:00.000Z"}
    item = add_item(module_database, shard=0, kind="payment_unmatched", evidence=told)
    desk.actors.answers[CommitUnit] = lambda asked: UnitRejected(asked.unit.unit_id, RejectCode.DUPLICATE_REFERENCE)
    status, body = await desk.resolve(item, {**DECISION, "action": "settle", "evidence": "RK9ABCDEFH"})
    assert (status, body["code"]) == (409, "review_not_resolvable")
    assert body["detail"].startswith("RK9ABCDEFH was used already")


@pytest.mark.parametrize("holds", [True, False])
async def test_a_refused_decision_leaves_its_reference_free_and_says_so_in_the_chain(
    desk: Desk, transaction: str, module_database, holds: bool
):
    desk.actors.answers[ResolveReview] = lambda _: Refusal("review_not_resolvable", "its money is gone")
    desk.actors.answers[CommitUnit] = lambda asked: UnitRejected(asked.unit.unit_id, RejectCode.UNIT_DIFFERS)
    item = add_item(module_database, transaction if holds else "")
    assert (await desk.resolve(item, {**DECISION, "action": "close"}))[1]["code"] == "review_not_resolvable"
    assert [action for _, action, _ in staff_log(module_database, item)] == ["review.close", "review.close.refused"]
    other = add_item(module_database, "")
    desk.actors.answers[CommitUnit] = lambda asked: Committed(asked.unit.unit_id)
    assert (await desk.resolve(other, {**DECISION, "action": "close"}))[0] == 200
    assert (await desk.resolve(item, {**DECISION, "action": "close"}))[1]["code"] == "approval_reused"


@pytest.mark.parametrize(
    "answer", [LostAnswer(), Unavailable("shard"), Refusal("outcome_unknown", "half of it", retry_after_s=2)]
)
async def test_what_may_have_been_done_keeps_its_reference(desk: Desk, transaction: str, module_database, answer):
    desk.actors.answers[ResolveReview] = lambda _: answer
    item = add_item(module_database, transaction)
    assert (await desk.resolve(item))[0] == 503
    desk.actors.answers[ResolveReview] = lambda _: Refusal("review_not_resolvable", "it has changed")
    assert (await desk.resolve(item))[1]["code"] == "review_not_resolvable"
    status, body = await desk.resolve(add_item(module_database), {**DECISION, "action": "close"})
    assert (status, body["code"]) == (409, "approval_reused")


async def test_a_refusal_frees_nothing_that_was_told_again_meanwhile(desk: Desk, transaction: str, module_database):
    item, row, first_is_asked, go_on = (
        add_item(module_database, transaction),
        Refusal("outcome_unknown", "", retry_after_s=2),
        asyncio.Event(),
        asyncio.Event(),
    )

    async def answer_last() -> Refusal:
        first_is_asked.set()
        await go_on.wait()
        return Refusal("review_not_resolvable", "somebody was faster")

    desk.actors.answers[ResolveReview] = lambda _: answer_last()
    first = asyncio.create_task(desk.resolve(item))
    await first_is_asked.wait()
    desk.actors.answers[ResolveReview] = lambda _: row
    assert (await desk.resolve(item))[0] == 503
    go_on.set()
    assert (await first)[1]["code"] == "review_not_resolvable"
    status, body = await desk.resolve(add_item(module_database), {**DECISION, "action": "close"})
    assert (status, body["code"]) == (409, "approval_reused")


@pytest.mark.parametrize(("error", "code"), [(LostAnswer(), "outcome_unknown"), (Unavailable("shard"), "unavailable")])
async def test_an_answer_that_did_not_come_says_so(
    desk: Desk, transaction: str, module_database, error: Exception, code: str
):
    desk.actors.answers[ResolveReview] = lambda _: error
    status, body = await desk.resolve(add_item(module_database, transaction))
    assert (status, body["code"]) == (503, code)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"by":"' + b"x" * 3000 + b'"}'])
async def test_a_body_that_is_no_decision_is_refused(desk: Desk, transaction: str, module_database, raw: bytes):
    item = add_item(module_database, transaction)
    headers = {**TOKEN, "Content-Type": "application/json"}
    status, _ = await desk.resolve(item, json=None, data=raw, headers=headers)
    assert status in {400, 413}
    assert desk.actors.asked == []
