"""The rails' own rows in memory: permission to send under the rail's fence, and how each attempt ended."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from penpay.domain.errors import Conflict
from penpay.domain.rail_end import MOVED_BY, Outcome, RailEnd, encode_rail_end
from penpay.domain.unit import OVER, OperationKind, OperationState
from penpay.messages import InboxRow
from penpay.ports import Attempt, AttemptEnd, OperationRow, SentAttempt, Unwitnessed
from penpay.simulation.store.inbox import checked, put_once
from penpay.simulation.store.ledger import fence_lock, operation_locks
from penpay.simulation.store.node import MemoryNode
from penpay.simulation.store.operations import OLDEST_FIRST, open_operations, operation_row
from penpay.simulation.store.rows import AttemptRow
from penpay.simulation.store.sessions import Session
from penpay.simulation.store.tables import Change

KINDS_OF = {
    "rail/daraja": ("STK", "REVERSAL", "B2C"),
    "rail/deriv": ("DERIV_TRANSFER", "DERIV_WITHDRAW", "DERIV_RETURN"),
}


def rail_name(rail: str) -> str:
    """Name of a rail's fence row: `deriv` and `rail/deriv` mean the same."""
    return rail if rail.startswith("rail/") else f"rail/{rail}"


def _json(data: Mapping[str, str]) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class MemoryAttemptStore:
    """`penpay.ports.AttemptStore`. Raises `Unavailable` and, for a lost rail, `Conflict`."""

    def __init__(self, node: MemoryNode) -> None:
        self._node = node
        self._schema = node.server.schema

    async def begin(self, rail: str, epoch: int, operation_id: str, *, watermark: Mapping[str, str]) -> Attempt | None:
        """The whole transaction again after a passing trouble: what a lost COMMIT has inserted is then found."""
        wish = _Wish(self._node, rail_name(rail), epoch, operation_id, _json(watermark))
        return await self._node.transact(wish.grant)

    async def end(self, rail: str, epoch: int, end: AttemptEnd, *, shard: int, transaction_id: str) -> InboxRow:
        """Stored whatever became of the rail's lease since: what happened is known to whoever saw it."""
        del rail, epoch, transaction_id
        evidence = InboxRow(
            id=self._node.ids.ulid(),
            shard=shard,
            kind="rail",
            operation_id=end.operation_id,
            body=encode_rail_end(_told(end)),
            trusted_source=True,
            received_at=self._node.clock.now(),
        )
        stored = checked(evidence, f"rail:{end.operation_id}:{end.attempt}:{end.outcome}", "")

        def put(changes: list[Change]) -> InboxRow:
            before = self._schema.rail_attempts.get((end.operation_id, end.attempt))
            if before is not None and before.outcome in {"", Outcome.UNKNOWN}:
                self._schema.rail_attempts.change((end.operation_id, end.attempt), _ended(before, end), changes)
            return put_once(self._schema, stored, changes)

        return await self._node.write("attempts.end", put)

    async def abandoned(self, rail: str, epoch: int) -> Sequence[tuple[OperationRow, int]]:
        await self._node.look("attempts.abandoned")
        open_ones = self._schema.rail_attempts.under("open_rail", rail_name(rail))
        earlier = sorted((row.epoch, row.operation_id, row.attempt) for row in open_ones if row.epoch < epoch)
        return [(self._operation(operation_id), number) for _, operation_id, number in earlier]

    def _operation(self, operation_id: str) -> OperationRow:
        return operation_row(self._node.server, self._schema.provider_operations.rows[operation_id])

    async def intents(
        self, rail: str, *, kinds: Collection[str] = (), older_than: datetime, limit: int
    ) -> Sequence[OperationRow]:
        await self._node.look("attempts.intents")
        wanted = set(kinds or KINDS_OF[rail_name(rail)]) - {"STK"}
        found = [
            stored
            for stored in open_operations(self._node.server, wanted)
            if stored.state == OperationState.INTENT
            and not stored.attempts_closed
            and stored.created_at < older_than
            and not self._schema.rail_attempts.under("operation", stored.id)
        ]
        return [operation_row(self._node.server, stored, attempts=0) for stored in found[:limit]]

    async def unresolved(self, kind: str) -> Sequence[OperationRow]:
        await self._node.look("attempts.unresolved")
        found = (operation_row(self._node.server, stored) for stored in open_operations(self._node.server, (kind,)))
        return [operation for operation in found if operation.attempts > operation.attempts_closed]

    async def unwitnessed(self, since: datetime) -> Unwitnessed:
        await self._node.look("attempts.unwitnessed")
        debits = self._debits(since)
        return Unwitnessed(
            waiting=[debit for debit in debits if self._awaits_witness(debit)],
            in_review=[debit for debit in debits if self._is_missed(debit)],
        )

    def _debits(self, since: datetime) -> Sequence[OperationRow]:
        return [
            operation_row(self._node.server, stored)
            for stored in sorted(self._schema.provider_operations.rows.values(), key=OLDEST_FIRST)
            if stored.kind == OperationKind.DERIV_WITHDRAW and stored.created_at >= since
        ]

    def _awaits_witness(self, debit: OperationRow) -> bool:
        if debit.state in OVER:
            return debit.state == OperationState.CONFIRMED and self._stage(debit) == "DEBITED"
        return debit.attempts > debit.attempts_closed

    def _stage(self, debit: OperationRow) -> str:
        return self._schema.transactions.rows[debit.transaction_id].row.state

    def _is_missed(self, debit: OperationRow) -> bool:
        if debit.state != OperationState.CONFIRMED or self._stage(debit) != "IN_REVIEW":
            return False
        used = self._schema.provider_references.under("operation", debit.id)
        return not any(row.kind in {"deriv_credit", "deriv_credit_claimed"} for row in used)

    async def newest(self, operation_ids: Sequence[str]) -> Mapping[str, SentAttempt]:
        await self._node.look("attempts.newest")
        found = {}
        for operation_id in operation_ids:
            if attempts := self._schema.rail_attempts.under("operation", operation_id):
                row = max(attempts)
                watermark = json.loads(row.watermark)
                found[operation_id] = SentAttempt(row.attempt, row.sent_at, watermark, row.provider_ref, row.code)
        return found

    async def used_references(self, kind: str, refs: Sequence[str]) -> Mapping[str, str]:
        await self._node.look("attempts.used_references")
        found = {ref: self._schema.provider_references.get((kind, ref)) for ref in refs}
        recorded = {ref: row.operation_id for ref, row in found.items() if row is not None}
        return {**self._executed(kind, refs), **recorded}

    def _executed(self, kind: str, refs: Sequence[str]) -> Mapping[str, str]:
        """By ends that confirm an operation, as long as its shard has not recorded it."""
        ends = [row for ref in refs for row in self._schema.rail_attempts.under("confirmed_ref", ref)]
        operations = self._schema.provider_operations.rows
        return {
            row.provider_ref: row.operation_id
            for row in sorted(ends)
            for stored in (operations[row.operation_id],)
            if stored.kind in MOVED_BY.get(kind, ()) and stored.state != OperationState.CONFIRMED
        }


