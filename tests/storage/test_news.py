"""Who was told by mail up to where: one node at a time, and no old news."""

from datetime import UTC, datetime, timedelta

import pytest

from penpay.adapters.database import Database
from penpay.adapters.news_store import CLAIM_S, MySqlNews
from penpay.domain.json_text import json_bytes
from penpay.domain.presentation import render_transaction
from tests.ledger.house import transaction_row

AT = datetime(2026, 11, 20, 9, tzinfo=UTC)


@pytest.fixture
async def mails(module_database):
    for statement in (
        "DELETE FROM {users}.mail_cursors",
        "UPDATE {ledger}.fences SET outbox_seq = 0",
    ):
        module_database.rows(statement)
    database = Database(module_database.url, prefix=module_database.prefix)
    yield MySqlNews(database, reader="mail")
    database.close()


def add(module_database, shard: int, seq: int, *, stream: str = "transactions", age_s: int = 0, body: str = "") -> None:
    module_database.rows(
        "INSERT INTO {ledger}.outbox VALUES (%s, %s, %s, %s, 't', 'u', %s, %s)",
        (
            *(shard, seq, stream, f"e{shard}-{seq}"),
            *(body or f'{{"n":{seq}}}', (AT - timedelta(seconds=age_s)).replace(tzinfo=None)),
        ),
    )
    module_database.rows("UPDATE {ledger}.fences SET outbox_seq = %s WHERE name = %s", (seq, f"shard/{shard}"))


async def test_one_node_is_at_a_shard_at_a_time_and_goes_on_where_it_was(mails, module_database):
    for seq in (1, 2, 3):
        add(module_database, 0, seq, stream="balances" if seq == 2 else "transactions")
    assert await mails.shards_with_news() == [0]
    events = await mails.claim(0, at=AT, limit=10)
    assert [(event.seq, event.transaction) for event in events] == [(1, {"n": 1}), (2, {}), (3, {"n": 3})]
    assert await mails.claim(0, at=AT, limit=10) is None
    await mails.told(0, 2, at=AT)
    assert [event.seq for event in await mails.claim(0, at=AT, limit=10)] == [3]
    await mails.told(0, 3, at=AT)
    assert await mails.shards_with_news() == []


async def test_a_claim_of_a_node_that_died_ends(mails, module_database):
    add(module_database, 1, 1)
    assert await mails.claim(1, at=AT, limit=10)
    assert await mails.claim(1, at=AT + timedelta(seconds=CLAIM_S - 1), limit=10) is None
    assert await mails.claim(1, at=AT + timedelta(seconds=CLAIM_S), limit=10)


async def test_what_is_a_day_old_when_mail_begins_is_no_news(mails, module_database):
    add(module_database, 2, 1, age_s=90_000)
    add(module_database, 2, 2, age_s=60)
    assert [event.seq for event in await mails.claim(2, at=AT, limit=10)] == [2]


async def test_a_cursor_never_goes_back(mails, module_database):
    add(module_database, 3, 1)
    await mails.claim(3, at=AT, limit=10)
    await mails.told(3, 1, at=AT)
    await mails.told(3, 0, at=AT)
    assert await mails.shards_with_news() == []


async def test_who_follows_one_direction_is_carried_past_the_other(module_database, mails):
    names = MySqlNews(mails._database, reader="names", type_="WITHDRAWAL")
    for seq, type_ in enumerate(("DEPOSIT", "WITHDRAWAL", "DEPOSIT"), start=11):
        row = transaction_row(type=type_)
        add(module_database, 0, seq, body=json_bytes(render_transaction(row, {})).decode())
    events = (await names.claim(0, at=AT, limit=10))[-3:]
    assert [(event.seq, event.transaction.get("type")) for event in events] == [
        (11, None),
        (12, "WITHDRAWAL"),
        (13, None),
    ]
