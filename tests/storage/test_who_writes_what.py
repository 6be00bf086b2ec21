"""Each table has one writer. The named queries of a store say which tables it may change."""

import re

import pytest

from penpay.adapters.sql_text import parsed
from penpay.data import data_dir

FILES = {path.stem: parsed(path) for path in sorted((data_dir("sql") / "queries").glob("*.sql"))}
CHANGES = re.compile(r"\b(?:INSERT(?: IGNORE)? INTO|REPLACE INTO|UPDATE|DELETE FROM|STRAIGHT_JOIN)\s+(\{\w+\}\.\w+)")
LEDGER_ONLY = (
    *("transactions", "units", "postings", "ledger_entries", "accounts", "transaction_events", "provider_operations"),
    *("provider_references", "answers", "outbox", "outbox_cursors", "review_items", "user_status", "dead_letters"),
)
WRITERS = {
    **{f"{{ledger}}.{table}": {"ledger"} for table in LEDGER_ONLY},
    # The ledger consumes evidence; the batch writer adds it and counts its deliveries.
    "{ledger}.callback_inbox": {"ledger", "inbox"},
    "{ledger}.rail_attempts": {"attempts"},
    "{ledger}.quotes": {"admission"},
    "{ledger}.leases": {"leases"},
    "{ledger}.fences": {"leases", "ledger"},
    "{audit}.audit_log": {"ledger", "audit"},
    "{audit}.audit_heads": {"audit"},
    "{ledger}.installation": set(),
    "{ledger}.allowed_edges": set(),
}
"""By table, the query files that may change it."""


def changed_by(name: str) -> set[str]:
    return {table for statement in FILES[name].values() for table in CHANGES.findall(statement)}


@pytest.mark.parametrize("table", WRITERS)
def test_a_table_has_its_writers_and_no_other(table):
    assert {name for name in FILES if name != "migrations" and table in changed_by(name)} == WRITERS[table]
