"""What must hold of one transaction with everything that belongs to it, and of one operation."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from operator import attrgetter

from penpay.domain.review_kinds import HOLDING
from penpay.domain.unit import TransactionRow
from penpay.simulation.books.journal import EDGES
from penpay.simulation.store.rows import EventRow, PostingRow, ReviewRow, StoredOperation, StoredTransaction
from penpay.simulation.store.schema import OPEN_STATES, Schema

FINAL = frozenset({"COMPLETED", "REVERSED", "FAILED"})
CLEARING = frozenset({"deriv_out", "deriv_in", "b2c_out", "refund_out"})
MAY_HAVE_MOVED = frozenset({"SENT", "UNKNOWN", "CONFIRMED"})
FIRST_OF = {
    "DERIV_TRANSFER": ("STK", "i06_credit_without_payment"),
    "B2C": ("DERIV_WITHDRAW", "i07_payout_without_debit"),
}
"""What must have been confirmed before, and the rule that says so."""
BOOKED_AS = {
    "STK": ("paid", "mpesa_paybill"),
    "DERIV_TRANSFER": ("done", "deriv_agent"),
    "REVERSAL": ("refund_done", "mpesa_paybill"),
}
WAKE_GRACE = timedelta(seconds=60)
RECORDED_IN = timedelta(seconds=0.5)
"""How long a decision takes to be recorded and told, but in the worst weather."""
CLOCKS = timedelta(seconds=1)
"""By how much the clocks of a rail and of the database may differ."""
_PLACE = attrgetter("seq")


def of_transaction(schema: Schema, stored: StoredTransaction) -> Iterator[str]:
    """Everything about a transaction that does not depend on the time."""
    row = stored.row
    operations = schema.provider_operations.under("transaction", row.id)
    yield from _executed(operations)
    if row.state in FINAL:
        yield from _ended(schema, row, operations)
    yield from _booked(schema, row.id, operations)
    yield from _history(schema, stored)
    if row.type == "DEPOSIT" and not _honoured(row):
        yield "i28_rate_not_honoured"
    if row.counts and _over_the_day(schema, row):
        yield "i19_daily_limit"


def of_admission(schema: Schema, stored: StoredTransaction) -> Iterator[str]:
    """A withdrawal begins while no other of its customer is open. To be asked when one is admitted.

    One that opened again while the admission was on its way to the ledger was over when it was judged.
    """
    row = stored.row
    if row.type != "WITHDRAWAL":
        return
    others = (other.row for other in schema.transactions.under("user", row.user_id) if other.row.id != row.id)
    open_ = [other for other in others if other.type == row.type and other.state not in FINAL]
    if any(not _opened_again(schema, other.id, since=row.created_at - RECORDED_IN) for other in open_):
        yield "w02_two_open_withdrawals"


def _opened_again(schema: Schema, transaction_id: str, *, since: datetime) -> bool:
    events = schema.transaction_events.under("transaction", transaction_id)
    return any(event.from_state in FINAL and event.created_at >= since for event in events)


def _executed(operations: Sequence[StoredOperation]) -> Iterator[str]:
    confirmed = Counter(operation.kind for operation in operations if operation.state == "CONFIRMED")
    if confirmed["DERIV_TRANSFER"] > 1:
        yield "i04_credited_twice"
    if confirmed["B2C"] > 1 or confirmed["REVERSAL"] > 1:
        yield "i05_paid_out_twice"
    for operation in operations:
        first, name = FIRST_OF.get(operation.kind, ("", ""))
        if name and operation.state in MAY_HAVE_MOVED and not confirmed[first]:
            yield name


def _ended(schema: Schema, row: TransactionRow, operations: Sequence[StoredOperation]) -> Iterator[str]:
    postings = schema.postings.under("transaction", row.id)
    sums = _sums(schema, postings)
    clearing: defaultdict[str, int] = defaultdict(int)
    for (code, currency), minor in sums.items():
        if code in CLEARING:
            clearing[currency] += minor
    if any(clearing.values()):
        yield "i09_clearing_not_empty"
    held: defaultdict[str, int] = defaultdict(int)
    for (code, _), minor in sums.items():
        if code in {"customer", "suspense"}:
            held[code] += minor
    if row.state == "FAILED" and any(held.values()):
        yield "i10_failed_with_money"
    if any(operation.state in OPEN_STATES for operation in operations):
        yield "i11_final_with_open_operation"
    resolved = {posting.resolves for posting in postings}
    if any(posting.phase == "pending" and posting.posting_key not in resolved for posting in postings):
        yield "i27_hold_not_resolved"


def _sums(schema: Schema, postings: Sequence[PostingRow]) -> dict[tuple[str, str], int]:
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for posting in postings:
        for leg in schema.ledger_entries.under("posting", posting.id):
            account = schema.accounts.get(leg.account_id)
            if account is not None:
                sums[account.code, leg.currency] += leg.amount_minor
    return sums


def _booked(schema: Schema, transaction_id: str, operations: Sequence[StoredOperation]) -> Iterator[str]:
    for operation in operations:
        if operation.state == "CONFIRMED" and operation.kind in BOOKED_AS:
            key, code = BOOKED_AS[operation.kind]
            found = schema.postings.holder("uq_postings_key", (transaction_id, key))
            if found is None:
                continue
            legs = [
                leg.amount_minor
                for leg in schema.ledger_entries.under("posting", found)
                if (account := schema.accounts.get(leg.account_id)) is not None and account.code == code
            ]
            if legs and abs(sum(legs)) != operation.amount.minor:
                yield "i18_booked_otherwise_than_done"


def _history(schema: Schema, stored: StoredTransaction) -> Iterator[str]:
    row = stored.row
    events = sorted(schema.transaction_events.under("transaction", row.id), key=_PLACE)
    edges = EDGES[row.type]
    if any((event.from_state, event.to_state) not in edges for event in events):
        yield "i14_illegal_step"
    if not _joined(events):
        yield "i15_history_broken"
    last = schema.transaction_events.get((row.id, stored.event_count))
    if last is None or last.to_state != row.state or last.version != row.version:
        yield "i15_row_differs_from_history"


def _joined(events: Sequence[EventRow]) -> bool:
    """No gaps, versions rise by at most one, states join, and no epoch writes behind a later one."""
    seq, version, epoch, state = 0, 1, 0, ""
    for event in events:
        fits = event.seq == seq + 1 and event.version in {version, version + 1} and event.epoch >= epoch
        if not fits or (state and event.from_state != state):
            return False
        seq, version, epoch, state = event.seq, event.version, event.epoch, event.to_state
    return True


def _honoured(row: TransactionRow) -> bool:
    rate_e6 = row.mid_rate_e6 + row.spread_e6
    down = row.send.minor * 1_000_000 // rate_e6
    up = (row.receive.minor * rate_e6 + 99_999_999) // 100_000_000 * 100
    return row.receive.minor == down or row.send.minor == up


def _over_the_day(schema: Schema, row: TransactionRow) -> bool:
    used, limit = 0, 0
    for other in schema.transactions.under("user", row.user_id):
        same = other.row.counts and (other.row.eat_day, other.row.type) == (row.eat_day, row.type)
        if same and not _revived(schema, other.row.id):
            used += other.row.receive.minor if other.row.receive.currency == "USD" else other.row.send.minor
            limit = max(limit, other.row.limit_usd_minor)
    return used > limit


def _revived(schema: Schema, transaction_id: str) -> bool:
    return any(e.from_state == "FAILED" for e in schema.transaction_events.under("transaction", transaction_id))


def nobody_wakes(schema: Schema, row: TransactionRow) -> bool:
    """An open transaction without a time to wake or a person it waits for."""
    return row.next_wake_at is None and _waits_for_nobody(schema, row)


def woken_late(schema: Schema, row: TransactionRow, now: datetime) -> bool:
    """An open transaction that waits for no person and was to wake long ago."""
    wake_at = row.next_wake_at
    return wake_at is not None and wake_at < now - WAKE_GRACE and _waits_for_nobody(schema, row)


def _waits_for_nobody(schema: Schema, row: TransactionRow) -> bool:
    asked = schema.review_items.under("transaction", row.id)
    return row.state not in FINAL and not any(holds(item) for item in asked)


def holds(item: ReviewRow) -> bool:
    """Whether a saga waits for the answer to this question."""
    return item.closed_at is None and item.kind in HOLDING


def of_operation(schema: Schema, row: StoredOperation) -> Iterator[str]:
    """Its evidence is its own, its attempts are numbered, and nothing was sent that may not be."""
    if row.provider_ref and row.state == "CONFIRMED":
        holders = schema.provider_operations.under("confirmed_ref", (row.kind, row.provider_ref))
        if len(holders) > 1:
            yield "i08_evidence_used_twice"
    attempts = schema.rail_attempts.under("operation", row.id)
    newest = max((attempt.attempt for attempt in attempts), default=0)
    if len(attempts) != newest or row.attempts_closed > newest:
        yield "a01_attempts_have_gaps"
    if row.state == "WITHDRAWN" and newest > row.attempts_closed:
        yield "a02_withdrawn_but_sent"
    status = schema.user_status.get(row.user_id)
    frozen_at = status.frozen_at if status is not None and not row.staff_approved else None
    if frozen_at is not None and any(attempt.sent_at > frozen_at + CLOCKS for attempt in attempts):
        yield "i30_call_after_freeze"
