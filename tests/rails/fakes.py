"""Stores in memory, a post office that delivers and remembers, and a hand on the sandbox."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from actors.base import AsyncioActorRef, NoSuchActor
from penpay.adapters.system import RandomUlids, SystemClock
from penpay.domain.errors import Conflict, Unavailable
from penpay.domain.ids import account_reference, uuid_text
from penpay.domain.money import Money, kes
from penpay.domain.rail_end import MOVED_BY, Outcome, RailEnd, decode_rail_end, encode_rail_end
from penpay.domain.unit import OperationKind
from penpay.messages import EvidenceArrived, InboxRow
from penpay.messages_rails import Submit
from penpay.ports import Attempt, AttemptEnd, Lease, OperationRow, SentAttempt, Unwitnessed
from penpay.sandbox.house import House

TRANSACTION = "01J9ZK3W00000000000000000T"
SAGA = f"shards/0/sagas/{TRANSACTION}"
IDS = RandomUlids()
CLOCK = SystemClock()


@dataclass
class TurnableClock:
    """Real time, moved by hand."""

    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        return CLOCK.now() + self.ahead

    def monotonic_s(self) -> float:
        return CLOCK.monotonic_s() + self.ahead.total_seconds()

    def turn(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


def in_path(operation_id: str) -> str:
    """How `PlainTokens` writes an operation into a URL."""
    return operation_id.encode().hex()


class PlainTokens:
    """Callback URLs that say what they are for; in hex, because a ULID may spell a word that Safaricom refuses."""

    def __init__(self, base: str = "http://127.0.0.1:1") -> None:
        self.base = base

    def url(self, kind: str, shard: int, operation_id: str) -> str:
        return f"{self.base}/cb/{kind}/{shard}/{in_path(operation_id)}"

    def verify(self, kind: str, token: str) -> tuple[int, str] | None:
        raise NotImplementedError


@dataclass
class PostOffice:
    """`Addresses`: delivers to actors that are bound, keeps the rest for the test to read."""

    bound: dict[str, AsyncioActorRef] = field(default_factory=dict)
    kept: dict[str, "asyncio.Queue[Any]"] = field(default_factory=lambda: defaultdict(asyncio.Queue))

    def tell(self, address: str, message: object) -> None:
        if address in self.bound:
            self.bound[address].tell(message)
        else:
            self.kept[address].put_nowait(message)

    async def ask(self, address: str, message: object, *, timeout_s: float = 5.0) -> Any:
        if address not in self.bound:
            raise NoSuchActor(address)
        return await self.bound[address].aask(message, timeout_s)

    async def next(self, address: str = SAGA) -> Any:
        async with asyncio.timeout(10):
            return await self.kept[address].get()

    async def next_end(self, address: str = SAGA) -> RailEnd:
        message = await self.next(address)
        assert isinstance(message, EvidenceArrived), message
        assert message.row.kind == "rail"
        return decode_rail_end(message.row.body)


@dataclass
class MemoryLeases:
    """`LeaseStore` with one row per name."""

    clock: Any = CLOCK
    epochs: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    away: bool = False
    taken_by_another: bool = False
    lasts_s: float = 60.0

    def _check(self) -> None:
        if self.away:
            raise Unavailable("database")

    async def acquire(self, name: str) -> Lease | None:
        self._check()
        if self.taken_by_another:
            return None
        self.epochs[name] += 1
        return Lease(name, self.epochs[name], self.clock.monotonic_s() + self.lasts_s)

    async def renew(self, lease: Lease) -> Lease | None:
        self._check()
        if self.taken_by_another or self.epochs[lease.name] != lease.epoch:
            return None
        return replace(lease, deadline_s=self.clock.monotonic_s() + self.lasts_s)

    async def release(self, lease: Lease) -> None:
        self._check()


@dataclass
class StoredAttempt:
    epoch: int
    sent_at: datetime
    watermark: Mapping[str, str]
    end: AttemptEnd | None = None
    row: InboxRow | None = None


@dataclass
class MemoryAttempts:
    """`AttemptStore` with the rules of the real one: one open attempt, the fence, ends that count once."""

    leases: MemoryLeases
    operations: dict[str, OperationRow] = field(default_factory=dict)
    attempts: dict[str, list[StoredAttempt]] = field(default_factory=lambda: defaultdict(list))
    references: dict[str, str] = field(default_factory=dict)
    reviewed: set[str] = field(default_factory=set)
    """Debits whose withdrawals people look at."""
    away: bool = False
    lose_next_begin: bool = False
    refuse_next_begin: bool = False
    begun: Callable[[], None] = lambda: None

    def add(self, kind: OperationKind, amount: Money, **changes: Any) -> Submit:
        """Commit an intent; what its saga would submit."""
        operation_id = IDS.ulid()
        row = OperationRow(
            id=operation_id,
            transaction_id=TRANSACTION,
            shard=0,
            user_id="u1",
            kind=kind.value,
            state="INTENT",
            amount=amount,
            recipient="CRB1",
            reference=account_reference(operation_id),
            request={},
            provider_ref="",
            code="",
            attempts=0,
            attempts_closed=0,
            created_at=CLOCK.now(),
        )
        row = replace(row, **changes)
        self.operations[operation_id] = row
        return Submit(
            operation_id=operation_id,
            kind=kind,
            shard=row.shard,
            transaction_id=row.transaction_id,
            loginid=row.recipient,
            amount=row.amount,
        )

    def close(self, operation_id: str, *, state: str = "INTENT") -> None:
        """What the shard does once it has consumed the end."""
        row = self.operations[operation_id]
        self.operations[operation_id] = replace(row, state=state, attempts_closed=len(self.attempts[operation_id]))

    def outcomes(self, operation_id: str) -> list[str | None]:
        return [attempt.end.outcome if attempt.end else None for attempt in self.attempts[operation_id]]

    def _check(self, rail: str, epoch: int) -> None:
        if self.away:
            raise Unavailable("database")
        if self.leases.epochs[f"rail/{rail}"] != epoch:
            raise Conflict(rail)

    async def begin(self, rail: str, epoch: int, operation_id: str, *, watermark: Mapping[str, str]) -> Attempt | None:
        self._check(rail, epoch)
        row = self.operations[operation_id]
        made = self.attempts[operation_id]
        if self.refuse_next_begin:
            self.refuse_next_begin = False
            raise Unavailable("database")
        if row.state != "INTENT" or len(made) != row.attempts_closed:
            return None
        made.append(StoredAttempt(epoch, CLOCK.now(), dict(watermark)))
        self.begun()
        if self.lose_next_begin:
            self.lose_next_begin = False
            raise Unavailable("database")
        return Attempt(replace(row, attempts=len(made), under_way=True), len(made))

    async def end(self, rail: str, epoch: int, end: AttemptEnd, *, shard: int, transaction_id: str) -> InboxRow:
        self._check(rail, epoch)
        attempt = self.attempts[end.operation_id][end.attempt - 1]
        known = attempt.end is not None and attempt.end.outcome != "UNKNOWN"
        if not known and (attempt.end is None or end.outcome != "UNKNOWN"):
            attempt.end = end
            told = RailEnd(
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
            attempt.row = InboxRow(
                id=IDS.ulid(),
                shard=shard,
                kind="rail",
                operation_id=end.operation_id,
                body=encode_rail_end(told),
                trusted_source=True,
                received_at=end.at,
            )
        return attempt.row

    async def abandoned(self, rail: str, epoch: int) -> Sequence[tuple[OperationRow, int]]:
        self._check(rail, epoch)
        return [
            (self.operations[operation_id], number)
            for operation_id, made in self.attempts.items()
            for number, attempt in enumerate(made, 1)
            if attempt.end is None and attempt.epoch < epoch
        ]

    async def intents(
        self, rail: str, *, kinds: Collection[str] = (), older_than: datetime, limit: int
    ) -> Sequence[OperationRow]:
        if self.away:
            raise Unavailable("database")
        return [
            row
            for row in self.operations.values()
            if row.state == "INTENT" and row.kind in kinds and not self.attempts[row.id] and row.created_at < older_than
        ][:limit]

    async def unresolved(self, kind: str) -> Sequence[OperationRow]:
        return [
            row
            for row in self.operations.values()
            if row.kind == kind
            and len(self.attempts[row.id]) > row.attempts_closed
            and row.state in {"INTENT", "UNKNOWN"}
        ]

    async def unwitnessed(self, since: datetime) -> Unwitnessed:
        taken = set(self.references.values())
        confirmed = [
            row
            for row in self.operations.values()
            if (row.kind, row.state) == ("DERIV_WITHDRAW", "CONFIRMED") and row.id not in taken | self.reviewed
        ]
        open_ = [*confirmed, *await self.unresolved("DERIV_WITHDRAW")]
        missed = [row for row in self.operations.values() if row.id in self.reviewed and row.id not in taken]
        waiting, in_review = (
            sorted((row for row in rows if row.created_at >= since), key=lambda row: row.created_at)
            for rows in (open_, missed)
        )
        return Unwitnessed(waiting=waiting, in_review=in_review)

    async def newest(self, operation_ids: Sequence[str]) -> Mapping[str, SentAttempt]:
        if self.away:
            raise Unavailable("database")
        return {
            operation_id: SentAttempt(
                len(made), made[-1].sent_at, made[-1].watermark, *((end.provider_ref, end.code) if end else ())
            )
            for operation_id in operation_ids
            if (made := self.attempts[operation_id])
            for end in (made[-1].end,)
        }

    async def used_references(self, kind: str, refs: Sequence[str]) -> Mapping[str, str]:
        executed = {
            made[-1].end.provider_ref: operation_id
            for operation_id, made in self.attempts.items()
            if made and made[-1].end is not None and made[-1].end.outcome == "CONFIRMED"
            if self.operations[operation_id].kind in MOVED_BY.get(kind, ())
        }
        taken = {**executed, **self.references}
        return {ref: taken[ref] for ref in refs if ref in taken}


@dataclass
class MemoryReads:
    """`RailReads` over the same rows."""

    attempts: "MemoryAttempts | None" = None
    reserved_minor: int = 0
    since: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    away: bool = False

    def _check(self) -> None:
        if self.away:
            raise Unavailable("database")

    async def operations(self, operation_ids: Sequence[str]) -> Mapping[str, OperationRow]:
        self._check()
        assert self.attempts is not None
        known, made = self.attempts.operations, self.attempts.attempts
        return {id_: replace(known[id_], attempts=len(made[id_])) for id_ in operation_ids if id_ in known}

    async def reserved_payouts_minor(self) -> int:
        self._check()
        return self.reserved_minor

    async def booked_since(self, account: str) -> datetime:
        self._check()
        return self.since


@dataclass
class FiledRows:
    """`InboxStore` for what a rail itself files."""

    rows: list[InboxRow] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    away: bool = False

    async def add(self, row: InboxRow, *, dedupe_key: str, source: str) -> bool:
        if self.away:
            raise Unavailable("database")
        if dedupe_key in self.keys:
            return False
        self.keys.add(dedupe_key)
        self.rows.append(row)
        return True


@dataclass
class Sandbox:
    """The sandbox that runs in this process, its control API, and the merchant's callback listener."""

    house: House
    http: aiohttp.ClientSession
    callback_url: str
    received: "asyncio.Queue[tuple[str, bytes]]"

    @property
    def env(self) -> dict[str, str]:
        environment: dict[str, str] = self.house.identity["environment"]
        return environment

    async def control(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        method = "GET" if body is None else "POST"
        async with self.http.request(method, self.house.identity["control_url"] + path, json=body) as answer:
            told: dict[str, Any] = await answer.json()
            assert answer.status == 200, told
            return told

    async def daraja_step(self, op: str, **step: Any) -> None:
        await self.control("/daraja/script", {"steps": [{"op": op, **step}]})

    async def deriv_step(self, op: str, **step: Any) -> None:
        await self.control("/deriv/script", {"steps": [{"op": op, **step}]})

    async def callback(self) -> tuple[str, bytes]:
        async with asyncio.timeout(60):
            return await self.received.get()


@dataclass
class Reworded:
    """A `DerivDialer` whose sockets say some things otherwise: `change` has every frame before it is read."""

    dialer: Any
    change: Callable[[dict[str, Any]], None]

    async def connect(self) -> "RewordedSocket":
        return RewordedSocket(await self.dialer.connect(), self.change)


@dataclass
class RewordedSocket:
    socket: Any
    change: Callable[[dict[str, Any]], None]

    async def send(self, frame: str) -> None:
        await self.socket.send(frame)

    async def receive(self) -> str:
        frame = json.loads(await self.socket.receive())
        self.change(frame)
        return json.dumps(frame)

    async def close(self) -> None:
        await self.socket.close()


def stk_intent(
    attempts: MemoryAttempts, *, amount: Money | None = None, phone: str = "254708374149", **changes: Any
) -> Submit:
    """An intent of a push whose payee is sealed as `PlainSealer` of tests/actors does it."""
    submit = attempts.add(OperationKind.STK, amount or kes(130_000), **changes)
    sealed = f"provider_operations|sealed_request|{submit.operation_id}|u1|{phone}".encode()
    attempts.operations[submit.operation_id] = replace(attempts.operations[submit.operation_id], sealed_request=sealed)
    return submit


def payout_intent(
    attempts: MemoryAttempts, *, amount: Money | None = None, phone: str = "254708374149", **changes: Any
) -> Submit:
    """An intent of a payout, its payee sealed and its own id chosen."""
    submit = attempts.add(OperationKind.B2C, amount or kes(249_000), recipient="2547****149", **changes)
    row = attempts.operations[submit.operation_id]
    sealed = f"provider_operations|sealed_request|{row.id}|u1|{phone}".encode()
    attempts.operations[row.id] = replace(
        row, sealed_request=sealed, request={"originator_conversation_id": uuid_text(row.id)}
    )
    return submit


def long_ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def inside(ref: AsyncioActorRef) -> Any:
    """The actor behind a reference: what it observes of itself has no other witness here."""
    return ref._cell.actor


async def until(true: Callable[[], object]) -> None:
    """Wait for a state that has no event of its own."""
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)
