"""The rails' own rows: permission to send under the rail's fence, and how each attempt ended.

Concurrent calls share transactions. No row means not sent; a row without an end means that it may have been executed.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from penpay.adapters.attempt_ends import AttemptEnds, Ended
from penpay.adapters.batching import Batcher
from penpay.adapters.database import RAILS, Database
from penpay.adapters.mysql import Connection
from penpay.adapters.row_shapes import operation_row
from penpay.adapters.sql_text import row
from penpay.domain.errors import Conflict, StoreError
from penpay.domain.json_text import canonical_json
from penpay.domain.rail_end import MOVED_BY
from penpay.domain.unit import OperationState
from penpay.messages import InboxRow
from penpay.ports import Attempt, AttemptEnd, Clock, Ids, OperationRow, Sealer, SentAttempt, Unwitnessed

BATCH_MAX = 64
WAITING_MAX = 4096
GATHER_S = 0.025
"""Before a provider is called and after it has answered; the call itself takes forty times as long. What comes out of
a batch goes on together: at 100 deposits a second one of them took 9.5 round trips of the database at 10 ms, and 7.5 at
25 (counted on idle cores), since the ledger's groups, which wait for nobody, are larger then as well."""
KINDS_OF = {
    "rail/daraja": ("STK", "REVERSAL", "B2C"),
    "rail/deriv": ("DERIV_TRANSFER", "DERIV_WITHDRAW", "DERIV_RETURN"),
}


_LOOKS = ("frozen", "data_keys", "attempts_of")
"""Read under the locks of a rail's fence and of the operations."""


def rail_name(rail: str) -> str:
    """Name of a rail's fence row: `deriv` and `rail/deriv` mean the same."""
    return rail if rail.startswith("rail/") else f"rail/{rail}"


@dataclass(slots=True)
class _Wish:
    rail: str
    epoch: int
    operation_id: str
    watermark: str
    number: int = 0
    """What an earlier run of the same batch inserted: it may be durable although its COMMIT was not answered."""


