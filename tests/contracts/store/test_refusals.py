"""What the schema refuses, whoever asks: CHECKs by their names, texts that do not fit, ends of dead units."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from penpay.domain.errors import StoreError
from penpay.domain.ledger import Account, AccountCode
from penpay.domain.money import Currency, kes, usd
from penpay.domain.unit import OutboxEvent, UserStatusChange
from penpay.ports import CheckViolated, Duplicate
from penpay.ports_ledger import DeadUnit, LedgerBatch, Wanted
from tests.contracts.store.planning import owner_of, recorded
from tests.contracts.store.test_duplicates import ACCOUNTS, CUSTOMER, FIRST, PAID, ROW, TABLES, Case, refused
from tests.contracts.store.units import begun
from tests.ledger.house import SHARD, answer, fresh_id, plain, stk, transaction_row

SMALL = {"00:mpesa_paybill:KES": (130_000, 1)}


def spoilt(account_id: str, account: Account, minor: int) -> Any:
    """The batch leaves an account where it may not be."""

    def spoil(batch: LedgerBatch) -> None:
        batch.accounts[account_id] = (account, minor, 9)

    return spoil


def opened(**changes: object) -> Case:
    row = transaction_row(**changes)
    return Case("", begun(row, unit_id=f"{row.id}:1"), accounts=SMALL)


CUSTOMERS = Account(SHARD, AccountCode.CUSTOMER, Currency.KES, ROW.user_id)
FEES = Account(SHARD, AccountCode.MPESA_FEES, Currency.KES)
LATER = transaction_row()
CHECKS = {
    "ck_accounts_credit_side": Case(
        "", plain(user_id=ROW.user_id), accounts=ACCOUNTS, spoil=spoilt(CUSTOMER, CUSTOMERS, 1)
    ),
    "ck_accounts_debit_side": Case(
        "",
        plain(),
        accounts=SMALL,
        spoil=lambda batch: (batch.new_accounts.add(FEES.id), batch.accounts.__setitem__(FEES.id, (FEES, -1, 1))),
    ),
    "ck_accounts_version": Case(
        "",
        plain(user_id=ROW.user_id),
        accounts=ACCOUNTS,
        spoil=lambda batch: batch.accounts.__setitem__(CUSTOMER, (CUSTOMERS, 0, 0)),
    ),
    "ck_transactions_type": opened(type="GIFT"),
    "ck_transactions_amounts": opened(send=kes(0)),
    "ck_transactions_currencies": opened(receive=kes(966)),
    "ck_transactions_rate": opened(spread_e6=129_500_000),
    "ck_transactions_version": Case(
        "", begun(LATER), accounts=SMALL, spoil=lambda batch: batch.inserted.__setitem__(LATER.id, (replace(LATER), 0))
    ),
    "ck_operations_amount": Case("", begun(new_operations=(stk(amount=usd(0)),)), accounts=SMALL),
    "ck_answers_status": Case("", replace(plain(), answer=answer(transaction_row(), status=500)), accounts=SMALL),
    "ck_user_status_status": Case(
        "",
        replace(plain(), user_status=UserStatusChange(user_id=fresh_id(), status="GONE", reason="")),
        accounts=SMALL,
    ),
}
TEXTS = {
    "too long for its column": opened(phone_mask="2" * 25),
    "a kind that is too long": Case("", begun(new_operations=(stk(reference="R" * 65),)), accounts=SMALL),
    "not ascii": opened(deriv_loginid="CR9é"),
    "a stream that is too long": Case(
        "",
        replace(plain(), outbox=(OutboxEvent(stream="s" * 25, event_id="e", type="t", user_id="", body="{}"),)),
        accounts=SMALL,
    ),
    "bytes that are too many": Case("", begun(new_operations=(stk(sealed_request=b"x" * 4097),)), accounts=SMALL),
}
FITTING = {
    "the widest texts": opened(phone_mask="2" * 24, deriv_loginid="C" * 32, data="é€" * 1000),
    "the most bytes": Case("", begun(new_operations=(stk(sealed_request=b"x" * 4096),)), accounts=SMALL),
    "any letter where any letter may be": Case("", begun(new_operations=(stk(recipient="Ünï"),)), accounts=SMALL),
}


@pytest.fixture
async def house(stage):
    process = await owner_of(stage)
    fence = await recorded(process, FIRST, PAID)
    return stage, process, fence


@pytest.mark.parametrize("name", CHECKS)
async def test_a_check_refuses_by_its_name(house, name):
    stage, process, _ = house
    before = {table: stage.stored(table) for table in TABLES}
    error = await refused(process, CHECKS[name])
    assert isinstance(error, CheckViolated)
    assert name in str(error)
    assert {table: stage.stored(table) for table in TABLES} == before


@pytest.mark.parametrize("name", TEXTS)
async def test_a_text_that_does_not_fit_is_refused_whole(house, name):
    stage, process, _ = house
    before = {table: stage.stored(table) for table in TABLES}
    error = await refused(process, TEXTS[name])
    assert type(error) is StoreError
    assert error.args[0] in {1406, 1366}
    assert {table: stage.stored(table) for table in TABLES} == before


@pytest.mark.parametrize("name", FITTING)
async def test_a_text_that_fits_is_stored_as_it_is(house, name):
    _, process, _ = house
    unit = FITTING[name].unit
    await recorded(process, unit)
    loaded = await process.sagas.load(unit.transaction.row.id)
    assert loaded.row == unit.transaction.row
    assert [operation.recipient for operation in loaded.operations] == [new.recipient for new in unit.new_operations]
    assert [row.sealed_request for row in loaded.operations] == [new.sealed_request for new in unit.new_operations]


async def test_a_dead_unit_is_buried_once_with_a_question(house):
    stage, process, _ = house
    at = "2026-11-20 14:58:15.000001"
    dead = DeadUnit(id=fresh_id(), unit_id="u:1", transaction_id=ROW.id, reason="why", at=at)

    async def bury() -> None:
        async with process.ledger.transaction(0) as transaction:
            await transaction.open(Wanted())
            await transaction.bury(dead)

    await bury()
    with pytest.raises(Duplicate) as caught:
        await bury()
    assert caught.value.key == "dead_letters.PRIMARY"
    (question,) = stage.stored("review_items")
    assert (question["kind"], question["transaction_id"], question["closed_at"]) == ("unit_quarantined", ROW.id, "")
    assert question["due_at"] == datetime(2026, 11, 20, 18, 58, 15, 1, tzinfo=UTC).replace(tzinfo=None)
    assert [row["subject"] for row in stage.stored("dead_letters")] == ["u:1"]
