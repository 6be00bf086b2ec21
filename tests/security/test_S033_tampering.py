"""S33: whoever has every right on the database cannot change its history unseen; the first row that is wrong is named.

On a real installation, by the commands that an operator has. Triggers are dropped first, as such a person would.
"""

import pytest

from tests.security.books import Books

AUDIT = "penpay_audit.audit_log"
COLUMNS = "unit_id, at, actor, action, subject, detail, prev_hash, hash"


def whole(books: Books) -> bool:
    return books.penpay("audit", "verify").status == 0


def test_what_nobody_touched_is_whole(books: Books):
    ran = books.penpay("audit", "verify")
    assert (ran.status, "chains are whole" in ran.said) == (0, True), ran.said
    assert books.broken() == set()


def edited(chain: str, _other: str, _length: int) -> tuple[list[str], int]:
    return [f"UPDATE {AUDIT} SET actor = 'nobody' WHERE chain = '{chain}' AND seq = 3"], 3


def middle_deleted(chain: str, _other: str, _length: int) -> tuple[list[str], int]:
    return [f"DELETE FROM {AUDIT} WHERE chain = '{chain}' AND seq = 3"], 3


def tail_deleted(chain: str, _other: str, length: int) -> tuple[list[str], int]:
    return [f"DELETE FROM {AUDIT} WHERE chain = '{chain}' AND seq > {length - 2}"], length - 1


def reordered(chain: str, _other: str, _length: int) -> tuple[list[str], int]:
    steps = ((3, 1003), (4, 3), (1003, 4))
    return [f"UPDATE {AUDIT} SET seq = {to} WHERE chain = '{chain}' AND seq = {at}" for at, to in steps], 3


def inserted(chain: str, _other: str, length: int) -> tuple[list[str], int]:
    copied = f"SELECT chain, {length + 1}, {COLUMNS} FROM {AUDIT} WHERE chain = '{chain}' AND seq = {length}"
    return [f"INSERT INTO {AUDIT} (chain, seq, {COLUMNS}) {copied}"], length + 1


def exchanged(chain: str, other: str, _length: int) -> tuple[list[str], int]:
    steps = ((chain, "aside"), (other, chain), ("aside", other))
    return [f"UPDATE {AUDIT} SET chain = '{to}' WHERE chain = '{at}'" for at, to in steps], 1


@pytest.mark.parametrize("attack", [edited, middle_deleted, tail_deleted, reordered, inserted, exchanged])
def test_each_attack_on_the_log_is_named_by_its_first_row(books: Books, attack):
    (chain, length), (other, _), *_ = books.chains()
    statements, first = attack(chain, other, length)
    with books.tampered(*statements):
        ran = books.penpay("audit", "verify")
    assert ran.status == 1, ran.said
    assert f"audit/{chain.removeprefix('shard/')}: row {first}: " in ran.said
    assert whole(books)


@pytest.mark.parametrize(
    ("statement", "first"),
    [
        ("UPDATE penpay_ledger.ledger_entries SET amount_minor = amount_minor + 1 WHERE posting_id = {id}", "{seq}"),
        ("UPDATE penpay_ledger.postings SET posting_key = 'gift' WHERE id = {id}", "{seq}"),
        ("DELETE FROM penpay_ledger.postings WHERE id = {id}", "{seq}"),
        ("DELETE FROM penpay_ledger.postings WHERE shard = {shard} AND seq >= {seq}", "{seq}"),
    ],
    ids=["an amount", "a posting", "one deleted", "the tail"],
)
def test_so_is_each_attack_on_the_journal(books: Books, statement: str, first: str):
    ((id_, shard, seq),) = books.rows(
        "SELECT id, shard, seq FROM penpay_ledger.postings WHERE transaction_id IS NOT NULL ORDER BY shard, seq LIMIT 1"
    )
    with books.tampered(statement.format(id=id_, shard=shard, seq=seq)):
        ran, broken = books.penpay("audit", "verify"), books.broken()
    assert ran.status == 1, ran.said
    assert f"postings/{shard}: row {first.format(seq=seq)}: " in ran.said
    # The books themselves do not hold either, whoever computed new hashes: but for a key that no sum depends on.
    assert bool(broken) == ("gift" not in statement), broken
    assert whole(books)


def test_an_anchor_that_was_rewritten_is_no_anchor(books: Books):
    """Anchors are signed: who holds their folder but not the key cannot make one."""
    file = max(books.anchors.rglob("*"), key=lambda one: one.is_file() and one.stat().st_size)
    kept = file.read_bytes()
    place = kept.index(b'"hash"') + 10
    try:
        file.write_bytes(kept[:place] + (b"0" if kept[place : place + 1] != b"0" else b"1") + kept[place + 1 :])
        assert books.penpay("audit", "verify").status == 1
    finally:
        file.write_bytes(kept)
    assert whole(books)
