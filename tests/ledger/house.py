"""A ledger on a real database, and units for it."""

import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from actors.base import AsyncioActorRef
from actors.ledger import LedgerActor
from penpay.adapters.crypto import KeySealer
from penpay.adapters.database import Database
from penpay.adapters.lease_store import MySqlLeaseStore
from penpay.adapters.ledger_store import MySqlLedgerStore
from penpay.domain.gate import RecoveryGate
from penpay.domain.ids import ulid
from penpay.domain.money import kes, usd
from penpay.domain.postings import Books
from penpay.domain.unit import (
    AuditRecord,
    NewOperation,
    OperationChange,
    OperationKind,
    OperationState,
    OutboxEvent,
    ProviderReference,
    StoredAnswer,
    TransactionChange,
    TransactionEvent,
    TransactionRow,
    UnitOfWork,
)
from penpay.invariants import questions
from penpay.messages import Committed, CommitUnit, UnitRejected
from penpay.ports_ledger import LedgerStore

SHARD = 0
_numbers = itertools.count(1)


def fresh_id() -> str:
    number = next(_numbers)
    return ulid(1_700_000_000_000 + number, number.to_bytes(10))


class CountedIds:
    def ulid(self) -> str:
        return fresh_id()


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        raise AssertionError("stores measure no durations by this clock")


def sealer() -> KeySealer:
    return KeySealer(keys={1: b"k" * 32}, current=1, blind_index_key=b"b" * 32)


@dataclass
class Ledger:
    """One shard's ledger with everything around it."""

    database: Database
    leases: MySqlLeaseStore
    store: LedgerStore
    gate: RecoveryGate
    boot_id: str
    ref: AsyncioActorRef

    async def commit(self, unit: UnitOfWork, *, timeout_s: float = 10.0) -> Committed | UnitRejected:
        answer: Committed | UnitRejected = await self.ref.aask(CommitUnit(unit), timeout_s=timeout_s)
        return answer

    async def restart(self) -> None:
        """Another incarnation: nothing is remembered."""
        await self.ref.shutdown(5)
        self.ref = start(self.store, gate=self.gate)
        await self.ref.ready()


def start(store: LedgerStore, *, gate: RecoveryGate, batch_max: int = 512) -> AsyncioActorRef:
    actor = {"shard": SHARD, "store": store, "ids": CountedIds(), "dice": random.Random(7), "gate": gate}
    return LedgerActor.start(**actor, batch_max=batch_max)  # type: ignore[return-value]


@asynccontextmanager
async def opened(
    url: str,
    *,
    prefix: str,
    wrap: Callable[[MySqlLedgerStore], LedgerStore] = lambda store: store,
    node: str = "node",
) -> AsyncIterator[Ledger]:
    boot_id = fresh_id()
    database = Database(url, prefix=prefix, dice=random.Random(3))
    leases = MySqlLeaseStore(database, node=node, boot_id=boot_id)
    try:
        assert await leases.claim_node()
        assert await leases.acquire(f"shard/{SHARD}") is not None
        store = wrap(MySqlLedgerStore(database, boot_id=boot_id))
        gate = RecoveryGate()
        ledger = Ledger(database, leases, store, gate, boot_id, start(store, gate=gate))
        await ledger.ref.ready()
        yield ledger
        await ledger.ref.shutdown(5)
    finally:
        leases.drop_claim()
        database.close()


SOUND = ("i01", "i02", "i03", "i15", "i16", "i20", "i21", "i22", "i26", "i27", "i31")
"""Invariants that hold of any units, also of those that no saga would make."""


async def assert_sound(url: str, *, prefix: str) -> None:
    """The books are whole, whatever the test did."""
    database = Database(url, prefix=prefix)
    try:
        names = [name for name in questions.queries(prefix) if name.startswith(SOUND)]
        broken = {name: rows for name, rows in (await questions.check(database, only=names)).items() if rows}
        assert not broken, broken
    finally:
        database.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask again until it is so; the test's own time-out is the limit."""
    import asyncio  # noqa: PLC0415 - only here

    while not await condition():
        await asyncio.sleep(0.01)


# --- units ---


def plain(*, user_id: str = "", unit_id: str = "", minor: int = 100) -> UnitOfWork:
    """A posting without a transaction."""
    posting = Books(SHARD, user_id or fresh_id()).deposit_paid(kes(minor))
    return UnitOfWork(unit_id=unit_id or f"ref:{fresh_id()}", shard=SHARD, at=datetime.now(UTC), postings=(posting,))


