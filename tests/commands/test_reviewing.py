"""`penpay review`: what waits for a person, and what an answer would do."""

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from penpay import review
from penpay.adapters.system import RandomUlids
from penpay.commands import reviewing
from penpay.domain.decision import Occasion
from penpay.domain.money import kes, usd
from penpay.domain.review import Action, Approval, ReviewItem
from penpay.domain.review_kinds import BESIDE
from penpay.domain.review_view import Subject, preview
from penpay.domain.rules import Rules
from penpay.domain.unit import TransactionRow
from penpay.ports import OperationRow, SagaRows
from tests.config.test_settings import MANDATORY

AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
OPERATION = "01KAF0Z3T9V5N5W6H3C8Q2YB7E"
TRANSACTION = "01KAF0Z3T9V5N5W6H3C8Q2YB7D"
APPROVAL = Approval("Achieng Otieno", "Brian Kamau", "ticket 4711")
PAID = {"money_at": "customer", "paid_minor": 130_000, "receipt": "QK1", "stk": [OPERATION, "CONFIRMED", 0, 0, 0]}
DEBITED = {"money_at": "customer", "debit_transaction_id": "71", "debit": [OPERATION, "CONFIRMED", 0, 0, 0]}


def item(**other: object) -> ReviewItem:
    usual = {
        "id": "01KAF0Z3T9V5N5W6H3C8Q2YB7F",
        "shard": 0,
        "transaction_id": TRANSACTION,
        "operation_id": "",
        "kind": "parked",
        "reason": "Deriv refused",
        "owner_role": "OPS",
        "opened_at": AT,
        "due_at": AT + timedelta(hours=4),
    }
    return ReviewItem(**{**usual, **other})


def rows(type_: str = "DEPOSIT", data: dict[str, object] | None = None, *operations: OperationRow) -> SagaRows:
    deposit = type_ == "DEPOSIT"
    row = TransactionRow(
        id=TRANSACTION,
        shard=0,
        user_id="01KAF0Z3T9V5N5W6H3C8Q2YB7C",
        type=type_,
        state="IN_REVIEW",
        status="IN_REVIEW",
        version=4,
        send=kes(130_000) if deposit else usd(2_000),
        receive=usd(966) if deposit else kes(249_000),
        quote_id="",
        mid_rate_e6=129_500_000,
        spread_e6=5_000_000,
        phone_mask="2547****126",
        deriv_loginid="CR1",
        route="",
        key_hash="",
        eat_day="2026-11-20",
        limit_usd_minor=0,
        counts=True,
        failure_code="deriv_refused",
        data=json.dumps((PAID if deposit else DEBITED) if data is None else data),
        next_wake_at=None,
        created_at=AT,
        updated_at=AT,
        completed_at=None,
    )
    return SagaRows(row, operations, ())


def operation(state: str, attempts: int, closed: int, *, under_way: bool = False) -> OperationRow:
    return OperationRow(
        id=OPERATION,
        transaction_id=TRANSACTION,
        shard=0,
        user_id="u",
        kind="DERIV_TRANSFER",
        state=state,
        amount=usd(966),
        recipient="CR1",
        reference="R",
        request={},
        provider_ref="",
        code="",
        attempts=attempts,
        attempts_closed=closed,
        created_at=AT,
        under_way=under_way,
    )


def looked(action: str, found: SagaRows | None, about: ReviewItem | None = None):
    subject = Subject(item=about or item())
    if found is not None:
        subject = Subject(item=subject.item, row=found.row, operations=found.operations)
    ids = tuple(RandomUlids().ulid() for _ in range(3))
    return preview(subject, action, APPROVAL, rules=Rules(), occasion=Occasion(AT + timedelta(hours=1), ids))


def legs(seen) -> dict[str, int]:
    return {f"{one.account.code}:{one.account.currency}": one.amount_minor for one in seen.entries}


def test_crediting_shows_the_hold_and_the_transfer():
    seen = looked("credit", rows())
    assert seen.refusal == ""
    assert seen.stages[0] == "IN_REVIEW"
    assert seen.stages[-1] == "DERIV_SENDING"
    assert legs(seen) == {"customer:KES": 130_000, "deriv_out:KES": -130_000}
    ((kind, amount, to),) = [(one.kind, one.amount, one.recipient) for one in seen.operations]
    assert (kind, amount, to) == ("DERIV_TRANSFER", usd(966), "CR1")
    assert seen.version == rows().row.version


