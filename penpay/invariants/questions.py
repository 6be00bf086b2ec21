"""The rules of `sql/invariants.sql` as statements: about everything, parts of the chains, or some transactions."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from penpay.adapters.database import PROOFS, Database
from penpay.adapters.ledger_rows import POSTING_ID_STEP
from penpay.adapters.sql_text import literal, parsed, with_schemas
from penpay.data import data_dir
from penpay.domain.errors import StoreError
from penpay.domain.review_kinds import HOLDING, WATCHED
from penpay.domain.unit import OperationKind

ROWS_MAX = 20
"""Broken rows that are shown per invariant; the first ones tell enough."""
OF_ALL = frozenset(
    {
        "i03_trial_balance",  # follows from balanced postings and accounts that stand at their newest entries
        "i08_evidence_used_twice",
        "i16_key_used_twice",
        "i21_balance_differs",
        "i22_head_differs",
    }
)
"""What no key finds: asked of everything only."""
OF_COMMITS = frozenset({"i26_money_without_audit"})
"""What needs all that a commit wrote: not to be asked of a part that begins or ends within one."""
OF_THE_CLOCK = frozenset(
    {"i12_woken_late", "i13_unknown_for_hours", "i17_evidence_waits", "i29_outbox_stuck", "i30_call_after_freeze"}
)
"""What keys find whenever it was written, so that every round asks it of everything."""
Rows = Sequence[tuple[object, ...]]
"""Of those that break a rule the first ones: none where it holds."""
Broken = Mapping[str, Rows]
_ALL = {
    "postings": "{ledger}.postings",
    "entries": "{ledger}.ledger_entries",
    "records": "{audit}.audit_log",
    "messages": "{ledger}.outbox",
    "accounts": "{ledger}.accounts",
    "transactions": "{ledger}.transactions",
    "overdue": "{ledger}.transactions",
    "events": "{ledger}.transaction_events",
    "operations": "{ledger}.provider_operations",
}
"""The tables behind the names in `sql/invariants.sql`. No invariant names both the last three and others."""


class Head(NamedTuple):
    """The newest rows of a chain, all of the same commit: of a shard, or of what staff do, which is audited only."""

    chain: str
    posting_seq: int
    audit_seq: int
    outbox_seq: int

    @property
    def shard(self) -> int:
        """Its number; -1 for a chain that is no shard's."""
        _, found, number = self.chain.partition("shard/")
        return int(number) if found else -1

    def before(self, rows: int) -> "Head":
        """So many rows back of each sort: within some commit."""
        return Head(self.chain, *(max(0, newest - rows) for newest in self[1:]))

    def towards(self, end: "Head", rows: int) -> "Head":
        """So many rows further of each sort, but not beyond the end."""
        return Head(self.chain, *(min(seen + rows, newest) for seen, newest in zip(self[1:], end[1:], strict=True)))


Span = tuple[Head, Head]
"""What of a chain is new: behind the first, up to the second."""


def queries(prefix: str) -> Mapping[str, str]:
    """Every invariant by name, of everything, for the schemas of one installation."""
    return {name: _of(_ALL, text, prefix) for name, text in _texts().items()}


async def check(
    database: Database, *, only: Sequence[str] = (), say: Callable[[str], None] = lambda _: None
) -> Mapping[str, Rows | StoreError]:
    """Ask all of them of everything, or those named; by name what was found, or why there was no answer.

    `say` is told each name before it is asked. Raises `Unavailable` when there is no database to ask.
    """
    await database.rows("SELECT 1", lane=PROOFS)
    found: dict[str, Rows | StoreError] = {}
    for name, query in queries(database.prefix).items():
        if only and name not in only:
            continue
        say(name)
        try:
            found[name] = await rows(database, query)
        except StoreError as error:
            found[name] = error
    return found


async def rows(database: Database, query: str) -> Rows:
    """The first rows that break an invariant. Raises `Unavailable`."""
    some = f"SELECT * FROM ({query}) broken LIMIT {ROWS_MAX}"  # noqa: S608 - both parts are our own
    return await database.rows(some, lane=PROOFS)


def at_once(prefix: str) -> Sequence[tuple[str, str]]:
    """Names and queries of what has to be asked of everything at once."""
    return [(name, query) for name, query in queries(prefix).items() if name in OF_ALL | OF_THE_CLOCK | OF_COMMITS]


