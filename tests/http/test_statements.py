"""Signed receipts and statements of account."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from penpay.adapters.receipts import is_genuine
from penpay.domain.account_statement import COLUMNS
from penpay.domain.receipts import signed_bytes
from penpay.http import statements
from penpay.http.schemas import Receipt
from tests.http.rows import BEGAN, add_transaction
from tests.http.world import Customer, World, signed_in

DONE = {"state": "COMPLETED", "status": "COMPLETED", "data": {"receipt": "TKK1ABC2DE", "deriv_transaction_id": "9001"}}
NOVEMBER = {"from": "2026-11-01", "to": "2026-11-30"}


@pytest.fixture
def clock(clock):
    """In November's last days, whatever day it is."""
    clock.ahead = datetime(2026, 11, 30, 12, tzinfo=UTC) - datetime.now(UTC)
    return clock


async def test_a_receipt_can_be_checked_with_the_public_key_alone(world: World, customer: Customer, module_database):
    made = add_transaction(module_database, customer, completed_at=BEGAN, **DONE)
    answer = await customer.call("GET", f"/transactions/{made}/receipt")
    assert answer.status == 200
    Receipt.model_validate(answer.body)
    key = (await world.call("GET", "/receipts/key")).body["public_key"]
    assert key == answer.body["public_key"]
    said = answer.body["receipt"]
    assert said["transaction"] == (await customer.call("GET", f"/transactions/{made}")).body
    assert is_genuine(signed_bytes(said), answer.body["signature"], key)
    said["transaction"]["receive"]["amount"] = "9666.00"
    assert not is_genuine(signed_bytes(said), answer.body["signature"], key)
    assert not is_genuine(signed_bytes(said), "00" * 64, key)


async def test_a_receipt_asked_for_again_has_the_same_bytes(customer: Customer, module_database):
    made = add_transaction(module_database, customer, completed_at=BEGAN, **DONE)
    first, second = [(await customer.call("GET", f"/transactions/{made}/receipt")).raw for _ in range(2)]
    assert first == second


async def test_what_has_not_ended_has_no_receipt_yet(customer: Customer, module_database):
    for stage, status in (("AWAITING_PAYER", "AWAITING_MPESA_CALLBACK"), ("IN_REVIEW", "IN_REVIEW")):
        made = add_transaction(module_database, customer, state=stage, status=status)
        answer = await customer.call("GET", f"/transactions/{made}/receipt")
        assert (answer.status, answer.code) == (409, "receipt_not_ready")
        assert answer.body["retryable"]
        assert answer.body["next_action"]


def read(raw: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(raw.decode())))


async def test_a_statement_has_every_transaction_between_two_balances(
    world: World, customer: Customer, module_database, monkeypatch
):
    monkeypatch.setattr("config.limits.STATEMENT_PAGE", 2)
    stranger = await signed_in(world, linked=False)
    made = [add_transaction(module_database, customer, **DONE) for _ in range(5)]
    add_transaction(module_database, stranger, **DONE)
    answer = await customer.call("GET", "/statements", params=NOVEMBER)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="penpay-2026-11-01-2026-11-30.csv"'
    opening, *lines, closing = read(answer.raw)
    assert [line["transaction"] for line in lines] == made
    assert (opening["type"], opening["time"]) == ("OPENING", "2026-10-31T21:00:00.000Z")
    assert (opening["held_kes"], closing["held_usd"]) == ("0.00", "0.00")
    assert closing["type"] == "CLOSING"
    line = lines[0]
    assert (line["sent"], line["sent_currency"], line["received"], line["rate_kes_per_usd"]) == (
        *("1300.00", "KES"),
        *("9.66", "134.50"),
    )
    assert (line["mpesa_receipt"], line["deriv_transaction"], line["status"]) == ("TKK1ABC2DE", "9001", "COMPLETED")
    shown = (await customer.call("GET", f"/transactions/{made[0]}")).body
    assert line["time"] == shown["created_at"]


async def test_a_day_is_a_day_of_nairobi(customer: Customer, module_database):
    last = datetime(2026, 11, 19, 20, 59, 59, tzinfo=UTC)
    before = add_transaction(module_database, customer, created_at=last)
    after = add_transaction(module_database, customer, created_at=last + timedelta(seconds=1))
    for day, made in (("2026-11-19", before), ("2026-11-20", after)):
        answer = await customer.call("GET", "/statements", params={"from": day, "to": day})
        assert [line["transaction"] for line in read(answer.raw)[1:-1]] == [made]


async def test_a_time_stands_for_its_day_of_nairobi(customer: Customer, module_database):
    made = add_transaction(module_database, customer, created_at=datetime(2026, 11, 20, 3, tzinfo=UTC))
    times = {"from": "2026-11-19T21:00:00.000Z", "to": "2026-11-20T09:30:00+03:00"}
    answer = await customer.call("GET", "/statements", params=times)
    assert "penpay-2026-11-20-2026-11-20.csv" in answer.headers["Content-Disposition"]
    assert [line["transaction"] for line in read(answer.raw)[1:-1]] == [made]