def test_refunding_shows_the_reversal_of_the_receipt():
    seen = looked("refund", rows())
    assert seen.stages[-1] == "REFUND_SENDING"
    assert legs(seen) == {"customer:KES": 130_000, "refund_out:KES": -130_000}
    assert [(one.kind, one.amount) for one in seen.operations] == [("REVERSAL", kes(130_000))]


def test_returning_shows_the_dollars_on_their_way_back():
    seen = looked("return", rows("WITHDRAWAL"))
    assert seen.stages[-1] == "RETURN_SENDING"
    assert legs(seen) == {"customer:USD": 2_000, "deriv_out:USD": -2_000}
    assert [(one.kind, one.amount) for one in seen.operations] == [("DERIV_RETURN", usd(2_000))]


def test_paying_shows_the_payout():
    seen = looked("pay", rows("WITHDRAWAL"))
    assert seen.stages[-1] == "B2C_SENDING"
    assert [(one.kind, one.amount, one.recipient) for one in seen.operations] == [("B2C", kes(249_000), "2547****126")]


def test_settling_a_debit_that_deriv_undid_shows_that_nothing_of_ours_moves():
    seen = looked("settle", rows("WITHDRAWAL", {**DEBITED, "money_at": "deriv_in"}))
    assert (seen.refusal, seen.stages[-1], seen.operations) == ("", "REVERSED", ())
    assert legs(seen) == {"customer:USD": 2_000, "deriv_in:USD": -2_000}


def test_closing_needs_that_nothing_is_held():
    assert "stands at customer" in looked("close", rows()).refusal
    seen = looked("close", rows("DEPOSIT", {"money_at": "gone", "refund_receipt": "RK1"}))
    assert (seen.refusal, seen.stages[-1], seen.entries, seen.operations) == ("", "REVERSED", (), ())


@pytest.mark.parametrize("action", ["credit", "refund", "close"])
def test_an_operation_without_a_proven_end_bars_every_exit(action: str):
    data = {"money_at": "gone"} if action == "close" else None
    assert "without a proven end" in looked(action, rows("DEPOSIT", data, operation("UNKNOWN", 1, 0))).refusal
    assert looked(action, rows("DEPOSIT", data, operation("REFUSED", 1, 0))).refusal == ""


def test_a_call_that_is_under_way_is_not_seen_as_absent():
    open_ended = operation("UNKNOWN", 1, 0, under_way=True)
    assert "try again in a minute" in looked("absent", rows("DEPOSIT", None, open_ended)).refusal


@pytest.mark.parametrize("state", ["AWAITING_PAYER", "DERIV_SENDING", "IN_REVIEW", "COMPLETED"])
@pytest.mark.parametrize("kind", sorted(BESIDE))
def test_a_question_beside_a_saga_can_only_be_closed_and_moves_nothing(kind: str, state: str):
    open_ended = rows("DEPOSIT", None, operation("UNKNOWN", 1, 0))
    found = replace(open_ended, row=replace(open_ended.row, state=state, status=state))
    seen = {action: looked(action, found, item(kind=kind)) for action in Action}
    assert [action for action, one in seen.items() if not one.refusal] == [Action.CLOSE]
    close = seen[Action.CLOSE]
    assert (close.stages, close.entries, close.operations) == (("closed",), (), ())


@pytest.mark.parametrize(("type_", "action"), [("DEPOSIT", "pay"), ("DEPOSIT", "return"), ("WITHDRAWAL", "credit")])
def test_the_exits_of_the_other_type_are_none(type_: str, action: str):
    assert "has no exit" in looked(action, rows(type_)).refusal


def test_a_closed_item_and_one_without_a_transaction():
    assert "was closed" in looked("credit", rows(), item(closed_at=AT, resolution="by evidence")).refusal
    assert "belongs to no transaction" in looked("refund", None, item(transaction_id="")).refusal
    assert "belongs to no transaction" in looked("settle", None, item(transaction_id="")).refusal
    told = {"ref": "7", "amount": "2.00", "currency": "USD", "at": "2026-11-20T09:00:00.000Z"}
    debit = item(transaction_id="", kind="debit_unmatched", evidence=told)
    assert "ends as lost or own" in looked("close", None, debit).refusal
    assert looked("close", None, item(transaction_id="")).refusal == ""


