"""What must hold of a single row of the journal. Each function names the rules that its row breaks."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from operator import attrgetter

from penpay.domain import deposit, withdrawal
from penpay.simulation.store.rows import AccountRow, AuditRow, EntryRow, FenceRow, PostingRow, UnitRow
from penpay.simulation.store.schema import Schema
from penpay.simulation.store.tables import Change

CREDIT_SIDE = frozenset(
    {"customer", "suspense", "mpesa_charges", "deriv_out", "b2c_out", "refund_out", "fx_spread", "rounding"}
)
DEBIT_SIDE = frozenset({"deriv_in", "mpesa_fees", "write_off"})
ASSETS = frozenset({"mpesa_paybill", "mpesa_utility", "deriv_agent"})
_STANDING = attrgetter("state", "provider_ref", "code", "attempts_closed")
EDGES = {"DEPOSIT": deposit.edges(), "WITHDRAWAL": withdrawal.edges()}


def of_unit(schema: Schema, row: UnitRow) -> Iterator[str]:
    """Written by whoever owned the shard at that moment. To be asked when it is written."""
    if row.epoch != schema.fences.rows[f"shard/{row.shard}"].epoch:
        yield "w01_written_by_an_earlier_owner"


def of_posting(schema: Schema, row: PostingRow) -> Iterator[str]:
    """Balanced, with two legs, behind the one before it, and with the unit and the audit that it came with."""
    legs = schema.ledger_entries.under("posting", row.id)
    sums: defaultdict[str, int] = defaultdict(int)
    for leg in legs:
        sums[leg.currency] += leg.amount_minor
    if any(sums.values()):
        yield "i01_posting_unbalanced"
    if len(legs) < 2 or any(leg.amount_minor == 0 for leg in legs):
        yield "i02_posting_without_two_legs"
    before = schema.postings.get(row.id - 1)
    if (before is None and row.seq != 1) or (before is not None and before.hash != row.prev_hash):
        yield "i22_chain_broken"
    if schema.units.get(row.unit_id) is None:
        yield "i26_posting_without_unit"
    if row.transaction_id and not schema.audit_log.under("unit", row.unit_id):
        yield "i26_money_without_audit"


def unrecorded(changes: Sequence[Change]) -> Iterator[str]:
    """Operations that a commit moved without a record of whose they are: who follows the chain would not see them."""
    recorded = {change.after.subject for change in changes if change.table.spec.name == "audit_log"}
    moved = (change for change in changes if change.table.spec.name == "provider_operations" and _moves(change))
    yield from (change.key for change in moved if change.after.transaction_id not in recorded)


def _moves(change: Change) -> bool:
    return change.before is None or _STANDING(change.before) != _STANDING(change.after)


def of_entry(schema: Schema, row: EntryRow) -> Iterator[str]:
    """With its posting, and behind the entry before it on its account."""
    if schema.postings.get(row.posting_id) is None:
        yield "i02_leg_without_posting"
    version = row.account_version
    holder = schema.ledger_entries.holder("uq_entries_version", (row.account_id, version - 1))
    before = schema.ledger_entries.get(holder) if holder is not None else None
    balance = before.balance_after_minor if before is not None else 0
    if (before is None and version != 1) or row.balance_after_minor != balance + row.amount_minor:
        yield "i21_entry_differs"


def of_account(row: AccountRow) -> Iterator[str]:
    """On its side. Assets are one heap over all shards."""
    if (row.code in CREDIT_SIDE and row.balance_minor > 0) or (row.code in DEBIT_SIDE and row.balance_minor < 0):
        yield "i20_wrong_side"


def is_judged(schema: Schema, asset: str) -> bool:
    """Not an asset that was opened without its provider's balance, until that is told."""
    return f"opening:{asset}" in schema.units.rows or f"opening:{asset}:untold" not in schema.units.rows


def stands_at_last_entry(schema: Schema, row: AccountRow) -> bool:
    """Whether an account is where its newest entry left it."""
    holder = schema.ledger_entries.holder("uq_entries_version", (row.id, row.version))
    last = schema.ledger_entries.get(holder) if holder is not None else None
    return last is not None and last.balance_after_minor == row.balance_minor


def of_audit(schema: Schema, row: AuditRow) -> Iterator[str]:
    """Behind the record before it in its chain."""
    before = schema.audit_log.get((row.chain, row.seq - 1))
    if (before is None and row.seq != 1) or (before is not None and before.hash != row.prev_hash):
        yield "i22_audit_chain_broken"


def of_heads(schema: Schema, row: FenceRow) -> Iterator[str]:
    """A shard's heads name rows that are there, and nothing is beyond them."""
    if not row.name.startswith("shard/"):
        return
    shard = int(row.name.removeprefix("shard/"))
    first = shard << 48
    chains = (
        (lambda seq: schema.postings.get(first + seq), row.chain_seq),
        (lambda seq: schema.audit_log.get((row.name, seq)), row.audit_seq),
        (lambda seq: schema.outbox.get((shard, seq)), row.outbox_seq),
    )
    for found, head in chains:
        if (head and found(head) is None) or found(head + 1) is not None:
            yield "i22_head_differs"
            return
