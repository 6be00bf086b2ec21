"""What `penpay reconcile` asks of the node, on the internal listener."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import aiohttp
import pytest

from penpay.adapters.metrics import Metrics
from penpay.adapters.system import RandomUlids
from penpay.domain.board import FloatSnapshot
from penpay.domain.errors import GatewayError, Refused
from penpay.domain.money import Money, kes, usd
from penpay.domain.reconciliation import Booked, Finding, Remedy, Verdict
from penpay.domain.unit import AuditRecord, RejectCode
from penpay.http.internal import InternalParts, internal_app
from penpay.http.reconciling import ReconcileDesk
from penpay.http.site import Site
from penpay.messages import ANCHORS, AcceptRecovery, Committed, CommitUnit, MakeAnchors, Refusal, UnitRejected
from penpay.messages_rails import DARAJA_GATE, ProbePull
from penpay.ports import OperationRow
from tests.http.world import Actors, LostAnswer, MovedClock

ULID = "01KAF0Z3T9V5N5W6H3C8Q2YB7D"
SEEN = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
PAYMENT = {"kind": "payment", "ref": "TKK1ABC2DE", "at": "2026-11-20T08:00:00.000Z", "by": "Achieng"}


def listed(amount: Money, *, remedy: Remedy = Remedy.SUSPENSE, verdict: Verdict = Verdict.DIFFERS) -> Finding:
    """What a look at the provider's list comes to."""
    return Finding(source="", ref="", verdict=verdict, words="in words", amount=amount, at=SEEN, remedy=remedy)


FOUND = {"operation_id": ULID, "receipt": "TKK1ABC2DE", "by": "Achieng"}
PUSH = OperationRow(
    id=ULID,
    transaction_id="01KAF0Z3T9V5N5W6H3C8Q2YB7E",
    shard=2,
    user_id="01KAF0Z3T9V5N5W6H3C8Q2YB7F",
    kind="STK",
    state="REFUSED",
    amount=kes(130_000),
    recipient="",
    reference="PC8Q2YB7D000",
    request={},
    provider_ref="",
    code="1032",
    attempts=1,
    attempts_closed=0,
    created_at=SEEN,
)


