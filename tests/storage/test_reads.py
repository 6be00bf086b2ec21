"""What sagas, users and the relay read."""

from datetime import UTC, datetime, timedelta

import pytest

from penpay.adapters.saga_store import MySqlSagaStore
from penpay.adapters.sql_text import Queries
from penpay.adapters.user_store import MySqlUserStore
from penpay.domain.fx import Direction
from penpay.domain.money import kes, usd
from penpay.domain.unit import UnitOfWork, UserStatusChange
from penpay.messages import Quote
from penpay.ports import UserRows
from tests.ledger.house import admitted, fresh_id, opened, paid, sealer, transaction_row

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
async def ledger(database):
    async with opened(database.url, prefix=database.prefix) as ledger:
        yield ledger


@pytest.mark.parametrize("times", [NOW, None])
async def test_a_transaction_is_read_as_it_was_recorded(ledger, times):
    first = admitted(transaction_row(quote_id=fresh_id(), next_wake_at=times, completed_at=times, counts=False))
    second = paid(first)
    await ledger.commit(first)
    sagas = MySqlSagaStore(ledger.database, sealer())
    assert (await sagas.load(first.transaction.row.id)).row == first.transaction.row
    await ledger.commit(second)
    rows = await sagas.load(first.transaction.row.id)
    assert rows.row == second.transaction.row
    assert [(operation.kind, operation.state) for operation in rows.operations] == [
        ("STK", "CONFIRMED"),
        ("DERIV_TRANSFER", "INTENT"),
    ]
    assert await sagas.load(fresh_id()) is None


async def test_a_users_counted_deposits_and_open_pushes_are_read(ledger, database):
    user_id = fresh_id()
    users = MySqlUserStore(ledger.database)
    assert await users.load(user_id, eat_day="2026-11-20") == UserRows(status="ACTIVE", deposits=(), last_push_at=None)
    kinds = {
        "today": transaction_row(user_id=user_id, state="COMPLETED"),
        "failed today": transaction_row(user_id=user_id, state="FAILED", counts=False),
        "yesterday": transaction_row(user_id=user_id, state="COMPLETED", eat_day="2026-11-19"),
        "open since yesterday": transaction_row(user_id=user_id, state="AWAITING_PAYER", eat_day="2026-11-19"),
        "of another": transaction_row(),
    }
    units = {name: admitted(row) for name, row in kinds.items()}
    for unit in units.values():
        await ledger.commit(unit)
    database.rows(
        "INSERT INTO {ledger}.rail_attempts (operation_id, attempt, rail, epoch, watermark, sent_at, outcome, code,"
        " provider_ref, facts) VALUES (%s, 1, 'rail/daraja', 1, '', %s, '', '', '', '')",
        (units["today"].new_operations[0].id, NOW.replace(tzinfo=None)),
    )
    rows = await users.load(user_id, eat_day="2026-11-20")
    assert {deposit.transaction_id for deposit in rows.deposits} == {
        kinds["today"].id,
        kinds["open since yesterday"].id,
    }
    assert {(deposit.usd_minor, deposit.kes_minor) for deposit in rows.deposits} == {(966, 130_000)}
    assert rows.last_push_at == NOW
    freeze = UserStatusChange(user_id=user_id, status="FROZEN", reason="")
    await ledger.commit(UnitOfWork(unit_id="user:1:1", shard=0, at=NOW, user_status=freeze))
    assert (await users.load(user_id, eat_day="2026-11-20")).status == "FROZEN"


async def test_a_quote_belongs_to_its_user_and_is_used_by_a_transaction(ledger):
    users = MySqlUserStore(ledger.database)
    quote = Quote(
        id=fresh_id(),
        user_id=fresh_id(),
        direction=Direction.DEPOSIT,
        send=kes(130_000),
        receive=usd(966),
        mid_rate_e6=129_500_000,
        spread_e6=5_000_000,
        created_at=NOW,
        expires_at=NOW + timedelta(minutes=15),
    )
    await users.add_quote(quote)
    await users.add_quote(quote)
    assert await users.quote(quote.id, quote.user_id) == (quote, False)
    assert await users.quote(quote.id, fresh_id()) is None
    await ledger.commit(admitted(transaction_row(user_id=quote.user_id, quote_id=quote.id)))
    assert await users.quote(quote.id, quote.user_id) == (quote, True)


async def test_what_the_books_say_of_a_reference_is_found_by_keys(database):
    """With every table empty the server may still choose to read one whole: what counts is that it could do else."""
    queries = Queries.load("reconcile", prefix=database.prefix)
    query = queries("booked", kinds=("mpesa_receipt",), account="mpesa", since=datetime.now(UTC), refs=("TKR6K4K9QN",))
    plan = database.rows(f"EXPLAIN {query}")
    assert len(plan) > 6
    assert [table for _, _, table, _, possible, *_ in plan if possible is None] == []