def transaction_row(**changes: object) -> TransactionRow:
    now = datetime.now(UTC)
    id_ = fresh_id()
    row = TransactionRow(
        id=id_,
        shard=SHARD,
        user_id=fresh_id(),
        type="DEPOSIT",
        state="STK_SENDING",
        status="PROCESSING",
        version=1,
        send=kes(130_000),
        receive=usd(966),
        quote_id="",
        mid_rate_e6=129_500_000,
        spread_e6=5_000_000,
        phone_mask="2547****126",
        deriv_loginid="CR900001",
        route="POST /deposits",
        key_hash=id_.rjust(64, "0"),
        eat_day="2026-11-20",
        limit_usd_minor=966,
        counts=True,
        failure_code="",
        data='{"note":"O\'Brien \\\\ \\u20ac €"}',
        next_wake_at=now + timedelta(seconds=20),
        created_at=now,
        updated_at=now,
        completed_at=None,
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def stk(**changes: object) -> NewOperation:
    id_ = fresh_id()
    operation = NewOperation(
        id=id_,
        kind=OperationKind.STK,
        amount=kes(130_000),
        recipient="2547****126",
        reference=f"P{id_[-11:]}",
        request={"shortcode": "600000"},
        sealed_request=bytes(range(256)),
    )
    return replace(operation, **changes)  # type: ignore[arg-type]


def answer(row: TransactionRow, **changes: object) -> StoredAnswer:
    stored = StoredAnswer(
        user_id=row.user_id,
        route=row.route,
        key_hash=row.key_hash,
        fingerprint="f" * 64,
        status=202,
        location=f"/api/v1/transactions/{row.id}",
        content_type="application/json",
        sealed_body=b"\x00'\\\xff" * 20,
        transaction_id=row.id,
    )
    return replace(stored, **changes)  # type: ignore[arg-type]


def admitted(row: TransactionRow | None = None, **changes: object) -> UnitOfWork:
    """The first unit of a deposit."""
    row = row or transaction_row()
    unit = UnitOfWork(
        unit_id=f"{row.id}:1",
        shard=SHARD,
        at=row.created_at,
        user_id=row.user_id,
        transaction=TransactionChange(
            row=row,
            expected_version=0,
            events=(
                TransactionEvent(from_state="CREATED", event="Created", to_state="CREATED"),
                TransactionEvent(from_state="CREATED", event="StkStarted", to_state="STK_SENDING"),
            ),
        ),
        new_operations=(stk(),),
        outbox=(event(row),),
        audit=(AuditRecord(actor="user", action="deposit.step", subject=row.id, detail={"steps": "admitted"}),),
        answer=answer(row),
    )
    return replace(unit, **changes)  # type: ignore[arg-type]


def event(row: TransactionRow) -> OutboxEvent:
    return OutboxEvent(
        stream="transactions",
        event_id=f"{row.id}:{row.version}",
        type="transaction.updated",
        user_id=row.user_id,
        body='{"id":"' + row.id + '"}',
    )


def stepped(before: UnitOfWork, *, state: str, **changes: object) -> UnitOfWork:
    """The next unit of the same deposit, moving its row to `state`."""
    assert before.transaction is not None
    old = before.transaction.row
    row = replace(old, version=old.version + 1, state=state, updated_at=datetime.now(UTC))
    step = TransactionEvent(from_state=old.state, event="Woke", to_state=state)
    unit = UnitOfWork(
        unit_id=f"{row.id}:{row.version}",
        shard=SHARD,
        at=row.updated_at,
        user_id=row.user_id,
        transaction=TransactionChange(row=row, expected_version=old.version, events=(step,)),
        audit=(AuditRecord(actor="saga", action="deposit.step", subject=row.id, detail={"to": state}),),
    )
    return replace(unit, **changes)  # type: ignore[arg-type]


def paid(first: UnitOfWork, **changes: object) -> UnitOfWork:
    """The deposit's money arrives: P1, P2 and the intent to transfer."""
    assert first.transaction is not None
    books = Books(SHARD, first.transaction.row.user_id)
    operation = first.new_operations[0].id
    receipt = f"SJK{operation[-7:]}"
    unit = stepped(
        first,
        state="DERIV_SENDING",
        postings=(books.deposit_paid(kes(130_000)), books.deposit_hold(kes(130_000))),
        operations=(OperationChange(id=operation, to=OperationState.CONFIRMED, provider_ref=receipt),),
        new_operations=(stk(kind=OperationKind.DERIV_TRANSFER, amount=usd(966), recipient="CR900001"),),
        references=(ProviderReference(kind="mpesa_receipt", ref=receipt, operation_id=operation),),
        outbox=(event(first.transaction.row),),
    )
    assert unit.transaction is not None
    steps = (
        TransactionEvent(from_state="STK_SENDING", event="MpesaPaid", to_state="PAID", data={"receipt": receipt}),
        TransactionEvent(from_state="PAID", event="MpesaPaid", to_state="DERIV_SENDING"),
    )
    unit = replace(unit, transaction=replace(unit.transaction, events=steps))
    return replace(unit, **changes)  # type: ignore[arg-type]