def test_money_of_nobody_may_be_settled_and_the_preview_shows_what_is_booked():
    told = {"ref": "QK7", "amount": "250.00", "currency": "KES", "at": "2026-11-20T09:00:00.000Z"}
    seen = looked("settle", None, item(transaction_id="", kind="payment_unmatched", evidence=told))
    assert (seen.refusal, seen.stages) == ("", ("closed",))
    assert {entry.account.code.value: entry.amount_minor for entry in seen.entries} == {
        "suspense": 25_000,
        "mpesa_paybill": -25_000,
    }


# --- the commands -------------------------------------------------------------------------------------------------


class Node(BaseHTTPRequestHandler):
    """Stands where the running node's internal listener is."""

    asked: list[tuple[str, dict]]
    body = b'{"detail":"too late"}'
    status = 200

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def node() -> Iterator[type[Node]]:
    class Recorded(Node):
        asked: list[tuple[str, dict]] = []  # noqa: RUF012 - one list per test

    server = HTTPServer(("127.0.0.1", 0), Recorded)
    Recorded.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Recorded
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def penpay(database, node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    settings = {
        **MANDATORY,
        "APP_ENV": "development",
        "HOME": str(tmp_path),
        "PENPAY_DATABASE__URL": database.url,
        "PENPAY_DATABASE__PREFIX": database.prefix,
        "PENPAY_HTTP__INTERNAL_BIND": f"127.0.0.1:{node.port}",
        "COLUMNS": "200",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    app = typer.Typer()
    reviewing.register(app)
    return lambda *arguments: CliRunner().invoke(app, ["review", *arguments])


def add_item(
    database,
    *,
    due: timedelta,
    transaction: str = "",
    kind: str = "evidence_unmatched",
    evidence: dict[str, str] | None = None,
) -> str:
    id_, now = RandomUlids().ulid(), datetime.now(UTC).replace(tzinfo=None)
    database.rows(
        "INSERT INTO {ledger}.review_items VALUES (%s, 0, %s, '', %s, 'whose is it', 'OPS', %s, %s, %s, NULL, '')",
        (id_, transaction, kind, json.dumps(evidence or {}), now + due, now - timedelta(minutes=90)),
    )
    return id_


DECISION = ("--action", "close", "--by", "Achieng Otieno", "--second", "Brian Kamau", "--evidence", "ticket 4711")


def test_the_list_begins_with_what_is_most_urgent(database, penpay):
    later, sooner = add_item(database, due=timedelta(hours=4)), add_item(database, due=timedelta(hours=-1))
    listed = json.loads(penpay("list", "--json").stdout)
    assert [(one["id"], one["overdue"]) for one in listed] == [(sooner, True), (later, False)]
    assert listed[0]["age_s"] >= 5400
    shown = penpay("list").stdout
    assert "2 open review items" in shown
    assert shown.index(sooner) < shown.index(later)
    assert "evidence_unmatched: whose is it" in shown


def test_the_list_says_what_may_be_done_with_each(database, penpay):
    add_item(database, due=timedelta(hours=1))
    add_item(database, due=timedelta(hours=2), transaction=TRANSACTION, kind="evidence_unusable")
    listed = json.loads(penpay("list", "--json").stdout)
    assert [(one["kind"], one["actions"]) for one in listed] == [
        ("evidence_unmatched", ["close"]),
        ("evidence_unusable", ["close"]),
    ]
    assert "close" in penpay("list").stdout


def test_a_list_that_is_cut_says_so(database, penpay, monkeypatch: pytest.MonkeyPatch):
    add_item(database, due=timedelta(hours=1))
    assert "there are more" not in penpay("list").stderr
    add_item(database, due=timedelta(hours=2))
    monkeypatch.setattr(review, "ITEMS_MAX", 1)
    result = penpay("list", "--json")
    assert (len(json.loads(result.stdout)), result.exit_code) == (1, 0)
    assert "there are more; these are the 1 most urgent" in result.stderr


def test_a_question_beside_a_transaction_is_closed_whatever_that_does(database, penpay, node):
    id_ = add_item(database, due=timedelta(hours=1), transaction=TRANSACTION, kind="evidence_unusable")
    refused = penpay("resolve", id_, "--action", "credit", *DECISION[2:], "--yes")
    assert (refused.exit_code, node.asked) == (1, [])
    assert "its transaction does not wait for it: it can only be closed" in refused.stdout
    done = penpay("resolve", id_, *DECISION, "--yes")
    assert done.exit_code == 0, done.output
    assert "nothing is posted and nothing is sent" in done.stdout
    assert [path for path, _ in node.asked] == [f"/admin/v1/reviews/{id_}/resolve"]


def test_a_question_comes_with_what_is_known_of_it(database, penpay):
    """Whoever looks for it on a provider's page needs its id there; what a payer wrote may be a phone number."""
    told = {"ref": "150000011", "amount": "7.00", "currency": "USD", "at": "2026-11-20T09:00:00.000Z"}
    id_ = add_item(database, due=timedelta(hours=1), kind="debit_unmatched", evidence={**told, "note": "+254712345678"})
    wanted = "ref 150000011, amount 7.00, currency USD, at 2026-11-20T09:00:00.000Z"
    for said in (
        penpay("list").stdout,
        penpay("resolve", id_, "--action", "own", *DECISION[2:]).stdout,
        penpay("resolve", id_, "--action", "credit", *DECISION[2:]).stdout,
    ):
        assert wanted in " ".join(said.replace("│", " ").split())
        assert "254712345678" not in said


def test_nothing_is_decided_without_yes(database, penpay, node):
    result = penpay("resolve", add_item(database, due=timedelta(hours=1)), *DECISION)
    assert result.exit_code == 0
    assert "nothing is posted and nothing is sent" in result.stdout
    assert "add --yes" in result.stdout
    assert node.asked == []


def test_with_yes_the_running_node_is_told_who_decided(database, penpay, node):
    id_ = add_item(database, due=timedelta(hours=1))
    result = penpay("resolve", id_.lower(), *DECISION, "--yes", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["done"] is True
    body = {"action": "close", "by": "Achieng Otieno", "second": "Brian Kamau", "evidence": "ticket 4711"}
    assert node.asked == [(f"/admin/v1/reviews/{id_}/resolve", body)]


def test_what_the_node_tells_besides_is_told(database, penpay, node):
    """A question about two amounts is closed without a booking when they agree by then."""
    node.body = b'{"note":"nothing was booked"}'
    said = penpay("resolve", add_item(database, due=timedelta(hours=1)), *DECISION, "--yes")
    assert (said.exit_code, said.stdout.splitlines()[-1]) == (0, "done. nothing was booked")
    told = penpay("resolve", add_item(database, due=timedelta(hours=1)), *DECISION, "--yes", "--json")
    assert json.loads(told.stdout)["note"] == "nothing was booked"


def test_what_the_node_refuses_is_a_failed_command(database, penpay, node):
    node.status = 409
    result = penpay("resolve", add_item(database, due=timedelta(hours=1)), *DECISION, "--yes")
    assert result.exit_code == 1
    assert "too late" in result.stderr
    assert "done" not in result.stdout


def test_a_refused_exit_asks_nobody(database, penpay, node):
    id_ = add_item(database, due=timedelta(hours=1))
    result = penpay("resolve", id_, "--action", "refund", *DECISION[2:], "--yes")
    assert result.exit_code == 1
    assert "belongs to no transaction" in result.stdout
    assert node.asked == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (("--second", "achieng otieno"), 2),
        (("--evidence", " "), 2),
        (("--action", "forgive"), 2),
    ],
)
def test_one_name_no_reference_or_no_action_is_wrong_usage(database, penpay, node, change, status: int):
    id_ = add_item(database, due=timedelta(hours=1))
    result = penpay("resolve", id_, *DECISION, *change, "--yes")
    assert result.exit_code == status
    assert change[0] in result.stderr
    assert node.asked == []


def test_an_unknown_item_is_said_so(penpay, node):
    result = penpay("resolve", RandomUlids().ulid(), *DECISION)
    assert result.exit_code == 1
    assert "no review item" in result.stderr


@pytest.mark.parametrize("action", Action)
def test_the_help_says_what_each_decision_means(action: Action):
    assert re.search(rf"\b{action}\b[^:]*: ", reviewing.ACTIONS)