class MySqlAttemptStore:
    """`penpay.ports.AttemptStore` on the database. Raises `Unavailable` and, for a lost rail, `Conflict`."""

    def __init__(self, database: Database, sealer: Sealer, *, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._queries = database.queries("attempts")
        self._begins: Batcher[_Wish, Attempt | None] = Batcher(
            self._begin, size=BATCH_MAX, waiting_max=WAITING_MAX, gather_s=GATHER_S
        )
        ends = AttemptEnds(database, sealer, clock=clock, ids=ids)
        self._ends: Batcher[Ended, InboxRow] = Batcher(
            ends.write, size=BATCH_MAX, waiting_max=WAITING_MAX, gather_s=GATHER_S
        )

    async def begin(self, rail: str, epoch: int, operation_id: str, *, watermark: Mapping[str, str]) -> Attempt | None:
        return await self._begins.put(_Wish(rail_name(rail), epoch, operation_id, canonical_json(watermark)))

    async def end(self, rail: str, epoch: int, end: AttemptEnd, *, shard: int, transaction_id: str) -> InboxRow:
        """Stored whatever became of the rail's lease since: what happened is known to whoever saw it."""
        del transaction_id  # the operation's row says it
        return await self._ends.put(Ended(rail_name(rail), epoch, end, shard))

    async def _begin(self, wishes: Sequence[_Wish]) -> Sequence[Attempt | StoreError | None]:
        answers: dict[int, Attempt | StoreError | None] = {}
        by_owner: defaultdict[tuple[str, int], list[_Wish]] = defaultdict(list)
        for wish in wishes:
            by_owner[wish.rail, wish.epoch].append(wish)
        for (rail, epoch), group in by_owner.items():
            # One wish per operation: a second one in the same batch would find the first one's attempt open.
            chosen = {wish.operation_id: wish for wish in reversed(group)}
            answers |= {id(wish): None for wish in group}
            try:
                granted = await self._database.transact_itself(partial(self._grant, rail, epoch, chosen), lane=RAILS)
            except StoreError as error:
                answers |= {id(wish): error for wish in group}
                continue
            answers |= {id(chosen[operation_id]): attempt for operation_id, attempt in granted.items()}
        return [answers[id(wish)] for wish in wishes]

    async def _grant(
        self, rail: str, epoch: int, wishes: Mapping[str, _Wish], connection: Connection
    ) -> Mapping[str, Attempt]:
        # The fence first, then the operations, then what is read under their locks: all in one round trip.
        ids = sorted(wishes)
        connection.in_transaction = True
        _, fence, found, frozen_users, wrapped, attempts_made = await connection.run_all(
            [
                ("", "START TRANSACTION"),
                ("fences", self._queries("lock_fence", rail=rail)),
                *((name, self._queries(name, ids=ids)) for name in ("lock_operations", *_LOOKS)),
            ]
        )
        if not fence or fence[0][0] != epoch:
            raise Conflict(f"{rail} has another owner")
        frozen = {user for (user,) in frozen_users}
        data_keys: dict[str, bytes] = dict(wrapped)
        newest = {operation_id: (number, made_in) for operation_id, number, made_in, _ in attempts_made}
        granted: dict[str, Attempt] = {}
        rows: list[str] = []
        for found_row in found:
            *columns, staff_approved = found_row
            operation = operation_row((*columns, 0, 0, data_keys.get(columns[3], b"")))
            wish = wishes[operation.id]
            attempts, made_in = newest.get(operation.id, (0, 0))
            if attempts and attempts == wish.number and made_in == epoch:
                granted[operation.id] = Attempt(replace(operation, attempts=attempts, under_way=True), attempts)
                continue
            is_frozen = operation.user_id in frozen and not staff_approved
            if operation.state != OperationState.INTENT or attempts != operation.attempts_closed or is_frozen:
                continue
            wish.number = attempts + 1
            granted[operation.id] = Attempt(replace(operation, attempts=wish.number, under_way=True), wish.number)
            rows.append(
                row(operation.id, wish.number, rail, epoch, wish.watermark, self._clock.now(), "", "", "", "{}")
            )
        inserts = [("rail_attempts", self._queries.with_rows("insert_attempts", rows))] if rows else []
        await connection.run_all([*inserts, ("", "COMMIT")], commits=True)
        connection.in_transaction = False
        return granted

    async def abandoned(self, rail: str, epoch: int) -> Sequence[tuple[OperationRow, int]]:
        open_attempts = await self._database.rows(self._queries("abandoned", rail=rail_name(rail), epoch=epoch))
        operations = await self._operations({operation_id for operation_id, _ in open_attempts})
        return [(operations[operation_id], number) for operation_id, number in open_attempts]

    async def _operations(self, ids: set[str]) -> Mapping[str, OperationRow]:
        rows = await self._database.rows(self._queries("operations", ids=ids)) if ids else ()
        return {operation.id: operation for operation in map(operation_row, rows)}

    async def intents(
        self, rail: str, *, kinds: Collection[str] = (), older_than: datetime, limit: int
    ) -> Sequence[OperationRow]:
        of_kinds = tuple(kinds) or KINDS_OF[rail_name(rail)]
        query = self._queries("intents", kinds=of_kinds, older_than=older_than, limit=limit)
        return list(map(operation_row, await self._database.rows(query)))

    async def unresolved(self, kind: str) -> Sequence[OperationRow]:
        return list(map(operation_row, await self._database.rows(self._queries("unresolved", kind=kind))))

    async def unwitnessed(self, since: datetime) -> Unwitnessed:
        found: dict[bool, list[OperationRow]] = {False: [], True: []}
        for *columns, in_review in await self._database.rows(self._queries("unwitnessed", since=since)):
            found[bool(in_review)].append(operation_row(tuple(columns)))
        return Unwitnessed(waiting=found[False], in_review=found[True])

    async def newest(self, operation_ids: Sequence[str]) -> Mapping[str, SentAttempt]:
        rows = await self._database.rows(self._queries("newest", ids=operation_ids))
        return {id_: SentAttempt(number, at, json.loads(mark), ref, code) for id_, number, at, mark, ref, code in rows}

    async def used_references(self, kind: str, refs: Sequence[str]) -> Mapping[str, str]:
        # In this order: what is recorded between the two is found by the second.
        executed = await self._executed(kind, refs)
        return {**executed, **dict(await self._database.rows(self._queries("used_references", kind=kind, refs=refs)))}

    async def _executed(self, kind: str, refs: Sequence[str]) -> Mapping[str, str]:
        kinds = sorted(MOVED_BY.get(kind, ()))
        query = self._queries("executed_references", kinds=kinds, refs=refs) if kinds else ""
        return dict(await self._database.rows(query)) if query else {}
