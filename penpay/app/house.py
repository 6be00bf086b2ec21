"""What a whole node shares, seen through ports: production hands in adapters, the simulation a world of its own."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from actors.suspects import Suspects
from config.sections import Settings
from penpay.domain.board import Board
from penpay.domain.gate import RecoveryGate
from penpay.ports import (
    Addresses,
    AttemptStore,
    CallbackTokens,
    Clock,
    Ids,
    InboxStore,
    LeaseStore,
    OutboxStore,
    SagaStore,
    Sealer,
    Streams,
    UserStore,
)
from penpay.ports_ledger import LedgerStore
from penpay.ports_rails import DarajaGateway, DerivDialer, FxSource, PaymentBooks, RailReads, SmsGateway


class NodeLeases(LeaseStore, Protocol):
    """The leases of this process, and the claim on its node's name."""

    async def claim_node(self) -> bool:
        """Whether the name is ours; then leases of an earlier process of it are taken over at once."""
        ...

    async def leave(self) -> None:
        """Give back whatever this process holds, whether or not it was told so. Raises `Unavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class Stores:
    """The database, one store per noun."""

    sagas: SagaStore
    users: UserStore
    inbox: InboxStore
    attempts: AttemptStore
    outbox: OutboxStore
    leases: NodeLeases
    rail_reads: RailReads
    payments: PaymentBooks
    ledger: LedgerStore


@dataclass(frozen=True, slots=True)
class Outside:
    """Everything beyond the process, and the two things that only the system knows: time and chance."""

    settings: Settings
    boot_id: str
    clock: Clock
    ids: Ids
    dice: random.Random
    sealer: Sealer
    tokens: CallbackTokens
    stores: Stores
    streams: Streams
    daraja: DarajaGateway
    dialer: DerivDialer
    fx: Sequence[FxSource]
    sms: SmsGateway


class HouseMetrics(Protocol):
    """What actors report about themselves: sagas, the ledger, calls to providers."""

    def transaction(self, *, type_: str, status: str) -> None: ...
    def stage(self, *, type_: str, stage: str, seconds: float) -> None: ...
    def unit(self, result: str, count: int = 1) -> None: ...
    def ledger_commit(self, *, units: int, seconds: float) -> None: ...
    def provider(self, *, provider: str, operation: str, outcome: str, seconds: float) -> None: ...


@dataclass(slots=True)
class LateAddresses:
    """`Addresses` of a tree that is made after the parts which use it."""

    registry: Addresses | None = None

    def tell(self, address: str, message: object) -> None:
        """See `Addresses`."""
        assert self.registry is not None
        self.registry.tell(address, message)

    async def ask(self, address: str, message: object, *, timeout_s: float = 5.0) -> object:
        """See `Addresses`."""
        assert self.registry is not None
        return await self.registry.ask(address, message, timeout_s=timeout_s)


@dataclass(slots=True)
class House:
    """What the whole node shares."""

    outside: Outside
    metrics: HouseMetrics
    addresses: LateAddresses = field(default_factory=LateAddresses)
    board: Board = field(default_factory=Board)
    gate: RecoveryGate = field(init=False)
    suspects: Suspects = field(init=False)

    def __post_init__(self) -> None:
        """What closes a shard and what keeps the rails from sending for it is one thing."""
        self.gate = RecoveryGate(self.board.closed_shards)
        self.suspects = Suspects(self.outside.stores.inbox)
