"""The console on the internal listener: what staff see, over real rows, and a page that speaks to nobody else."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import aiohttp
import pytest
from rich.console import Console as Terminal

from penpay import explain, review
from penpay.adapters.metrics import Metrics
from penpay.adapters.overview import MySqlOverview
from penpay.adapters.story_store import MySqlStories
from penpay.adapters.subject_store import MySqlSubjects
from penpay.adapters.system import RandomUlids
from penpay.domain.board import Board, FloatSnapshot, FxSnapshot, RailHealth
from penpay.domain.errors import Unavailable
from penpay.domain.overview import Check
from penpay.domain.presentation import time_text
from penpay.domain.review import Action, approval_of
from penpay.domain.review_view import actions_of
from penpay.domain.rules import Rules
from penpay.domain.timeline import Deadlines
from penpay.http.console import ConsoleDesk
from penpay.http.console_page import PAGES
from penpay.http.internal import InternalParts, internal_app
from penpay.http.pages import STATIC
from penpay.http.readiness import Dependency
from penpay.http.site import Site
from tests.http.rows import add_step, add_transaction
from tests.http.test_reviews import add_item
from tests.http.world import Customer, MovedClock

RIGHT = {"Authorization": "Bearer operators-secret"}
AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
DECISION = {"action": "refund", "by": "Achieng Otieno", "second": "Brian Kamau", "evidence": "ticket 4711"}
SETTLE = {**DECISION, "action": "settle", "evidence": "TK4ARHC36G"}
IN_REVIEW = {
    "state": "IN_REVIEW",
    "status": "IN_REVIEW",
    "data": {
        "money_at": "customer",
        "paid_minor": 130_000,
        "receipt": "QK1",
        "stk": ["01KAF0Z3T9V5N5W6H3C8Q2YB7E", "CONFIRMED", 0, 0, 0],
    },
}


class Readiness:
    """Redis is away; that closes nothing."""

    async def dependencies(self) -> list[Dependency]:
        return [
            Dependency(name="database", ok=True),
            Dependency(name="redis", ok=False, needed=False, detail="away: redis"),
        ]


@dataclass
class Console:
    desk: ConsoleDesk
    base: str
    session: aiohttp.ClientSession

    async def call(self, method: str, path: str, **more: Any) -> tuple[int, Any, aiohttp.ClientResponse]:
        async with self.session.request(method, self.base + path, **{"headers": RIGHT, **more}) as answer:
            body = await answer.json(content_type=None) if "json" in answer.content_type else await answer.text()
            return answer.status, body, answer

    async def get(self, path: str, **more: Any) -> Any:
        status, body, _ = await self.call("GET", path, **more)
        assert status == 200, body
        return body


@pytest.fixture
def ops_token() -> str:
    return "operators-secret"


@pytest.fixture
async def console(stores, sealer, module_database, ops_token: str) -> AsyncIterator[Console]:
    module_database.rows("DELETE FROM {ledger}.review_items")
    board = Board(
        fx=FxSnapshot(129_500_000, AT, "older than 60 s"),
        rails={"daraja": RailHealth(up=True), "deriv": RailHealth(up=False, reason="site_status: updating")},
        floats={"deriv_agent": FloatSnapshot(1_234_567, 2_000, AT), "mpesa_utility": FloatSnapshot(50_000, 0, AT)},
        closed_shards={3: "at unit 7, but unit 9 was committed"},
    )
    desk = ConsoleDesk(
        node="node-1",
        readiness=Readiness(),
        board=board,
        last_check=lambda: Check({"I1": 0, "I2": 3, "I4": 0}, unanswered=("I4",), news_at=AT, everything_at=None),
        reads=MySqlOverview(stores),
        items=MySqlSubjects(stores),
        stories=MySqlStories(stores, sealer),
        rules=Rules(),
        deadlines=Deadlines(),
        clock=MovedClock(),
        ids=RandomUlids(),
    )
    parts = InternalParts(
        readiness=Readiness(),
        operations=None,
        metrics=Metrics(),
        ids=RandomUlids(),
        ops_token=ops_token,
        drain=lambda: None,
        before_scrape=lambda: None,
        console=desk,
    )
    site = Site("internal", lambda: internal_app(parts), host="127.0.0.1", port=0, close_s=0.2)
    await site.open()
    async with aiohttp.ClientSession() as session:
        yield Console(desk, f"http://127.0.0.1:{site.port}", session)
    await site.close()


@pytest.fixture
def settings(module_database, tmp_path, monkeypatch):
    """What the commands start from: the same database, found through the environment."""
    from config.settings import load_settings  # noqa: PLC0415 - only here
    from tests.config.test_settings import MANDATORY  # noqa: PLC0415

    monkeypatch.chdir(tmp_path)
    return load_settings(
        {
            **MANDATORY,
            "APP_ENV": "testing",
            "HOME": str(tmp_path),
            "PENPAY_DATABASE__URL": module_database.url,
            "PENPAY_DATABASE__PREFIX": module_database.prefix,
        }
    )


# --- the overview -------------------------------------------------------------------------------------------------


async def test_the_overview_answers_the_four_questions(console: Console, customer: Customer, module_database):
    waits = datetime.now(UTC) + timedelta(minutes=5)
    old = add_transaction(module_database, customer, next_wake_at=waits)
    add_transaction(module_database, customer, next_wake_at=waits, state="DERIV_UNKNOWN")
    asked = add_transaction(module_database, customer, **IN_REVIEW)
    add_item(module_database, asked)
    add_item(module_database)
    module_database.rows("UPDATE {ledger}.review_items SET due_at = NOW(6) - INTERVAL 1 DAY WHERE transaction_id = ''")
    seen = await console.get("/admin/v1/overview")

    (desk,) = seen["reviews"]
    assert (desk["owner_role"], desk["open"], desk["overdue"]) == ("FINANCE", 2, 1)
    assert (seen["ready"], seen["dependencies"]["redis"]["detail"]) == (True, "away: redis")
    assert seen["invariants"]["broken"] == {"I2": 3}
    assert (seen["invariants"]["held"], seen["invariants"]["unanswered"]) == (1, ["I4"])
    assert seen["invariants"]["news_age_s"] > 3600
    assert seen["invariants"]["everything_age_s"] is None
    assert seen["gates"] == {"3": "at unit 7, but unit 9 was committed"}
    stages = {(one["type"], one["stage"]): (one["count"], one["oldest_s"]) for one in seen["transactions"]}
    assert stages.keys() == {("DEPOSIT", stage) for stage in ("AWAITING_PAYER", "DERIV_UNKNOWN", "IN_REVIEW")}
    assert all(count == 1 and age_s > 3600 for count, age_s in stages.values())
    assert seen["oldest"][0]["id"] == old
    assert seen["oldest"][0]["send"] == {"amount": "1300.00", "currency": "KES"}
    assert seen["rails"] == {
        "daraja": {"up": True, "reason": ""},
        "deriv": {"up": False, "reason": "site_status: updating"},
    }
    assert (seen["fx"]["mid_rate"], seen["fx"]["problem"]) == ("129.50", "older than 60 s")
    agent = seen["floats"]["deriv_agent"]
    assert (agent["balance"]["amount"], agent["reserved"]["amount"]) == ("12345.67", "20.00")
    assert agent["age_s"] > 3600
    assert seen["floats"]["mpesa_utility"]["balance"]["currency"] == "KES"
    assert seen["unknown_outcomes"] == {"daraja": 0, "deriv": 0}
    assert seen["outbox"] == {"lag_s": 0}
    assert customer.phone not in json.dumps(seen)


async def test_with_the_database_away_memory_still_answers_and_nothing_is_made_up(console: Console):
    class Away:
        async def unfinished(self, **_: object) -> None:
            raise Unavailable("database")

    console.desk.reads = Away()
    seen = await console.get("/admin/v1/overview")
    assert (seen["transactions"], seen["reviews"], seen["outbox"]) == (None, None, None)
    assert seen["rails"]["deriv"]["up"] is False


async def test_a_database_that_hangs_keeps_nobody_from_what_memory_knows(console: Console):
    class Hanging:
        async def unfinished(self, **_: object) -> None:
            await asyncio.Event().wait()

    console.desk.reads, console.desk.patience_s = Hanging(), 0.01
    seen = await console.get("/admin/v1/overview")
    assert (seen["transactions"], seen["rails"]["daraja"]["up"]) == (None, True)


async def test_many_consoles_ask_the_database_as_often_as_one(console: Console):
    asked, reads = [], console.desk.reads

    class Counted:
        async def unfinished(self, **how: Any) -> Any:
            asked.append(how)
            return await reads.unfinished(**how)

    console.desk.reads = Counted()
    console.desk.clock = Still()
    for _ in range(5):
        await console.get("/admin/v1/overview")
    assert len(asked) == 1
    console.desk.clock.passed_s += 1.0
    await console.get("/admin/v1/overview")
    assert [how["late_max"] for how in asked] == [20, 20]


class Still:
    """A clock that stands until the test moves it."""

    passed_s = 10.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return self.passed_s


# --- questions ----------------------------------------------------------------------------------------------------


async def test_open_questions_come_in_pages_and_a_page_survives_that_its_last_item_is_closed(
    console: Console, module_database
):
    made = [add_item(module_database) for _ in range(5)]
    add_item(module_database, closed=True)
    first = await console.get("/admin/v1/reviews", params={"limit": "2"})
    assert [one["id"] for one in first["items"]] == made[:2]
    assert first["next_cursor"] == made[1]
    module_database.rows("UPDATE {ledger}.review_items SET closed_at = NOW(6) WHERE id = %s", (made[1],))
    rest = await console.get("/admin/v1/reviews", params={"limit": "3", "cursor": first["next_cursor"]})
    assert [one["id"] for one in rest["items"]] == made[2:]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("asked", ["limit=0", "limit=101", "limit=x", "cursor=nonsense", "owner=me", "limit=1&limit=2"])
async def test_what_is_no_page_is_refused(console: Console, asked: str):
    status, body, answer = await console.call("GET", f"/admin/v1/reviews?{asked}")
    assert (status, body["code"]) == (400, "invalid_request")
    assert answer.content_type == "application/problem+json"


async def test_a_question_comes_with_every_exit_and_why_there_is_none(
    console: Console, customer: Customer, module_database
):
    transaction = add_transaction(module_database, customer, **IN_REVIEW)
    seen = await console.get(f"/admin/v1/reviews/{add_item(module_database, transaction)}")
    assert (seen["transaction"], seen["stage"], seen["evidence"]) == (transaction, "IN_REVIEW", {"receipt": "QK1"})
    exits = {one["action"]: one for one in seen["exits"]}
    assert exits.keys() == set(Action)
    assert {action for action, one in exits.items() if not one["refusal"]} == {"credit", "refund", "settle"}
    assert exits["credit"]["stages"][-1] == "DERIV_SENDING"
    assert exits["credit"]["operations"] == [
        {"kind": "DERIV_TRANSFER", "amount": {"amount": "9.66", "currency": "USD"}, "recipient": "CR1"}
    ]
    assert "has no exit by pay" in exits["pay"]["refusal"]
    assert exits["credit"]["approval"] is None


async def test_the_list_offers_what_the_exits_of_each_question_accept(
    console: Console, customer: Customer, module_database, settings
):
    """On a page, on the command line and in its transaction's story alike. With its operations: one is unproven."""
    free, going, asked = (add_transaction(module_database, customer, **IN_REVIEW) for _ in range(3))
    module_database.rows("UPDATE {ledger}.transactions SET state = 'DERIV_SENDING' WHERE id = %s", (going,))
    module_database.rows(
        "INSERT INTO {ledger}.provider_operations VALUES (%s, %s, 0, %s, 'DERIV_TRANSFER', 'UNKNOWN', 966, 'USD',"
        " '', '', '{}', '', '', '', 0, 0, NOW(6), NOW(6))",
        (RandomUlids().ulid(), asked, customer.id),
    )
    told = {"ref": "72", "listed": "-1.00 USD", "booked": "-6.94 USD", "at": "2026-11-20T09:00:00.000Z"}
    expected = {
        add_item(module_database, free): ["credit", "refund", "settle"],
        add_item(module_database, free, kind="receipt_missing"): ["close"],
        add_item(module_database, going): [],
        add_item(module_database, asked): [],
        add_item(module_database, kind="movement_differs", evidence=told): ["correct"],
        add_item(module_database): ["close"],
    }
    listed = (await console.get("/admin/v1/reviews"))["items"]
    assert {one["id"]: one["actions"] for one in listed} == expected
    assert {one.item.id: list(actions_of(one)) for one in await review.open_items(settings)} == expected
    for item, actions in expected.items():
        exits = (await console.get(f"/admin/v1/reviews/{item}"))["exits"]
        assert [one["action"] for one in exits if not one["refusal"]] == actions
    for transaction in (free, going, asked):
        for one in (await console.get(f"/admin/v1/transactions/{transaction}"))["reviews"]:
            assert one["actions"] == expected[one["id"]]