async def test_a_period_ends_today_at_the_latest(world: World, customer: Customer):
    today = (world.edge.clock.now() + timedelta(hours=3)).date()
    answer = await customer.call("GET", "/statements", params={"from": "2026-11-01", "to": "2999-12-31"})
    assert f"penpay-2026-11-01-{today}.csv" in answer.headers["Content-Disposition"]


async def test_money_that_is_with_us_stands_in_the_balances(customer: Customer, module_database):
    made = add_transaction(module_database, customer, state="DERIV_SENDING")
    posting = 281_474_976_710_656 * 3 + int(made[-6:])
    at = BEGAN.replace(tzinfo=None)
    module_database.rows(
        "INSERT INTO {ledger}.postings VALUES (%s, %s, 3, %s, 'P1', 'posted', NULL, %s, REPEAT('a', 32), "
        "REPEAT('b', 32), %s)",
        (posting, f"{made}:3", made, int(made[-6:]), at),
    )
    account = f"customer:{customer.id}:KES"
    module_database.rows(
        "INSERT INTO {ledger}.accounts VALUES (%s, 3, 'customer', 'KES', %s, -130000, 1)", (account, customer.id)
    )
    module_database.rows(
        "INSERT INTO {ledger}.ledger_entries VALUES (%s, 1, %s, 'KES', -130000, -130000, 1)", (posting, account)
    )
    opening, *_, closing = read((await customer.call("GET", "/statements", params=NOVEMBER)).raw)
    assert (opening["held_kes"], closing["held_kes"]) == ("0.00", "1300.00")


async def test_no_value_of_a_statement_is_a_formula(customer: Customer, module_database):
    data = {"receipt": "=HYPERLINK(1)", "deriv_transaction_id": "@x"}
    add_transaction(module_database, customer, **{**DONE, "data": data})
    line = read((await customer.call("GET", "/statements", params=NOVEMBER)).raw)[1]
    assert (line["mpesa_receipt"], line["deriv_transaction"]) == ("'=HYPERLINK(1)", "'@x")


async def test_a_statement_can_be_printed(customer: Customer, module_database):
    for number in range(60):
        add_transaction(module_database, customer, **(DONE if number % 3 else {"state": "FAILED", "status": "FAILED"}))
    answer = await customer.call("GET", "/statements", params={**NOVEMBER, "format": "pdf"})
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/pdf")
    assert answer.raw.startswith(b"%PDF-")
    assert answer.raw.rstrip().endswith(b"%%EOF")
    assert b"/Count 2" in answer.raw


async def test_what_is_too_long_is_refused_before_it_is_read(customer: Customer, module_database, monkeypatch):
    monkeypatch.setattr("config.limits.STATEMENT_PDF_LINES_MAX", 1)
    for _ in range(2):
        add_transaction(module_database, customer, **DONE)
    answer = await customer.call("GET", "/statements", params={**NOVEMBER, "format": "pdf"})
    assert (answer.status, answer.code) == (422, "statement_too_large")
    assert (await customer.call("GET", "/statements", params=NOVEMBER)).status == 200


async def test_only_so_many_pages_are_drawn_at_once(customer: Customer, monkeypatch):
    class Busy:
        def locked(self) -> bool:
            return True

    monkeypatch.setattr(statements, "_drawing", Busy())
    answer = await customer.call("GET", "/statements", params={**NOVEMBER, "format": "pdf"})
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "overloaded", "2")


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"from": "2026-11-31"}, "from"),
        ({"from": "1.11.2026"}, "from"),
        ({"from": "0001-01-01"}, "from"),
        ({"to": "9999-12-31"}, "to"),
        ({"to": "2026-11-20T10:00:00"}, "to"),
        ({"to": "2026-11-20Tnever+03:00"}, "to"),
        ({"from": "2026-12-02", "to": "2026-12-31"}, "from"),
        ({"from": "2026-11-21", "to": "2026-11-20"}, "from"),
        ({"from": "2025-11-01", "to": "2026-11-20"}, "from"),
        ({"format": "xlsx"}, "format"),
        ({"user_id": "x"}, "user_id"),
    ],
)
async def test_a_period_that_is_none_is_named(customer: Customer, params: dict[str, str], field: str):
    answer = await customer.call("GET", "/statements", params=params)
    assert (answer.status, answer.code, answer.fields) == (400, "invalid_request", {field})


async def test_statements_are_limited(customer: Customer):
    for _ in range(6):
        assert (await customer.call("GET", "/statements")).status == 200
    answer = await customer.call("GET", "/statements")
    assert (answer.status, answer.code) == (429, "rate_limited")
    assert int(answer.headers["Retry-After"]) > 0


def test_every_line_has_every_column():
    assert len(COLUMNS) == len(set(COLUMNS)) == 13
