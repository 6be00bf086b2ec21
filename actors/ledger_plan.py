"""A batch in the making: units judged one after the other, each in its place of the chain.

Nothing here touches the cache: what a batch changes is merged only after its commit.
"""

from actors.ledger_cache import Changes, LedgerCache
from actors.ledger_rules import Movement, View, rejection
from penpay.domain.chain import audit_hash, posting_hash
from penpay.domain.incoming import Incoming
from penpay.domain.ledger import Phase
from penpay.domain.unit import OperationState, RejectCode, TransactionRow
from penpay.messages import UnitRejected
from penpay.ports_ledger import (
    NO_KEYS,
    Found,
    Heads,
    LedgerBatch,
    OperationHead,
    PlannedAudit,
    PlannedPosting,
    PlannedUnit,
    Ref,
    TransactionHead,
    Wanted,
)

REPLAYED = "replayed"


def wanted_by(units: list[Incoming], cache: LedgerCache, *, careful: bool) -> Wanted:
    """What must be looked up before these units can be judged.

    Not careful: what a unique key of the database guards anyway (unit ids, request keys, quotes, references) is taken
    to be new. A duplicate then fails the batch, which is run again carefully and rejects the one unit.
    """
    wanted = Wanted()
    for incoming in units:
        unit = incoming.unit
        change = unit.transaction
        if change is not None and (careful or change.expected_version) and cache.transactions[change.row.id] is None:
            wanted.transactions.add(change.row.id)
        for ids in incoming.account_ids:
            for account_id in ids:
                if cache.accounts[account_id] is None:
                    wanted.accounts.add(account_id)
        for operation in unit.operations:
            if cache.operations[operation.id] is None:
                wanted.operations.add(operation.id)
            if operation.to is OperationState.WITHDRAWN:
                wanted.attempts.add(operation.id)
        if (user_id := incoming.intends_for) and cache.frozen[user_id] is None:
            wanted.users.add(user_id)
        if careful or (change is not None and not change.expected_version and unit.answer is None):
            # A transaction without its answer: no unique key covers both tables.
            wanted.keys |= cache.keys.missing(incoming.keys)
        if careful:
            _guarded(incoming, cache, wanted)
    return wanted


def _guarded(incoming: Incoming, cache: LedgerCache, wanted: Wanted) -> None:
    unit = incoming.unit
    if cache.units[unit.unit_id] is None:
        wanted.units.add(unit.unit_id)
    if (quote_id := incoming.quote_id) and cache.quotes[quote_id] is None:
        wanted.quotes.add(quote_id)
    wanted.references |= cache.references.missing((found.kind, found.ref) for found in unit.references)
    wanted.operations |= cache.operations.missing(new.id for new in unit.new_operations)