async def test_what_a_payer_wrote_is_shown_without_phone_numbers(console: Console, module_database):
    told = {"ref": "QK7", "amount": "250.00", "currency": "KES", "at": "2026-11-20T09:00:00.000Z"}
    evidence = {**told, "reference": "for 0712345678 please"}
    item = add_item(module_database, kind="payment_unmatched", evidence=evidence)
    for seen in (
        await console.get(f"/admin/v1/reviews/{item}"),
        (await console.get("/admin/v1/reviews"))["items"][0],
    ):
        assert seen["evidence"]["reference"] == "for 2547****678 please"
        assert seen["evidence"]["ref"] == "QK7"


@pytest.mark.parametrize("action", ["refund", "credit", "close", "pay"])
async def test_page_and_command_line_show_the_same_effect(
    console: Console, customer: Customer, module_database, settings, action: str
):
    item = add_item(module_database, add_transaction(module_database, customer, **IN_REVIEW))
    decision = {**DECISION, "action": action}
    status, page, _ = await console.call("POST", f"/admin/v1/reviews/{item}/preview", json=decision)
    assert status == 200
    told = await review.preview_of(settings, item, action, approval_of(**decision))
    assert page == told.rendered()
    assert page["approval"] == "Achieng Otieno and Brian Kamau, ticket 4711"
    (shown,) = [one for one in (await console.get(f"/admin/v1/reviews/{item}"))["exits"] if one["action"] == action]
    assert shown == {**page, "approval": None}