def of_commits(prefix: str, spans: Sequence[Span]) -> Sequence[tuple[str, str]]:
    """Names and queries of what the clock breaks, and of these parts of the chains where they hold whole commits."""
    tables = _in_chains(spans)
    return [(name, _of(tables, text, prefix)) for name, text in _texts().items() if name in OF_THE_CLOCK | OF_COMMITS]


def of_chains(prefix: str, spans: Sequence[Span]) -> Sequence[tuple[str, str]]:
    """Names and queries of these parts of the chains, wherever they begin or end."""
    tables, left_out = _in_chains(spans), OF_ALL | OF_THE_CLOCK | OF_COMMITS
    asked = {name: text for name, text in _texts().items() if name not in left_out and not _of_transactions(text)}
    return [(name, _of(tables, text, prefix)) for name, text in asked.items()]


def of_transactions(prefix: str, ids: Sequence[str]) -> Sequence[tuple[str, str]]:
    """Names and queries of these transactions, with what belongs to each."""
    tables = {
        "transactions": _some("transactions", f"id IN ({literal(ids)})", key="PRIMARY"),
        "events": _some("events", f"transaction_id IN ({literal(ids)})", key="PRIMARY"),
        "operations": _some("operations", f"transaction_id IN ({literal(ids)})", key="ix_operations_transaction"),
    }
    return [(name, _of(tables, text, prefix)) for name, text in _texts().items() if _of_transactions(text)]


def about(query: str, prefix: str, spans: Sequence[Span]) -> str:
    """Another query over these parts of the chains."""
    return _of(_in_chains(spans), query, prefix)


def _texts() -> Mapping[str, str]:
    """As they stand in the file. Kinds of questions and of operations are the domain's to name."""
    kinds = {"holding": sorted(HOLDING), "watched": sorted(WATCHED), "kinds": list(OperationKind)}
    lists = {word: literal(values) for word, values in kinds.items()}
    return {name: _with(lists, text) for name, text in parsed(data_dir("sql") / "invariants.sql").items()}


def _of_transactions(text: str) -> bool:
    return any(f"{{{name}}}" in text for name in ("transactions", "events", "operations"))


def _of(tables: Mapping[str, str], text: str, prefix: str) -> str:
    """A statement about these tables."""
    return with_schemas(_with(tables, text), prefix)


def _with(words: Mapping[str, str], text: str) -> str:
    for word, meaning in words.items():
        text = text.replace(f"{{{word}}}", meaning)
    return text


def _in_chains(spans: Sequence[Span]) -> Mapping[str, str]:
    """The rows between two heads of each chain, the accounts they moved, and what is overdue."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for old, new in spans:
        first = new.shard * POSTING_ID_STEP
        found["postings"] += _between("id", first + old.posting_seq, first + new.posting_seq)
        found["entries"] += _between("posting_id", first + old.posting_seq, first + new.posting_seq)
        found["records"] += _between(f"chain = {literal(new.chain)} AND seq", old.audit_seq, new.audit_seq)
        found["messages"] += _between(f"shard = {new.shard} AND seq", old.outbox_seq, new.outbox_seq)
    parts = {
        name: _some(name, " OR ".join(found[name]) or "FALSE")
        for name in ("postings", "entries", "records", "messages")
    }
    shards = [new.shard for _, new in spans if new.shard >= 0]
    return parts | {
        "accounts": _some("accounts", f"id IN (SELECT e.account_id FROM {parts['entries']} e)"),  # noqa: S608 - our own
        "overdue": _some("overdue", f"shard IN ({literal(shards)}) AND next_wake_at < UTC_TIMESTAMP(6)"),
    }


def _between(column: str, seen: int, newest: int) -> Sequence[str]:
    return [f"({column} > {seen} AND {column.rpartition(' ')[2]} <= {newest})"] if newest > seen else []


def _some(name: str, condition: str, *, key: str = "") -> str:
    """Rows of a table. `key`: by which they are to be found, however many they are."""
    by = f" FORCE INDEX ({key})" if key else ""
    return f"(SELECT * FROM {_ALL[name]}{by} WHERE {condition})"  # noqa: S608 - the condition is our own