@dataclass
class Node:
    actors: Actors
    session: aiohttp.ClientSession
    base: str = ""
    floats: dict[str, FloatSnapshot] = field(default_factory=dict)
    closed: dict[int, str] = field(default_factory=dict)
    stored: dict[str, OperationRow] = field(default_factory=dict)
    lists: dict[tuple[str, str], Finding | GatewayError] = field(default_factory=dict)
    logged: list[AuditRecord] = field(default_factory=list)

    async def append(self, records, *, at: datetime) -> None:
        assert at.tzinfo is not None
        assert not self.actors.told + self.actors.asked, "written down before anything is done"
        self.logged += records

    async def judged(self, kind: str, ref: str, *, at: datetime) -> Finding | None:
        found = self.lists.get((kind, ref))
        if isinstance(found, GatewayError):
            raise found
        return found

    async def operations(self, operation_ids):
        return {id_: self.stored[id_] for id_ in operation_ids if id_ in self.stored}

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, dict]:
        headers = {"Authorization": "Bearer operators-secret"}
        async with self.session.request(method, f"{self.base}/admin/v1{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with aiohttp.ClientSession() as session:
        made = Node(Actors(), session)
        parts = InternalParts(
            readiness=None,
            operations=None,
            metrics=Metrics(),
            ids=RandomUlids(),
            ops_token="operators-secret",
            drain=lambda: None,
            before_scrape=lambda: None,
            reconciliation=ReconcileDesk(
                addresses=made.actors,
                clock=MovedClock(),
                ids=RandomUlids(),
                staff_log=made,
                reads=made,
                movements=made,
                floats=lambda: made.floats,
                closed=lambda: made.closed,
                lost_answers=(LostAnswer,),
            ),
        )
        site = Site("internal", lambda: internal_app(parts), host="127.0.0.1", port=0, close_s=0.2)
        await site.open()
        made.base = f"http://127.0.0.1:{site.port}"
        yield made
        await site.close()


async def test_balances_come_with_what_the_gate_keeps_closed(node: Node):
    node.floats["mpesa_utility"] = FloatSnapshot(500, 200, SEEN)
    node.closed[3] = "went back"
    assert await node.call("GET", "/floats") == (
        200,
        {
            "floats": {"mpesa_utility": {"minor": 500, "as_of": "2026-11-20T09:00:00.000Z"}},
            "closed_shards": {"3": "went back"},
        },
    )


@pytest.mark.parametrize(
    ("change", "told", "kind", "legs"),
    [
        ({}, listed(kes(55_500)), "mpesa_receipt", {"mpesa_paybill": 55_500, "suspense": -55_500}),
        (
            {"kind": "credit", "ref": "71"},
            listed(usd(2_000)),
            "deriv_credit",
            {"deriv_agent": 2_000, "suspense": -2_000},
        ),
        ({"kind": "debit", "ref": "72"}, listed(usd(-2_000), remedy=Remedy.REVIEW), "deriv_transaction", {}),
    ],
)
async def test_money_of_nobody_is_booked_once_and_a_person_asked(
    node: Node, change: dict, told: Finding, kind: str, legs: dict[str, int]
):
    node.actors.answers[CommitUnit] = lambda asked: Committed(asked.unit.unit_id)
    body = {**PAYMENT, **change}
    node.lists[body["kind"], body["ref"]] = replace(told, ref=body["ref"])
    assert await node.call("POST", "/movements", body) == (200, {"ref": body["ref"], "result": "booked"})
    ((address, asked),) = node.actors.asked
    unit = asked.unit
    assert (address, unit.unit_id) == ("shards/0/ledger", f"ref:{body['ref']}")
    assert [(one.kind, one.ref) for one in unit.references] == [(kind, body["ref"])]
    assert {entry.account.code: entry.amount_minor for one in unit.postings for entry in one.entries} == legs
    (review,) = unit.reviews
    assert (review.kind, review.owner_role, review.transaction_id) == (f"{body['kind']}_unmatched", "FINANCE", "")
    assert (review.evidence["ref"], review.evidence["at"]) == (body["ref"], "2026-11-20T09:00:00.000Z")
    assert [record.actor for record in (*node.logged, *unit.audit)] == ["staff:Achieng"] * 2


async def test_another_amount_than_booked_is_asked_about_and_books_nothing(node: Node):
    node.actors.answers[CommitUnit] = lambda asked: Committed(asked.unit.unit_id)
    mine = Booked(ref="72", amount=usd(-694), at=SEEN, transaction_id=PUSH.transaction_id)
    node.lists["debit", "72"] = replace(listed(usd(-100), remedy=Remedy.OTHER_AMOUNT), ref="72", mine=mine)
    body = {**PAYMENT, "kind": "debit", "ref": "72"}
    assert await node.call("POST", "/movements", body) == (200, {"ref": "72", "result": "booked"})
    ((address, asked),) = node.actors.asked
    unit = asked.unit
    assert (address, unit.unit_id, unit.postings, unit.references) == (
        "shards/0/ledger",
        "differs:72:-694:-100",
        (),
        (),
    )
    (review,) = unit.reviews
    assert (review.kind, review.owner_role, review.transaction_id) == ("movement_differs", "FINANCE", "")
    assert review.evidence == {
        "ref": "72",
        "listed": "-1.00 USD",
        "booked": "-6.94 USD",
        "at": "2026-11-20T09:00:00.000Z",
        "transaction": PUSH.transaction_id,
    }


async def test_the_question_about_a_payment_of_nobody_says_who_paid_as_every_other_does(node: Node):
    node.actors.answers[CommitUnit] = lambda asked: Committed(asked.unit.unit_id)
    node.lists["payment", PAYMENT["ref"]] = replace(listed(kes(55_500)), phone_tail="4126")
    await node.call("POST", "/movements", PAYMENT)
    ((_, asked),) = node.actors.asked
    assert asked.unit.reviews[0].evidence["phone_tail"] == "126"


@pytest.mark.parametrize(
    ("told", "status", "code"),
    [
        (None, 404, "not_found"),
        (Refused("InvalidToken"), 503, "rail_down"),
        (listed(kes(55_500), remedy=Remedy.LOOK_AGAIN), 409, "review_not_resolvable"),
        (listed(kes(55_500), remedy=Remedy.NONE, verdict=Verdict.MOVING), 409, "review_not_resolvable"),
        (listed(kes(55_500), remedy=Remedy.NONE), 409, "review_not_resolvable"),
    ],
)
async def test_nothing_is_booked_but_what_the_list_shows_and_nobody_waits_for(
    node: Node, told: Finding | GatewayError | None, status: int, code: str
):
    if told is not None:
        node.lists["payment", PAYMENT["ref"]] = told
    answered, body = await node.call("POST", "/movements", PAYMENT)
    assert (answered, body["code"]) == (status, code)
    assert (node.actors.asked, node.logged) == ([], [])


@pytest.mark.parametrize("code", [RejectCode.UNIT_DIFFERS, RejectCode.DUPLICATE_REFERENCE])
async def test_what_the_books_know_already_is_no_error(node: Node, code: RejectCode):
    node.actors.answers[CommitUnit] = lambda asked: UnitRejected(asked.unit.unit_id, code)
    node.lists["payment", PAYMENT["ref"]] = listed(kes(55_500))
    assert await node.call("POST", "/movements", PAYMENT) == (200, {"ref": PAYMENT["ref"], "result": "known"})


async def test_what_agrees_with_the_books_is_known_without_asking_the_ledger(node: Node):
    node.lists["payment", PAYMENT["ref"]] = listed(kes(55_500), remedy=Remedy.NONE, verdict=Verdict.AGREES)
    assert await node.call("POST", "/movements", PAYMENT) == (200, {"ref": PAYMENT["ref"], "result": "known"})
    assert node.actors.asked == []


async def test_a_ledger_that_refuses_is_heard(node: Node):
    node.lists["payment", PAYMENT["ref"]] = listed(kes(55_500))
    node.actors.answers[CommitUnit] = lambda asked: UnitRejected(asked.unit.unit_id, RejectCode.QUARANTINED)
    assert (await node.call("POST", "/movements", PAYMENT))[0] == 409
    node.actors.asked.clear()
    node.actors.answers[CommitUnit] = lambda _: LostAnswer()
    assert (await node.call("POST", "/movements", PAYMENT))[0] == 503


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "gift"}, "kind"),
        ({"ref": ""}, "ref"),
        ({"ref": "a b"}, "ref"),
        ({"amount": {"amount": "555.00", "currency": "KES"}}, "amount"),
        ({"reference": "NOBODY"}, "reference"),
        ({"at": "yesterday"}, "at"),
        ({"at": "0001-01-01T00:00:00+03:00"}, "at"),
        ({"at": "2026-02-31T00:00:00Z"}, "at"),
        ({"at": "2099-01-01T00:00:00Z"}, "at"),
        ({"by": ""}, "by"),
        ({"by": "Achieng\n"}, "by"),
        ({"by": ".."}, "by"),
        ({"by": "\u0391chieng"}, "by"),
        ({"shard": 3}, "shard"),
    ],
)
async def test_a_movement_that_is_none_is_refused(node: Node, change: dict, field: str):
    status, body = await node.call("POST", "/movements", {**PAYMENT, **change})
    assert (status, [error["field"] for error in body["errors"]]) == (400, [field])
    assert node.actors.asked == []