async def test_dollars_of_nobody_that_are_named_for_a_debit_are_previewed_as_what_they_are(
    console: Console, customer: Customer, module_database, settings
):
    """19.00 stand in suspense; 20.00 were debited."""
    data = {"money_at": "deriv_in", "debit_transaction_id": "21"}
    debited = {**IN_REVIEW, "data": {**data, "debit": ["01KAF0Z3T9V5N5W6H3C8Q2YB7E", "CONFIRMED", 0, 0, 0]}}
    money = {"send_minor": 2_000, "send_currency": "USD", "receive_minor": 249_000, "receive_currency": "KES"}
    transaction = add_transaction(module_database, customer, type="WITHDRAWAL", **debited, **money)
    item = add_item(module_database, transaction, kind="witness_missing")
    told = {"ref": "150000022", "amount": "19.00", "currency": "USD", "at": "2026-11-20T09:00:00.000Z"}
    add_item(module_database, kind="credit_unmatched", evidence=told)
    decision = {**DECISION, "action": "executed", "evidence": "150000022"}
    _, page, _ = await console.call("POST", f"/admin/v1/reviews/{item}/preview", json=decision)
    legs = [(one["account"], one["amount_minor"]) for one in page["postings"]]
    assert legs == [
        *(("suspense", 1_900), ("deriv_agent", -1_900)),
        *(("deriv_agent", 1_900), ("deriv_in", -2_000), ("write_off", 100)),
    ]
    seen = await review.preview_of(settings, item, "executed", approval_of(**decision))
    assert seen is not None
    assert seen.rendered() == page


