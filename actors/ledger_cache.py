"""What the ledger remembers of its shard. Authoritative while its epoch holds: nobody else may write.

Bounded, and loaded when first needed. Absence is never remembered: what is not here is looked up again.
"""

from collections.abc import Iterable, Mapping
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


class LedgerCache:
    """Heads of rows by id. Sizes are per generation: at most twice as many are held."""

    __slots__ = ("accounts", "frozen", "keys", "operations", "quotes", "references", "transactions", "units")

    def __init__(self, size: int) -> None:
        self.accounts: Memory[str, tuple[int, int]] = Memory(size)
        self.transactions: Memory[str, TransactionHead] = Memory(size)
        self.operations: Memory[str, OperationHead] = Memory(size)
        self.units: Memory[str, bytes] = Memory(size)
        self.references: Memory[Ref, str] = Memory(size)
        self.keys: Memory[Key, str] = Memory(size)
        self.quotes: Memory[str, str] = Memory(size)
        self.frozen: Memory[str, bool] = Memory(size)

    def learn(self, wanted: Wanted, found: Found) -> None:
        """Take in what was read under the fence."""
        self.accounts.put(found.accounts)
        self.transactions.put(found.transactions)
        self.operations.put(found.operations)
        self.units.put(found.units)
        self.references.put(found.references)
        self.keys.put(found.keys)
        self.quotes.put(found.quotes)
        self.frozen.put({user_id: user_id in found.frozen for user_id in wanted.users})
