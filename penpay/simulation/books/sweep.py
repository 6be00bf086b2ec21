"""Every invariant over every row, each sum made from scratch."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from penpay.domain.review_kinds import WATCHED
from penpay.simulation.books.journal import (
    ASSETS,
    is_judged,
    of_account,
    of_audit,
    of_entry,
    of_heads,
    of_posting,
    stands_at_last_entry,
)
from penpay.simulation.books.sagas import holds, nobody_wakes, of_operation, of_transaction, woken_late
from penpay.simulation.store.schema import Schema
from penpay.simulation.store.server import MemoryServer

Found = Iterator[tuple[str, object]]
"""The name of a broken rule and the key of what breaks it."""
UNKNOWN_FOR = timedelta(hours=4)
EVIDENCE_FOR = timedelta(seconds=30)
OUTBOX_FOR = timedelta(seconds=60)
_PHONE = re.compile(r"(?<![0-9A-Za-z])(?<![0-9a-f]{4}-)254[17][0-9]{8}(?![0-9A-Za-z])")


def sweep(server: MemoryServer) -> dict[str, list[object]]:
    """What is broken now, by the names of `sql/invariants.sql`; empty when everything holds."""
    broken: defaultdict[str, list[object]] = defaultdict(list)
    schema, now = server.schema, server.now()
    for look in (_rows(schema), _sums(schema), _heads(schema), _waits(schema, now), _phones(schema)):
        for name, key in look:
            broken[name].append(key)
    return dict(broken)


def _rows(schema: Schema) -> Found:
    for posting in schema.postings:
        yield from ((name, posting.id) for name in of_posting(schema, posting))
    for entry in schema.ledger_entries:
        yield from ((name, (entry.posting_id, entry.line)) for name in of_entry(schema, entry))
    for account in schema.accounts:
        yield from ((name, account.id) for name in of_account(account))
        if not stands_at_last_entry(schema, account):
            yield "i21_account_differs", account.id
    for record in schema.audit_log:
        yield from ((name, (record.chain, record.seq)) for name in of_audit(schema, record))
    for fence in schema.fences:
        yield from ((name, fence.name) for name in of_heads(schema, fence))
    for stored in schema.transactions:
        yield from ((name, stored.row.id) for name in of_transaction(schema, stored))
    for operation in schema.provider_operations:
        yield from ((name, operation.id) for name in of_operation(schema, operation))


def _sums(schema: Schema) -> Found:
    trial: defaultdict[str, int] = defaultdict(int)
    heaps: defaultdict[tuple[str, str], int] = defaultdict(int)
    legs: defaultdict[str, list[int]] = defaultdict(list)
    for entry in schema.ledger_entries:
        legs[entry.account_id].append(entry.amount_minor)
    for account in schema.accounts:
        trial[account.currency] += account.balance_minor
        if account.code in ASSETS:
            heaps[account.code, account.currency] += account.balance_minor
        mine = legs[account.id]
        if (sum(mine), len(mine)) != (account.balance_minor, account.version):
            yield "i21_balance_differs", account.id
    yield from (("i03_trial_balance", currency) for currency, minor in trial.items() if minor)
    below = [heap for heap, minor in heaps.items() if minor < 0 and is_judged(schema, heap[0])]
    yield from (("i20_wrong_side", heap) for heap in below)
    requests: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for stored in schema.transactions:
        requests[stored.row.user_id, stored.row.route, stored.row.key_hash] += 1
    yield from (("i16_key_used_twice", key) for key, count in requests.items() if count > 1)


def _heads(schema: Schema) -> Found:
    units: defaultdict[int, list[int]] = defaultdict(list)
    for unit in schema.units:
        units[unit.shard].append(unit.seq)
    for fence in schema.fences:
        if fence.name.startswith("shard/"):
            seqs = units[int(fence.name.removeprefix("shard/"))]
            if fence.unit_seq != max(seqs, default=0) or fence.unit_seq != len(seqs):
                yield "i22_head_differs", fence.name


def _waits(schema: Schema, now: datetime) -> Found:
    for stored in schema.transactions:
        if nobody_wakes(schema, stored.row):
            yield "i12_nobody_wakes", stored.row.id
        if woken_late(schema, stored.row, now):
            yield "i12_woken_late", stored.row.id
    looked_at = {item.operation_id for item in schema.review_items if item.kind in WATCHED}
    looked_at |= {item.transaction_id for item in schema.review_items if holds(item)}
    for operation in schema.provider_operations:
        is_old = operation.state == "UNKNOWN" and operation.updated_at < now - UNKNOWN_FOR
        if is_old and not {operation.id, operation.transaction_id} & looked_at:
            yield "i13_unknown_for_hours", operation.id
    for evidence in schema.callback_inbox:
        if evidence.status == "NEW" and evidence.row.received_at < now - EVIDENCE_FOR:
            yield "i17_evidence_waits", evidence.row.id
    relayed = {cursor.shard: cursor.seq for cursor in schema.outbox_cursors}
    late = (entry for entry in schema.outbox if entry.created_at < now - OUTBOX_FOR)
    stuck = {entry.shard for entry in late if entry.shard in relayed and entry.seq > relayed[entry.shard]}
    yield from (("i29_outbox_stuck", shard) for shard in sorted(stuck))


def _phones(schema: Schema) -> Found:
    texts: list[tuple[object, Sequence[str]]] = [(stored.row.id, (stored.row.data,)) for stored in schema.transactions]
    texts += [(event.transaction_id, (event.data,)) for event in schema.transaction_events]
    texts += [(row.id, (row.recipient, row.request)) for row in schema.provider_operations]
    told: list[tuple[object, Sequence[str]]] = [(entry.event_id, (entry.body,)) for entry in schema.outbox]
    told += [((record.chain, record.seq), (record.detail,)) for record in schema.audit_log]
    for name, rows in (("i31_phone_in_clear", texts), ("i31_phone_told_in_clear", told)):
        yield from ((name, key) for key, found in rows if any(map(_PHONE.search, found)))