async def test_a_preview_wants_what_a_decision_wants_and_writes_nothing(
    console: Console, customer: Customer, module_database
):
    item = add_item(module_database, add_transaction(module_database, customer, **IN_REVIEW))
    path = f"/admin/v1/reviews/{item}/preview"
    before = module_database.rows("SELECT * FROM {ledger}.review_items")
    status, body, _ = await console.call("POST", path, json={**DECISION, "second": "achieng OTIENO"})
    assert (status, [one["field"] for one in body["errors"]]) == (400, ["second"])
    assert (await console.call("POST", path, json={**DECISION, "action": "forgive"}))[0] == 400
    assert (await console.call("POST", path, data=b"x" * 5000, headers=RIGHT))[0] == 415
    assert (await console.call("POST", path, json=DECISION))[0] == 200
    assert module_database.rows("SELECT * FROM {ledger}.review_items") == before
    assert module_database.rows("SELECT 1 FROM {audit}.audit_log WHERE subject = %s", (item,)) == []


async def test_a_payment_of_nobody_is_shown_beside_the_deposit_that_may_have_been_paid_with_it(
    console: Console, customer: Customer, module_database, settings
):
    transaction, now = add_transaction(module_database, customer), datetime.now(UTC)
    asked = {"amount": "1300.00", "payer": "2547****126", "pushed_at": time_text(now)}
    listed = {"ref": "TK4ARHC36G", "amount": "1300.00", "currency": "KES", "at": time_text(now), "phone_tail": "126"}
    missing = add_item(module_database, transaction, kind="receipt_missing", evidence=asked)
    stray = add_item(module_database, kind="payment_unmatched", evidence=listed)
    other = add_item(module_database, kind="payment_unmatched", evidence={**listed, "phone_tail": "999"})
    of_stray = [{"item": missing, "kind": "receipt_missing", "transaction": transaction}]
    of_missing = [{"item": stray, "kind": "payment_unmatched", "transaction": None}]
    expected = {missing: of_missing, stray: of_stray, other: []}

    assert {one["id"]: one["same_money"] for one in (await console.get("/admin/v1/reviews"))["items"]} == expected
    assert {one.item.id: one.rendered(now)["same_money"] for one in await review.open_items(settings)} == expected
    for item, same in expected.items():
        assert (await console.get(f"/admin/v1/reviews/{item}"))["same_money"] == same
    _, seen, _ = await console.call("POST", f"/admin/v1/reviews/{stray}/preview", json=SETTLE)
    assert seen["same_money"] == of_stray
    (told,) = (await console.get(f"/admin/v1/transactions/{transaction}"))["reviews"]
    assert told["same_money"] == of_missing

    module_database.rows("UPDATE {ledger}.review_items SET closed_at = NOW(6) WHERE id = %s", (missing,))
    assert (await console.get(f"/admin/v1/reviews/{stray}"))["same_money"] == []
    assert (await console.get(f"/admin/v1/reviews/{missing}"))["same_money"] == []