class _Wish:
    """One wish to send, through all its runs."""

    def __init__(self, node: MemoryNode, rail: str, epoch: int, operation_id: str, watermark: str) -> None:
        self._node = node
        self._rail = rail
        self._epoch = epoch
        self._operation_id = operation_id
        self._watermark = watermark
        self._number = 0
        """What an earlier run inserted: it may be durable although its COMMIT was not answered."""

    async def grant(self, session: Session) -> Attempt | None:
        """The rail's fence first, then the operation, then what is read under their locks."""
        node, schema = self._node, self._node.server.schema
        await node.weather.at("attempts.begin")
        await session.lock(fence_lock(self._rail))
        if self._operation_id in schema.provider_operations.rows:
            await session.lock(*operation_locks({self._operation_id}))
        fence = schema.fences.get(self._rail)
        if fence is None or fence.epoch != self._epoch:
            raise Conflict(f"{self._rail} has another owner")
        granted, row = self._judged()
        await node.weather.at("attempts.begin.locked")

        def put(changes: list[Change]) -> None:
            if row is not None:
                schema.rail_attempts.insert(row, changes)

        session.commit(put)
        await node.weather.at("attempts.begin.done")
        return granted

    def _judged(self) -> tuple[Attempt | None, AttemptRow | None]:
        """The permission, if there is one, and the row that it needs, if that is not there yet."""
        node, schema = self._node, self._node.server.schema
        stored = schema.provider_operations.get(self._operation_id)
        if stored is None:
            return None, None
        made = max(schema.rail_attempts.under("operation", stored.id), default=None)
        attempts = made.attempt if made is not None else 0
        operation = operation_row(node.server, stored, attempts=attempts)
        if made is not None and attempts == self._number and made.epoch == self._epoch:
            return Attempt(operation, attempts), None
        status = schema.user_status.get(stored.user_id)
        is_frozen = status is not None and status.status == "FROZEN" and not stored.staff_approved
        if stored.state != OperationState.INTENT or attempts != stored.attempts_closed or is_frozen:
            return None, None
        self._number = number = attempts + 1
        row = AttemptRow(
            operation_id=stored.id,
            attempt=number,
            rail=self._rail,
            epoch=self._epoch,
            watermark=self._watermark,
            sent_at=node.clock.now(),
            outcome="",
            code="",
            provider_ref="",
            facts="{}",
            sealed_body=None,
            ended_at=None,
        )
        return Attempt(replace(operation, attempts=number, under_way=True), number), row


def _told(end: AttemptEnd) -> RailEnd:
    return RailEnd(
        operation_id=end.operation_id,
        attempt=end.attempt,
        kind=end.kind,
        outcome=Outcome(end.outcome),
        code=end.code,
        provider_ref=end.provider_ref,
        facts=end.facts,
        hold=end.hold,
        at=end.at,
    )


def _ended(before: AttemptRow, end: AttemptEnd) -> AttemptRow:
    return before._replace(
        code=end.code[:128],
        provider_ref=end.provider_ref[:128],
        facts=_json(end.facts),
        sealed_body=end.body,
        ended_at=end.at,
        outcome=str(end.outcome),
    )
