"""The invariants over what each commit touched, at the moment of the commit."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from penpay.simulation.books.journal import (
    ASSETS,
    is_judged,
    of_account,
    of_audit,
    of_entry,
    of_heads,
    of_posting,
    of_unit,
    stands_at_last_entry,
    unrecorded,
)
from penpay.simulation.books.sagas import nobody_wakes, of_admission, of_operation, of_transaction
from penpay.simulation.store.rows import AccountRow, StoredOperation
from penpay.simulation.store.server import MemoryServer
from penpay.simulation.store.tables import Change


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that a commit broke, and the key of the row that breaks it."""

    name: str
    key: object


class Watch:
    """Looks at every commit of a server. `broken` grows; nothing is raised into the one who commits.

    Costs as much as the commit touched, whatever the books have grown to. A rule that is broken may be reported again
    with each commit that touches the same row.
    """

    def __init__(self, server: MemoryServer) -> None:
        self._schema = server.schema
        self.broken: list[Broken] = []
        self._trial: defaultdict[str, int] = defaultdict(int)
        self._heaps: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._looks: dict[str, Callable[[Change], Iterator[str]]] = {
            "units": lambda change: of_unit(self._schema, change.after),
            "postings": lambda change: of_posting(self._schema, change.after),
            "ledger_entries": lambda change: of_entry(self._schema, change.after),
            "accounts": self._account,
            "audit_log": lambda change: of_audit(self._schema, change.after),
            "fences": lambda change: of_heads(self._schema, change.after),
            "provider_operations": lambda change: of_operation(self._schema, change.after),
        }
        for account in server.schema.accounts:
            self._move(None, account)
        server.observers.append(self.look)

    def look(self, changes: Sequence[Change]) -> None:
        """Judge one commit."""
        transactions: dict[str, None] = {}
        operations: dict[str, None] = {}
        for change in changes:
            name = change.table.spec.name
            if (look := self._looks.get(name)) is not None:
                self.broken += [Broken(rule, change.key) for rule in look(change)]
            if name == "transactions" and change.before is None:
                self.broken += [Broken(rule, change.key) for rule in of_admission(self._schema, change.after)]
            touched = self._transaction_of(name, change.after)
            if touched:
                transactions[touched] = None
            if name == "rail_attempts":
                operations[change.after.operation_id] = None
            if name == "user_status":
                mine = self._schema.provider_operations.under("user", change.key)
                operations |= {operation.id: None for operation in mine}
        self.broken += [Broken(*found) for found in self._gathered(transactions, operations)]
        self.broken += [Broken("w03_operation_without_audit", id_) for id_ in unrecorded(changes)]

    def _gathered(self, transactions: dict[str, None], operations: dict[str, None]) -> Iterator[tuple[str, object]]:
        for id_ in transactions:
            stored = self._schema.transactions.get(id_)
            if stored is not None:
                yield from ((rule, id_) for rule in of_transaction(self._schema, stored))
                if nobody_wakes(self._schema, stored.row):
                    yield "i12_nobody_wakes", id_
        for id_ in operations:
            operation: StoredOperation | None = self._schema.provider_operations.get(id_)
            if operation is not None:
                yield from ((rule, id_) for rule in of_operation(self._schema, operation))
        yield from (("i03_trial_balance", currency) for currency, minor in self._trial.items() if minor)
        below = [heap for heap, minor in self._heaps.items() if minor < 0 and is_judged(self._schema, heap[0])]
        yield from (("i20_wrong_side", heap) for heap in below)

    def _transaction_of(self, table: str, row: Any) -> str:
        match table:
            case "transactions":
                return str(row.row.id)
            case "postings" | "transaction_events" | "provider_operations" | "review_items":
                return str(row.transaction_id)
            case _:
                return ""

    def _account(self, change: Change) -> Iterator[str]:
        self._move(change.before, change.after)
        yield from of_account(change.after)
        if not stands_at_last_entry(self._schema, change.after):
            yield "i21_account_differs"

    def _move(self, before: AccountRow | None, after: AccountRow) -> None:
        by = after.balance_minor - (before.balance_minor if before is not None else 0)
        self._trial[after.currency] += by
        if after.code in ASSETS:
            self._heaps[after.code, after.currency] += by