async def test_a_closed_question_has_no_exits_any_more(console: Console, module_database):
    seen = await console.get(f"/admin/v1/reviews/{add_item(module_database, closed=True)}")
    assert seen["closed_at"]
    assert all("was closed" in one["refusal"] for one in seen["exits"])


# --- one transaction ----------------------------------------------------------------------------------------------


async def test_page_and_command_line_tell_the_same_story(
    console: Console, customer: Customer, module_database, settings
):
    transaction = add_transaction(module_database, customer, **IN_REVIEW)
    add_step(module_database, transaction, 1, "", "Created", "CREATED")
    add_step(module_database, transaction, 2, "CREATED", "MpesaPaid", "PAID", receipt="QK1")
    item = add_item(module_database, transaction)
    beside = add_item(module_database, transaction, kind="receipt_missing")
    console.desk.deadlines = explain.deadlines_of(settings)
    page = await console.get(f"/admin/v1/transactions/{transaction}")
    told = await explain.story_of(settings, transaction)
    assert page == told.rendered(explain.deadlines_of(settings))
    shown = StringIO()
    explain.show(Terminal(file=shown, width=200), told, explain.deadlines_of(settings))
    assert f"penpay review resolve {beside} --action close\n" in shown.getvalue()
    assert f"penpay review resolve {item} --action credit or refund" in shown.getvalue()
    assert page["transaction"]["phone"] == "2547****126"
    assert [step["event"] for step in page["timeline"]] == ["Created", "MpesaPaid"]
    actions = {one["id"]: one["actions"] for one in page["reviews"]}
    assert actions == {
        item: ["credit", "refund", "settle"],
        beside: ["close"],
    }
    assert "our team is looking at it" in page["outlook"].lower()


async def test_what_is_asked_beside_a_transaction_is_told_with_it(
    console: Console, customer: Customer, module_database, settings
):
    """It is over, and its customer calls: another amount moved than both of us were told."""
    mine, other = (add_transaction(module_database, customer) for _ in range(2))
    about = {"ref": "72", "listed": "-1.00 USD", "booked": "-6.94 USD", "at": "2026-11-20T09:00:00.000Z"}
    asked = add_item(module_database, kind="movement_differs", evidence={**about, "transaction": mine})
    payee = add_item(module_database, kind="payee_name", evidence={"transaction": mine, "score": "16"}, closed=True)
    add_item(module_database, kind="movement_differs", evidence={**about, "transaction": other})
    add_item(module_database, kind="movement_differs", evidence=about)
    page = await console.get(f"/admin/v1/transactions/{mine}")
    assert {one["id"]: one["actions"] for one in page["reviews"]} == {asked: ["correct"], payee: []}
    shown = StringIO()
    deadlines = explain.deadlines_of(settings)
    explain.show(Terminal(file=shown, width=200), await explain.story_of(settings, mine), deadlines)
    assert f"penpay review resolve {asked} --action correct" in shown.getvalue()