class Plan:
    """Judges units in turn and collects those that pass."""

    def __init__(self, cache: LedgerCache, found: Found, heads: Heads, *, shard: int, epoch: int) -> None:
        self._view = View.of(cache, found)
        self._shard = shard
        self._epoch = epoch
        self._unit_seq = heads.unit_seq
        self._chain_seq = heads.chain_seq
        self._chain_hash = heads.chain_hash
        self._audit_seq = heads.audit_seq
        self._audit_hash = heads.audit_hash
        self._outbox_seq = heads.outbox_seq
        self._units: list[PlannedUnit] = []
        self._inserted: dict[str, tuple[TransactionRow, int]] = {}
        self._changed: dict[str, tuple[TransactionRow, int]] = {}
        self._operations: dict[str, OperationHead] = {}
        self._references: dict[Ref, str] = {}

    def add(self, incoming: Incoming) -> UnitRejected | str:
        """Take the unit into the batch (an empty string), find it recorded already (`REPLAYED`), or reject it."""
        unit_id = incoming.unit.unit_id
        known = self._view.units.get(unit_id) or self._view.cache.units[unit_id]
        if known is not None:
            return REPLAYED if known == incoming.content_hash else UnitRejected(unit_id, RejectCode.UNIT_DIFFERS)
        movement = Movement()
        rejected = rejection(self._view, incoming, movement)
        if rejected is not None:
            return UnitRejected(unit_id, *rejected)
        # From here on the unit is part of the batch.
        self._accept(incoming, movement)
        return ""

    def _accept(self, incoming: Incoming, movement: Movement) -> None:
        view, unit = self._view, incoming.unit
        self._unit_seq += 1
        transaction_id = unit.transaction.row.id if unit.transaction is not None else ""
        head = view.transaction(transaction_id) if transaction_id else None
        first_event_seq = head.event_count + 1 if head is not None else 1
        postings = self._chained_postings(incoming, movement) if unit.postings else []
        audit = self._chained_audit(incoming) if unit.audit else []
        first_outbox_seq = self._outbox_seq + 1
        self._units.append(PlannedUnit(incoming, self._unit_seq, first_event_seq, first_outbox_seq, postings, audit))
        view.units[unit.unit_id] = incoming.content_hash
        view.accounts |= movement.accounts
        self._outbox_seq += len(unit.outbox)
        if unit.transaction is not None:
            self._move_transaction(incoming, head)
        if unit.new_operations or unit.operations:
            self._move_operations(incoming, transaction_id)
        for reference in unit.references:
            ref = (reference.kind, reference.ref)
            if view.references.get(ref) is None and view.cache.references[ref] is None:
                view.references[ref] = self._references[ref] = reference.operation_id
        for key in incoming.keys:
            view.keys[key] = unit.unit_id
        if incoming.quote_id:
            view.quotes[incoming.quote_id] = transaction_id
        if unit.user_status is not None:
            view.frozen[unit.user_status.user_id] = unit.user_status.status == "FROZEN"

    def _chained_postings(self, incoming: Incoming, movement: Movement) -> list[PlannedPosting]:
        planned = []
        for head, numbers in zip(incoming.posting_heads, movement.numbers, strict=True):
            self._chain_seq += 1
            previous = self._chain_hash
            self._chain_hash = posting_hash(previous, head, self._chain_seq, numbers)
            planned.append(PlannedPosting(self._chain_seq, previous, self._chain_hash, numbers))
        return planned

    def _chained_audit(self, incoming: Incoming) -> list[PlannedAudit]:
        planned = []
        for head in incoming.audit_heads:
            self._audit_seq += 1
            previous = self._audit_hash
            self._audit_hash = audit_hash(previous, head, self._audit_seq)
            planned.append(PlannedAudit(self._audit_seq, previous, self._audit_hash))
        return planned

    def _move_transaction(self, incoming: Incoming, head: TransactionHead | None) -> None:
        unit = incoming.unit
        assert unit.transaction is not None
        row = unit.transaction.row
        events = (head.event_count if head is not None else 0) + len(unit.transaction.events)
        keys = head.posting_keys if head is not None else NO_KEYS
        pending = head.pending if head is not None else NO_KEYS
        if unit.postings:
            keys |= {posting.key for posting in unit.postings}
            pending |= {posting.key for posting in unit.postings if posting.phase is Phase.PENDING}
            pending = pending - {posting.resolves for posting in unit.postings} or NO_KEYS
        self._view.transactions[row.id] = TransactionHead(row.version, events, keys, pending)
        into = self._inserted if head is None or row.id in self._inserted else self._changed
        into[row.id] = (row, events)

    def _move_operations(self, incoming: Incoming, transaction_id: str) -> None:
        view = self._view
        for new in incoming.unit.new_operations:
            view.operations[new.id] = OperationHead(
                transaction_id, OperationState.INTENT, 0, incoming.unit.staff_resolution
            )
        for change in incoming.unit.operations:
            head = view.operation(change.id)
            assert head is not None
            closed = head.attempts_closed if change.attempts_closed is None else change.attempts_closed
            view.operations[change.id] = OperationHead(head.transaction_id, change.to, closed, head.staff_approved)

    def batch(self) -> LedgerBatch:
        """What is to be written, empty or not."""
        view = self._view
        return LedgerBatch(
            shard=self._shard,
            epoch=self._epoch,
            heads=Heads(
                unit_seq=self._unit_seq,
                chain_seq=self._chain_seq,
                chain_hash=self._chain_hash,
                audit_seq=self._audit_seq,
                audit_hash=self._audit_hash,
                outbox_seq=self._outbox_seq,
            ),
            units=self._units,
            accounts=view.accounts,
            new_accounts=view.cache.accounts.missing(view.accounts),
            inserted=self._inserted,
            changed=self._changed,
            operations=view.operations,
            references=self._references,
        )

    def changes(self) -> Changes:
        """What the shard's heads are after the batch, as far as it touched them."""
        view = self._view
        return Changes(
            accounts={id_: (balance, version) for id_, (_, balance, version) in view.accounts.items()},
            transactions=view.transactions,
            operations=view.operations,
            units=view.units,
            references=view.references,
            keys=view.keys,
            quotes=view.quotes,
            frozen=view.frozen,
        )
