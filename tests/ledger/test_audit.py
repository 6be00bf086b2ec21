"""What somebody with every right on the database can do to the books, and how it is found."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from penpay.adapters.anchor_files import AnchorFiles, public_key_hex
from penpay.adapters.audit_store import MySqlHeads, MySqlSysAudit
from penpay.audit import verify
from penpay.domain.unit import AuditRecord
from penpay.ports_audit import Anchor
from tests.ledger.house import admitted, opened, paid

SEED = b"s" * 32
TABLES = ("units", "postings", "ledger_entries", "transaction_events", "outbox")
ROWS = 12


@pytest.fixture
async def ledger(database):
    """Twelve deposits: twelve audit records and twenty-four postings, so that every change has neighbours."""
    async with opened(database.url, prefix=database.prefix) as ledger:
        firsts = [admitted() for _ in range(ROWS)]
        await asyncio.gather(*map(ledger.commit, firsts))
        await asyncio.gather(*(ledger.commit(paid(first)) for first in firsts))
        yield ledger


@pytest.fixture
def book(tmp_path):
    return AnchorFiles(tmp_path, seed=SEED)


async def anchored(ledger, book):
    seen = await MySqlHeads(ledger.database).look()
    at = datetime.now(UTC)
    await book.append([Anchor(seen.installation_id, head.chain, head.seq, head.hash, at) for head in seen.heads])


def as_root(database, *statements):
    for table in TABLES:
        for change in ("update", "delete"):
            database.rows(f"DROP TRIGGER IF EXISTS {{ledger}}.{table}_no_{change}")
            database.rows(f"DROP TRIGGER IF EXISTS {{audit}}.audit_log_no_{change}")
    for statement in statements:
        database.rows(statement)


async def found(ledger, book):
    return {
        (verdict.chain, verdict.bad_seq, verdict.problem.split(":")[0].split(";")[0])
        for verdict in await verify(ledger.database, book)
        if not verdict.holds
    }


async def test_an_untouched_installation_is_whole(ledger, book):
    await MySqlSysAudit(ledger.database).append(
        [AuditRecord(actor="ops", action="login", subject="ops", detail={"from": "10.0.0.1"})] * 3, at=datetime.now(UTC)
    )
    await anchored(ledger, book)
    verdicts = {verdict.chain: verdict for verdict in await verify(ledger.database, book)}
    assert all(verdict.holds for verdict in verdicts.values()), verdicts
    assert verdicts["postings/0"].rows == 2 * ROWS
    assert verdicts["audit/0"].rows == 2 * ROWS
    assert verdicts["audit/sys"].rows == 3
    assert verdicts["postings/1"].rows == 0
    assert verdicts["postings/0"].line() == "postings/0: 24 rows, 1 anchors, whole"


@pytest.mark.parametrize(
    ("statement", "chain", "seq", "problem"),
    [
        ("UPDATE {ledger}.postings SET posting_key = 'gift' WHERE seq = 7", "postings/0", 7, "was edited"),
        (
            "UPDATE {ledger}.postings SET created_at = created_at + INTERVAL 1 DAY WHERE seq = 1",
            "postings/0",
            1,
            "was edited",
        ),
        (
            "UPDATE {ledger}.ledger_entries SET amount_minor = amount_minor * 2 WHERE posting_id = 5",
            "postings/0",
            5,
            "was edited",
        ),
        (
            "UPDATE {ledger}.ledger_entries SET balance_after_minor = 0 WHERE posting_id = 9 AND line = 1",
            "postings/0",
            9,
            "was edited",
        ),
        ("DELETE FROM {ledger}.ledger_entries WHERE posting_id = 4 AND line = 0", "postings/0", 4, "was edited"),
        ("DELETE FROM {ledger}.postings WHERE seq = 6", "postings/0", 6, "missing"),
        ("DELETE FROM {ledger}.postings WHERE seq = 1", "postings/0", 1, "missing"),
        ("DELETE FROM {ledger}.postings WHERE seq > 20", "postings/0", 21, "the rows behind are gone"),
        ("UPDATE {audit}.audit_log SET actor = 'nobody' WHERE seq = 3", "audit/0", 3, "was edited"),
        ("UPDATE {audit}.audit_log SET detail = 'x' WHERE seq = 24", "audit/0", 24, "was edited"),
        ("DELETE FROM {audit}.audit_log WHERE seq = 2", "audit/0", 2, "missing"),
        ("DELETE FROM {audit}.audit_log", "audit/0", 1, "the rows behind are gone"),
    ],
)
async def test_a_changed_or_missing_row_is_named(ledger, book, database, statement, chain, seq, problem):
    await anchored(ledger, book)
    as_root(database, statement)
    assert (chain, seq, problem) in await found(ledger, book)


@pytest.mark.parametrize(
    ("swap", "chain"),
    [
        ("UPDATE {ledger}.postings SET {change}", "postings/0"),
        ("UPDATE {audit}.audit_log SET {change}", "audit/0"),
    ],
    ids=["postings", "audit"],
)
async def test_exchanged_rows_are_named(ledger, book, database, swap, chain):
    step = {"postings/0": ", id = id {sign} 100", "audit/0": ""}[chain]
    as_root(
        database,
        swap.replace("{change}", "seq = seq + 100" + step.format(sign="+")) + " WHERE seq IN (5, 6)",
        swap.replace("{change}", "seq = 5" + step.format(sign="-").replace("id - 100", "5")) + " WHERE seq = 106",
        swap.replace("{change}", "seq = 6" + step.format(sign="-").replace("id - 100", "6")) + " WHERE seq = 105",
    )
    assert (chain, 5, "does not follow the row before it") in await found(ledger, book)


async def test_an_inserted_row_is_named(ledger, book, database):
    as_root(
        database,
        "INSERT INTO {audit}.audit_log (chain, seq, unit_id, at, actor, action, subject, detail, prev_hash, hash) "
        "SELECT chain, 25, 'x', at, 'nobody', action, subject, detail, hash, REPEAT('h', 32) FROM {audit}.audit_log "
        "WHERE seq = 24",
        "INSERT INTO {ledger}.ledger_entries VALUES (3, 2, '00:customer:KES:X', 'KES', 1, 1, 999)",
        "INSERT INTO {ledger}.ledger_entries VALUES (777, 0, '00:customer:KES:Y', 'KES', 1, 1, 999)",
    )
    assert await found(ledger, book) == {
        ("audit/0", 25, "was edited"),
        ("postings/0", 3, "was edited"),
        ("ledger_entries", 777, "belongs to no posting"),
    }


async def test_a_row_that_continues_the_chain_rightly_is_known_not_to_be_ours(ledger, book, database):
    from penpay.domain.chain import audit_hash, audit_head  # noqa: PLC0415 - the forger's tool

    columns = "SELECT hash FROM {audit}.audit_log WHERE seq = 24"
    previous = database.rows(columns)[0][0]
    at = "2026-11-20 12:00:00.000000"
    head = audit_head(chain="shard/0", unit_id="x", at=at, actor="a", action="b", subject="c", detail="{}")
    forged = audit_hash(previous, head, 25).hex()
    as_root(
        database,
        "INSERT INTO {audit}.audit_log (chain, seq, unit_id, at, actor, action, subject, detail, prev_hash, hash) "
        f"VALUES ('shard/0', 25, 'x', '{at}', 'a', 'b', 'c', '{{}}', x'{previous.hex()}', x'{forged}')",
    )
    assert await found(ledger, book) == {("audit/0", 25, "was added")}


async def test_a_tail_that_was_cut_together_with_its_head_is_found_by_an_anchor(ledger, book, database):
    head = "(SELECT hash FROM {ledger}.postings WHERE seq = 20)"
    cut = (
        f"UPDATE {{ledger}}.fences SET chain_seq = 20, chain_hash = {head} WHERE name = 'shard/0'",
        "DELETE FROM {ledger}.ledger_entries WHERE posting_id > 20",
        "DELETE FROM {ledger}.postings WHERE seq > 20",
    )
    await anchored(ledger, book)
    as_root(database, *cut)
    assert await found(ledger, book) == {("postings/0", 21, "the rows behind are gone")}


async def test_a_tail_cut_before_any_anchor_is_the_named_limit(ledger, book, database):
    as_root(
        database,
        "UPDATE {ledger}.fences SET audit_seq = 20, audit_hash = (SELECT hash FROM {audit}.audit_log WHERE seq = 20)"
        " WHERE name = 'shard/0'",
        "DELETE FROM {audit}.audit_log WHERE seq > 20",
    )
    assert await found(ledger, book) == set()


async def test_a_chain_that_was_rewritten_from_the_start_is_another_than_its_anchors(ledger, book, database):
    await anchored(ledger, book)
    seen = await MySqlHeads(ledger.database).look()
    other = AnchorFiles(book._folder, seed=SEED)
    false = [Anchor(seen.installation_id, "postings/0", 10, b"\x01" * 32, datetime.now(UTC))]
    await other.append(false)
    assert await found(ledger, book) == {
        ("postings/0", 10, "is another than its anchor of " + false[0].at.isoformat(" ")[:13])
    }


async def test_two_shards_cannot_exchange_their_chains(ledger, book, database):
    as_root(
        database,
        "UPDATE {ledger}.postings SET shard = 1, id = id + 281474976710656",
        "UPDATE {ledger}.ledger_entries SET posting_id = posting_id + 281474976710656",
        "UPDATE {audit}.audit_log SET chain = 'shard/1'",
        "UPDATE {ledger}.fences a JOIN {ledger}.fences b ON b.name = 'shard/0' SET a.chain_seq = b.chain_seq, "
        "a.chain_hash = b.chain_hash, a.audit_seq = b.audit_seq, a.audit_hash = b.audit_hash WHERE a.name = 'shard/1'",
        "UPDATE {ledger}.fences SET chain_seq = 0, audit_seq = 0 WHERE name = 'shard/0'",
    )
    assert await found(ledger, book) == {("postings/1", 1, "was edited"), ("audit/1", 1, "was edited")}


async def test_anchors_are_verified_with_the_public_key_alone(ledger, book, tmp_path):
    await anchored(ledger, book)
    reader = AnchorFiles(tmp_path, public_key=public_key_hex(SEED))
    assert await found(ledger, reader) == set()
    stranger = AnchorFiles(tmp_path, public_key=public_key_hex(b"t" * 32))
    assert {chain for chain, _, _ in await found(ledger, stranger)} == {"anchors"}


@pytest.mark.parametrize("change", [lambda text: text.replace('"seq": 24', '"seq": 20'), lambda text: "x" + text])
async def test_an_altered_anchor_is_no_anchor(ledger, book, tmp_path, change):
    await anchored(ledger, book)
    path = next(tmp_path.glob("*/anchors.jsonl"))
    path.write_text(change(path.read_text()))
    assert {chain for chain, _, _ in await found(ledger, book)} == {"anchors"}


async def test_a_torn_last_line_is_not_held_against_the_others(ledger, book, tmp_path):
    await anchored(ledger, book)
    path = next(tmp_path.glob("*/anchors.jsonl"))
    path.write_text(path.read_text() + '{"at": "2026')
    assert await found(ledger, book) == set()


async def test_records_of_staff_are_chained_by_any_node(ledger, database, book):
    audit = MySqlSysAudit(ledger.database)
    record = AuditRecord(actor="ops", action="restart", subject="penpay/rails", detail={"é": "'\\"})
    await asyncio.gather(*(audit.append([replace(record, subject=str(n))], at=datetime.now(UTC)) for n in range(10)))
    assert await found(ledger, book) == set()
    assert database.rows("SELECT COUNT(*), MAX(seq) FROM {audit}.audit_log WHERE chain = 'sys'") == [(10, 10)]
