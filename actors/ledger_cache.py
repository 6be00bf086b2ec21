"""What the ledger remembers of its shard. Authoritative while its epoch holds: nobody else may write.

Bounded, and loaded when first needed. Absence is never remembered: what is not here is looked up again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from penpay.domain.incoming import Key
from penpay.ports_ledger import Found, OperationHead, Ref, TransactionHead, Wanted

K = TypeVar("K")
V = TypeVar("V")


class Memory(dict[K, V | None]):
    """A dict in two generations: what was not used for a whole generation is forgotten, at no cost per look-up.

    `memory[key]` is None for what is not remembered.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._older: dict[K, V | None] = {}

    def __missing__(self, key: K) -> V | None:
        found = self._older.pop(key, None)
        if found is not None:
            self[key] = found
        return found

    def put(self, items: Mapping[K, V]) -> None:
        """Remember these; the older generation goes when the newer one is full."""
        if not items:
            return
        self.update(items)
        if len(self) > self._size:
            self._older = dict(self)
            self.clear()

    def missing(self, keys: Iterable[K]) -> set[K]:
        """Those of the keys that would have to be looked up."""
        return {key for key in keys if self[key] is None}


class Layer(Memory[K, V]):
    """Changes that are not durable yet, over what is remembered."""

    def __init__(self, changes: Mapping[K, V], below: Memory[K, V]) -> None:
        super().__init__(0)
        self.update(changes)
        self._below = below

    def __missing__(self, key: K) -> V | None:
        return self._below[key]


@dataclass(slots=True)
class Changes:
    """What a batch leaves changed, by kind."""

    accounts: Mapping[str, tuple[int, int]]
    transactions: Mapping[str, TransactionHead]
    operations: Mapping[str, OperationHead]
    units: Mapping[str, bytes]
    references: Mapping[Ref, str]
    keys: Mapping[Key, str]
    quotes: Mapping[str, str]
    frozen: Mapping[str, bool]


@dataclass(slots=True)
class LedgerCache:
    """Heads of rows by id."""

    accounts: Memory[str, tuple[int, int]]
    transactions: Memory[str, TransactionHead]
    operations: Memory[str, OperationHead]
    units: Memory[str, bytes]
    references: Memory[Ref, str]
    keys: Memory[Key, str]
    quotes: Memory[str, str]
    frozen: Memory[str, bool]

    @classmethod
    def of_size(cls, size: int, *, guarded: int | None = None) -> "LedgerCache":
        """Empty. The size is per kind and generation: at most twice as many are held.

        `guarded`: that of what unique keys of the database guard anyway, and nobody needs for judging anything else.
        """
        brief = size if guarded is None else guarded
        return cls(
            accounts=Memory(size),
            transactions=Memory(size),
            operations=Memory(size),
            units=Memory(brief),
            references=Memory(brief),
            keys=Memory(brief),
            quotes=Memory(brief),
            frozen=Memory(size),
        )

    def over(self, changes: Changes) -> "LedgerCache":
        """This with changes on top, to look at only."""
        return LedgerCache(
            accounts=Layer(changes.accounts, self.accounts),
            transactions=Layer(changes.transactions, self.transactions),
            operations=Layer(changes.operations, self.operations),
            units=Layer(changes.units, self.units),
            references=Layer(changes.references, self.references),
            keys=Layer(changes.keys, self.keys),
            quotes=Layer(changes.quotes, self.quotes),
            frozen=Layer(changes.frozen, self.frozen),
        )

    def take(self, changes: Changes) -> None:
        """They are durable."""
        self.accounts.put(changes.accounts)
        self.transactions.put(changes.transactions)
        self.operations.put(changes.operations)
        self.units.put(changes.units)
        self.references.put(changes.references)
        self.keys.put(changes.keys)
        self.quotes.put(changes.quotes)
        self.frozen.put(changes.frozen)

    def learn(self, wanted: Wanted, found: Found) -> None:
        """Take in what was read under the fence."""
        frozen = {user_id: user_id in found.frozen for user_id in wanted.users}
        self.take(
            Changes(
                *(found.accounts, found.transactions, found.operations, found.units),
                *(found.references, found.keys, found.quotes, frozen),
            )
        )