async def test_a_payment_that_names_an_operation_is_looked_up_at_safaricom(node: Node):
    node.stored[ULID] = PUSH
    assert await node.call("POST", "/payments", FOUND) == (
        202,
        {"receipt": "TKK1ABC2DE", "transaction": PUSH.transaction_id},
    )
    look = ProbePull(
        operation_id=ULID,
        shard=2,
        transaction_id=PUSH.transaction_id,
        reference="PC8Q2YB7D000",
        payer=PUSH.recipient,
        amount=kes(130_000),
        since=SEEN,
    )
    assert node.actors.told == [(DARAJA_GATE, look)]
    (record,) = node.logged
    assert (record.actor, record.action, record.subject) == ("staff:Achieng", "payment.look", ULID)


@pytest.mark.parametrize(
    "invented",
    [
        {"amount": {"amount": "150000.00", "currency": "KES"}},
        {"at": "2026-11-20T11:00:00.000+03:00"},
        {"reference": "PSOMEBODYELS"},
        {"transaction_id": ULID},
        {"by": ""},
    ],
)
async def test_nobody_tells_the_node_what_was_paid_or_whose_it_is(node: Node, invented: dict):
    node.stored[ULID] = PUSH
    status, body = await node.call("POST", "/payments", {**FOUND, **invented})
    assert (status, [error["field"] for error in body["errors"]]) == (400, list(invented))
    assert (node.actors.told, node.logged) == ([], [])


async def test_only_a_push_of_ours_can_be_paid(node: Node):
    assert (await node.call("POST", "/payments", FOUND))[0] == 404
    node.stored[ULID] = replace(PUSH, kind="B2C")
    assert (await node.call("POST", "/payments", FOUND))[0] == 404
    assert (node.actors.told, node.logged) == ([], [])


async def test_the_gate_is_opened_by_who_keeps_the_witness_and_it_is_logged(node: Node):
    node.actors.answers[AcceptRecovery] = lambda _: (1, 3)
    assert (await node.call("POST", "/recovery/open", {}))[0] == 400
    assert (node.actors.asked, node.logged) == ([], [])
    assert await node.call("POST", "/recovery/open", {"by": "Achieng"}) == (200, {"opened": [1, 3]})
    assert node.actors.asked == [(ANCHORS, AcceptRecovery())]
    assert [(record.actor, record.action) for record in node.logged] == [("staff:Achieng", "recovery.accept")]
    node.actors.asked.clear()
    node.actors.answers[AcceptRecovery] = lambda _: Refusal("forbidden", "line 3 is not an anchor of ours")
    status, body = await node.call("POST", "/recovery/open", {"by": "Achieng"})
    assert (status, body["detail"]) == (403, "line 3 is not an anchor of ours")


async def test_anchors_are_made_by_who_keeps_them(node: Node):
    node.actors.answers[MakeAnchors] = lambda _: "well"
    assert await node.call("POST", "/anchors") == (200, {"anchors": "well"})
    assert node.actors.asked == [(ANCHORS, MakeAnchors())]


async def test_money_keeps_its_currency(node: Node):
    node.actors.answers[CommitUnit] = lambda asked: Committed(asked.unit.unit_id)
    node.lists["credit", PAYMENT["ref"]] = listed(usd(2_000))
    await node.call("POST", "/movements", {**PAYMENT, "kind": "credit"})
    ((_, asked),) = node.actors.asked
    (posting,) = asked.unit.postings
    assert sum(entry.amount_minor for entry in posting.entries) == 0
    assert max(entry.amount_minor for entry in posting.entries) == usd(2_000).minor
