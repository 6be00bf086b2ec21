"""May this unit be recorded? Every rule of the ledger, in the order in which a rejection is reported.

A unit is judged against the shard as it is after the units before it in the same batch. Nothing changes here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from actors.ledger_cache import LedgerCache
from penpay.domain.incoming import Incoming, Key
from penpay.domain.ledger import CHART, Account, Kind, Phase, Side
from penpay.domain.unit import OperationChange, OperationState, RejectCode, UnitOfWork
from penpay.ports_ledger import Found, OperationHead, Ref, TransactionHead

_S = OperationState
ALLOWED: Mapping[str, frozenset[OperationState]] = {
    _S.INTENT: frozenset({_S.INTENT, _S.SENT, _S.UNKNOWN, _S.CONFIRMED, _S.REFUSED, _S.WITHDRAWN}),
    _S.SENT: frozenset({_S.SENT, _S.INTENT, _S.UNKNOWN, _S.CONFIRMED, _S.REFUSED}),
    _S.UNKNOWN: frozenset({_S.UNKNOWN, _S.INTENT, _S.SENT, _S.CONFIRMED, _S.REFUSED}),
    _S.CONFIRMED: frozenset({_S.CONFIRMED}),
    # Money that arrived after all is recorded whatever was believed before.
    _S.REFUSED: frozenset({_S.REFUSED, _S.CONFIRMED}),
    _S.WITHDRAWN: frozenset({_S.WITHDRAWN, _S.CONFIRMED}),
}
"""Where an operation may go from each state. Back to INTENT only with one more attempt known to have done nothing."""
assert ALLOWED.keys() == set(_S)

_SIGN = {Side.DEBIT: 1, Side.CREDIT: -1, Side.EITHER: 0}
SIDES = {code: 0 if kind is Kind.ASSET else _SIGN[side] for code, (kind, side) in CHART.items()}
"""The sign that a balance may have; assets are judged over the sum of shards."""
_OF_TRANSACTION = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}:", re.ASCII)
UNIT_ID_MAX = 190

Rejection = tuple[RejectCode, str]


@dataclass(slots=True)
class View:
    """The shard as it stands after the units of a batch so far: their changes over the cache."""

    cache: LedgerCache
    attempts: dict[str, int] = field(default_factory=dict)
    accounts: dict[str, tuple[Account, int, int]] = field(default_factory=dict)
    transactions: dict[str, TransactionHead] = field(default_factory=dict)
    operations: dict[str, OperationHead] = field(default_factory=dict)
    units: dict[str, bytes] = field(default_factory=dict)
    references: dict[Ref, str] = field(default_factory=dict)
    keys: dict[Key, str] = field(default_factory=dict)
    quotes: dict[str, str] = field(default_factory=dict)
    frozen: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, cache: LedgerCache, found: Found) -> "View":
        """Before the first unit of a batch."""
        return cls(cache, attempts=found.attempts)

    def transaction(self, transaction_id: str) -> TransactionHead | None:
        """Its head, None when there is no such transaction."""
        return self.transactions.get(transaction_id) or self.cache.transactions[transaction_id]

    def operation(self, operation_id: str) -> OperationHead | None:
        """Its head, None when there is no such operation."""
        return self.operations.get(operation_id) or self.cache.operations[operation_id]


@dataclass(slots=True)
class Movement:
    """What the postings of an accepted unit do: numbers per posting (see the chain), accounts after the unit."""

    numbers: list[list[int]] = field(default_factory=list)
    accounts: dict[str, tuple[Account, int, int]] = field(default_factory=dict)


def malformed(unit: UnitOfWork, shard: int) -> str:
    """Why this is no unit for this shard at all, or an empty string. The sender has a bug."""
    change = unit.transaction
    if unit.shard != shard:
        return f"a unit of shard {unit.shard}"
    if not unit.unit_id.isascii() or not 0 < len(unit.unit_id) <= UNIT_ID_MAX:
        return "an impossible unit id"
    if change is not None:
        if change.row.version != change.expected_version + 1 or not change.events:
            return "a version or event is missing"
        if change.row.shard != shard:
            return f"a transaction of shard {change.row.shard}"
    elif _OF_TRANSACTION.match(unit.unit_id):
        return "a transaction's unit id without its transaction"
    if change is not None and unit.unit_id != f"{change.row.id}:{change.row.version}":
        return "not the unit id of this transaction and version"
    for posting in unit.postings:
        for entry in posting.entries:
            if entry.account.shard != shard:
                return "an account of another shard"
    return ""


def rejection(view: View, incoming: Incoming, movement: Movement) -> Rejection | None:
    """The first rule that this unit breaks. Fills `movement` on the way."""
    unit = incoming.unit
    if unit.transaction is not None or incoming.keys or unit.operations or unit.new_operations or unit.references:
        broken = (
            _version(view, unit)
            or _request(view, incoming)
            or _freeze(view, incoming)
            or _operations(view, unit)
            or _references(view, unit)
        )
        if broken is not None:
            return broken
    return (_postings(view, unit) or _funds(view, incoming, movement)) if unit.postings else None


def _version(view: View, unit: UnitOfWork) -> Rejection | None:
    change = unit.transaction
    if change is None:
        return None
    head = view.transaction(change.row.id)
    version = head.version if head is not None else 0
    if version != change.expected_version:
        return RejectCode.VERSION_CONFLICT, f"at {version}, not {change.expected_version}"
    return None


def _request(view: View, incoming: Incoming) -> Rejection | None:
    for key in incoming.keys:
        if view.keys.get(key) or view.cache.keys[key]:
            return RejectCode.KEY_REUSED, ""
    quote_id = incoming.quote_id
    if quote_id and (view.quotes.get(quote_id) or view.cache.quotes[quote_id]):
        return RejectCode.QUOTE_USED, ""
    return None


def _freeze(view: View, incoming: Incoming) -> Rejection | None:
    user_id = incoming.intends_for
    if not user_id or incoming.unit.staff_resolution:
        return None
    changed = view.frozen.get(user_id)
    if (view.cache.frozen[user_id] if changed is None else changed) and not _approved(view, incoming.unit):
        return RejectCode.ACCOUNT_FROZEN, ""
    return None


def _approved(view: View, unit: UnitOfWork) -> bool:
    """All that it intends once more was decided by two people, and still is to be sent."""
    again = [view.operation(change.id) for change in unit.operations if change.to is OperationState.INTENT]
    return not unit.new_operations and all(head is not None and head.staff_approved for head in again)


def _operations(view: View, unit: UnitOfWork) -> Rejection | None:
    for change in unit.operations:
        head = view.operation(change.id)
        if head is None:
            return RejectCode.ILLEGAL_OPERATION, f"no operation {change.id}"
        closed = head.attempts_closed if change.attempts_closed is None else change.attempts_closed
        if change.to is OperationState.WITHDRAWN and view.attempts.get(change.id, 0) > closed:
            return RejectCode.ATTEMPT_EXISTS, change.id
    for change in unit.operations:
        problem = _illegal(view, unit, change)
        if problem:
            return RejectCode.ILLEGAL_OPERATION, f"{change.id}: {problem}"
    for new in unit.new_operations:
        if unit.transaction is None:
            return RejectCode.ILLEGAL_OPERATION, f"{new.id}: without a transaction"
        if view.operation(new.id) is not None:
            return RejectCode.ILLEGAL_OPERATION, f"{new.id}: exists"
    return None


def _illegal(view: View, unit: UnitOfWork, change: OperationChange) -> str:
    head = view.operation(change.id)
    assert head is not None
    if unit.transaction is not None and head.transaction_id != unit.transaction.row.id:
        return "belongs to another transaction"
    if change.to not in ALLOWED[head.state]:
        return f"{head.state} to {change.to}"
    closed = head.attempts_closed if change.attempts_closed is None else change.attempts_closed
    if closed < head.attempts_closed:
        return "an attempt cannot be opened again"
    if change.to is OperationState.INTENT and head.state != OperationState.INTENT and closed == head.attempts_closed:
        return "back to INTENT without a proof that the attempt did nothing"
    return ""


def _references(view: View, unit: UnitOfWork) -> Rejection | None:
    for reference in unit.references:
        ref = (reference.kind, reference.ref)
        holder = view.references.get(ref)
        if holder is None:
            holder = view.cache.references[ref]
        if holder is not None and holder != reference.operation_id:
            return RejectCode.DUPLICATE_REFERENCE, f"{reference.kind} of {holder or 'no operation'}"
    return None


def _postings(view: View, unit: UnitOfWork) -> Rejection | None:
    head = view.transaction(unit.transaction.row.id) if unit.transaction is not None else None
    if head is None and len(unit.postings) == 1 and not unit.postings[0].resolves:
        return None
    keys = set(head.posting_keys) if head is not None else set()
    pending = set(head.pending) if head is not None else set()
    for posting in unit.postings:
        if posting.key in keys:
            return RejectCode.DUPLICATE_POSTING, f"{posting.key} exists"
        if posting.resolves and posting.resolves not in pending:
            return RejectCode.DUPLICATE_POSTING, f"{posting.resolves} is not pending"
        keys.add(posting.key)
        pending.discard(posting.resolves)
        if posting.phase is Phase.PENDING:
            pending.add(posting.key)
    return None


def _funds(view: View, incoming: Incoming, movement: Movement) -> Rejection | None:
    accounts, changed, remembered = movement.accounts, view.accounts, view.cache.accounts
    for posting, ids in zip(incoming.unit.postings, incoming.account_ids, strict=True):
        numbers: list[int] = []
        for entry, account_id in zip(posting.entries, ids, strict=True):
            held = accounts.get(account_id) or changed.get(account_id)
            if held is not None:
                _, balance, version = held
            else:
                balance, version = remembered[account_id] or (0, 0)
            balance += entry.amount_minor
            version += 1
            accounts[account_id] = (entry.account, balance, version)
            numbers += (entry.amount_minor, balance, version)
        for entry, account_id in zip(posting.entries, ids, strict=True):
            if SIDES[entry.account.code] * accounts[account_id][1] < 0:
                return RejectCode.INSUFFICIENT_FUNDS, account_id
        movement.numbers.append(numbers)
    return None
