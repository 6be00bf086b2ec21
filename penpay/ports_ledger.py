"""What the ledger needs from its store: explicit transactions with coarse steps.

Deciding, chaining, bisecting and retrying live above this port, so that a simulated store exercises them as well. Every
method raises the errors of `penpay.ports`, `Unavailable`, or a plain `StoreError` for what the database alone refused.
"""

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from penpay.domain.chain import GENESIS
from penpay.domain.incoming import Incoming, Key
from penpay.domain.ledger import Account
from penpay.domain.unit import TransactionRow

Ref = tuple[str, str]
"""Kind and reference of a provider's own id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """The newest place of each of a shard's sequences, and the hashes that the next rows follow."""

    unit_seq: int = 0
    chain_seq: int = 0
    chain_hash: bytes = GENESIS
    audit_seq: int = 0
    audit_hash: bytes = GENESIS
    outbox_seq: int = 0


@dataclass(frozen=True, slots=True)
class Fence:
    """The locked fence row: who may write, and the heads as they are committed."""

    owner: str
    epoch: int
    heads: Heads
    server: str = ""
    """Which server this is: it changes when another one answers under the same address."""


NO_KEYS: frozenset[str] = frozenset()
"""The empty set of them. Python makes a new one of 216 bytes each time that it is asked, and most heads have two."""


@dataclass(frozen=True, slots=True)
class TransactionHead:
    """What the ledger must know of a transaction. Postings as (key, phase, key that it resolves)."""

    version: int
    event_count: int
    posting_keys: frozenset[str] = NO_KEYS
    pending: frozenset[str] = NO_KEYS
    """Keys of pending postings that nothing has resolved yet."""


@dataclass(frozen=True, slots=True)
class OperationHead:
    """What the ledger must know of an operation."""

    transaction_id: str
    state: str
    attempts_closed: int
    staff_approved: bool = False
    """Two named people decided it: it may be intended for a frozen user, also again."""


@dataclass(slots=True)
class Wanted:
    """What a batch must know and the cache does not hold."""

    units: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    transactions: set[str] = field(default_factory=set)
    operations: set[str] = field(default_factory=set)
    references: set[Ref] = field(default_factory=set)
    keys: set[Key] = field(default_factory=set)
    quotes: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    attempts: set[str] = field(default_factory=set)
    """Operations that are to be withdrawn: their rows are locked and their attempts counted."""


@dataclass(slots=True)
class Found:
    """What of it exists. What is missing here does not exist."""

    units: dict[str, bytes] = field(default_factory=dict)
    """Content hash by unit id."""
    accounts: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Balance and version."""
    transactions: dict[str, TransactionHead] = field(default_factory=dict)
    operations: dict[str, OperationHead] = field(default_factory=dict)
    references: dict[Ref, str] = field(default_factory=dict)
    """Operation by reference."""
    keys: dict[Key, str] = field(default_factory=dict)
    """Unit or transaction that holds the key."""
    quotes: dict[str, str] = field(default_factory=dict)
    """Transaction that used it."""
    frozen: set[str] = field(default_factory=set)
    attempts: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class PlannedPosting:
    """A posting in its place of the chain. `numbers`: amount, balance after and account version per leg."""

    seq: int
    prev_hash: bytes
    hash: bytes
    numbers: list[int]


@dataclass(slots=True)
class PlannedAudit:
    """Place and hashes of an audit record; the record itself is the unit's, at the same index."""

    seq: int
    prev_hash: bytes
    hash: bytes


@dataclass(slots=True)
class PlannedUnit:
    """A unit that will be written, with the places that it got."""

    incoming: Incoming
    seq: int
    first_event_seq: int
    first_outbox_seq: int
    postings: list[PlannedPosting]
    audit: list[PlannedAudit]


@dataclass(slots=True)
class LedgerBatch:
    """Many units that become durable together, and the rows that they leave changed."""

    shard: int
    epoch: int
    heads: Heads
    units: list[PlannedUnit]
    accounts: dict[str, tuple[Account, int, int]]
    """Balance and version after the batch, of every account that moved."""
    new_accounts: set[str]
    inserted: dict[str, tuple[TransactionRow, int]]
    """New transactions as they end, with their number of events."""
    changed: dict[str, tuple[TransactionRow, int]]
    operations: dict[str, OperationHead]
    """Operations that existed and changed, as they end."""
    references: dict[Ref, str]
    """New references only."""
    rendered: object = None
    """What `LedgerStore.rendered` made of it, if there was time."""


@dataclass(frozen=True, slots=True)
class DeadUnit:
    """A unit that the database refused alone: kept as a dead letter with a question for a person."""

    id: str
    unit_id: str
    transaction_id: str
    reason: str
    at: str


class LedgerTransaction(Protocol):
    """One open transaction. Whatever is not committed when its context is left is rolled back."""

    async def open(self, wanted: Wanted) -> tuple[Fence, Found]:
        """Lock the shard's fence row, then look up what is wanted: it is what the last owner left."""
        ...

    async def read(self, wanted: Wanted) -> Found:
        """Look up more."""
        ...

    async def commit(self, batch: LedgerBatch) -> None:
        """Write the batch and the heads, and make them durable. `Duplicate.key` is `table.key`.

        `ConnectionLost(commit_sent=True)`: nobody knows; the fence and the units' own rows tell.
        """
        ...

    async def bury(self, unit: DeadUnit) -> None:
        """Record a unit that cannot be written, and make that durable."""
        ...


class LedgerStore(Protocol):
    """The store of one shard's ledger."""

    async def take_fence(self, shard: int) -> Fence | None:
        """Begin a new epoch on a fence that this process owns; None when it does not own it any more.

        Evidence that waits in the shard is found by one more start: see `penpay.domain.suspicion`.
        """
        ...

    def prepared(self, incoming: Incoming) -> object:
        """Work on a unit that needs nothing of the shard's state, done while an earlier batch is being committed.

        The result comes back as `Incoming.prepared`.
        """
        ...

    def rendered(self, batch: LedgerBatch) -> object:
        """The batch in the store's own form, made while an earlier one is being committed; needs nothing else."""
        ...

    def transaction(self, shard: int) -> AbstractAsyncContextManager[LedgerTransaction]:
        """A transaction that begins with `open`."""
        ...


class LedgerMeter(Protocol):
    """What the ledger reports about itself."""

    def batch(self, *, units: int, seconds: float) -> None: ...
    def answered(self, result: str, count: int = 1) -> None: ...


class NoMeter:
    """Nobody measures."""

    def batch(self, *, units: int, seconds: float) -> None: ...
    def answered(self, result: str, count: int = 1) -> None: ...


FENCE_KEYS: Collection[str] = frozenset(
    {
        "ledger_entries.uq_entries_version",
        "transaction_events.PRIMARY",
        "postings.PRIMARY",
        "outbox.PRIMARY",
        "audit_log.PRIMARY",
    }
)
"""A duplicate here means that what the ledger remembers is not what the database holds."""