async def test_a_receipt_leads_to_its_transaction_and_money_of_nobody_says_so(
    console: Console, customer: Customer, module_database
):
    transaction, operation = add_transaction(module_database, customer), RandomUlids().ulid()
    module_database.rows(
        "INSERT INTO {ledger}.provider_operations VALUES (%s, %s, 0, %s, 'STK', 'CONFIRMED', 130000, 'KES',"
        " '', '', '{}', '', 'TK4ARHC36G', '', 0, 0, NOW(6), NOW(6))",
        (operation, transaction, customer.id),
    )
    for kind, ref, owner in (("mpesa_receipt", "TK4ARHC36G", operation), ("deriv_credit", "771", "")):
        module_database.rows(
            "INSERT INTO {ledger}.provider_references VALUES (%s, %s, %s, %s, NOW(6))", (kind, ref, owner, f"u:{ref}")
        )
    for typed in ("TK4ARHC36G", "tk4arhc36g"):
        (found,) = (await console.get(f"/admin/v1/references/{typed}"))["items"]
        assert (found["kind"], found["transaction"]) == ("mpesa_receipt", transaction)
    (found,) = (await console.get("/admin/v1/references/771"))["items"]
    assert (found["kind"], found["transaction"]) == ("deriv_credit", None)
    for unknown in ("TK4ARHC36X", "x", "%27%20OR%201", "a" * 65):
        assert (await console.call("GET", f"/admin/v1/references/{unknown}"))[0] == 404


@pytest.mark.parametrize("room", ["transactions/{}", "reviews/{}"])
async def test_what_is_unknown_is_not_found(console: Console, room: str):
    for id_ in (RandomUlids().ulid(), "nonsense", "%27%20OR%201"):
        status, body, answer = await console.call("GET", f"/admin/v1/{room.format(id_)}")
        assert (status, body["code"]) == (404, "not_found")
        assert answer.content_type == "application/problem+json"


# --- who may ------------------------------------------------------------------------------------------------------

CALLS = (
    ("GET", "/admin/v1/overview"),
    ("GET", "/admin/v1/reviews"),
    ("GET", "/admin/v1/reviews/01KAF0Z3T9V5N5W6H3C8Q2YB7E"),
    ("POST", "/admin/v1/reviews/01KAF0Z3T9V5N5W6H3C8Q2YB7E/preview"),
    ("GET", "/admin/v1/transactions/01KAF0Z3T9V5N5W6H3C8Q2YB7E"),
    ("GET", "/admin/v1/references/TK4ARHC36G"),
)


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_nothing_is_told_without_the_token(console: Console, method: str, path: str):
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "operators-secret"}):
        status, body, answer = await console.call(method, path, headers=headers)
        assert (status, body["code"]) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_the_token_does_not_help_a_page_of_another_site(console: Console):
    status, body, _ = await console.call(
        "GET", "/admin/v1/overview", headers={**RIGHT, "Origin": "https://evil.example"}
    )
    assert (status, body["code"]) == (403, "forbidden")
    await console.get("/admin/v1/overview", headers={**RIGHT, "Origin": console.base})


class TestWithoutToken:
    @pytest.fixture
    def ops_token(self) -> str:
        return ""

    async def test_loopback_is_enough(self, console: Console):
        await console.get("/admin/v1/overview", headers={})

    async def test_neither_another_site_nor_a_name_that_leads_here_is_let_in(self, console: Console):
        for headers, status in (
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Host": "evil.example"}, 421),
            ({"Host": "[::1"}, 421),
        ):
            assert (await console.call("GET", "/admin/v1/overview", headers=headers))[0] == status, headers
        for host in ("localhost:1", "127.0.0.9", "[::1]:80"):
            assert (await console.call("GET", "/admin/v1/overview", headers={"Host": host}))[0] == 200, host


# --- the page -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
async def test_the_page_is_served_whole_under_a_strict_policy(console: Console, path: str):
    status, text, answer = await console.call("GET", path, headers={})
    assert status == 200
    assert text == (STATIC / PAGES[path]).read_text()
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", PAGES.values())
def test_the_page_names_no_other_host_and_writes_no_markup(name: str):
    text = (STATIC / name).read_text()
    assert not re.search(r"\b(?:https?|wss?|data|blob):|[\"'(]//|@import|url\(", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|localStorage", text)
    if name.endswith(".html"):
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", text)


async def test_nothing_else_of_the_folder_can_be_reached(console: Console):
    for path in ("/console/docs.html", "/console/..%2fdocs.js", "/console/..%2fopenapi.json"):
        assert (await console.call("GET", path))[0] == 404
