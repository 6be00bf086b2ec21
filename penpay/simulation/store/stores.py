"""All stores of one simulated process, under the names that `penpay.app` knows them by."""

from dataclasses import dataclass

from penpay.ports import Clock, Ids
from penpay.simulation.store.attempts import MemoryAttemptStore
from penpay.simulation.store.inbox import MemoryInboxStore
from penpay.simulation.store.leases import MemoryLeaseStore
from penpay.simulation.store.ledger import MemoryLedgerStore
from penpay.simulation.store.node import MemoryNode
from penpay.simulation.store.outbox import MemoryOutboxStore
from penpay.simulation.store.reads import MemoryHeads, MemoryOverview, MemoryRailReads
from penpay.simulation.store.reconcile import MemoryPaymentBooks
from penpay.simulation.store.sagas import MemorySagaStore
from penpay.simulation.store.server import MemoryServer
from penpay.simulation.store.users import MemoryUserStore
from penpay.simulation.store.weather import Weather


@dataclass(frozen=True, slots=True)
class MemoryStores:
    """The database as one process sees it."""

    node: MemoryNode
    sagas: MemorySagaStore
    users: MemoryUserStore
    inbox: MemoryInboxStore
    attempts: MemoryAttemptStore
    outbox: MemoryOutboxStore
    leases: MemoryLeaseStore
    rail_reads: MemoryRailReads
    payments: MemoryPaymentBooks
    ledger: MemoryLedgerStore
    heads: MemoryHeads
    overview: MemoryOverview


def stores_of(
    server: MemoryServer,
    *,
    node: str,
    boot_id: str,
    clock: Clock,
    ids: Ids,
    weather: Weather,
    lease_s: float = 15.0,
) -> MemoryStores:
    """A process of the node `node`. A restarted one has the same name and another `boot_id`."""
    process = MemoryNode(server, node, boot_id, clock, ids, weather)
    return MemoryStores(
        node=process,
        sagas=MemorySagaStore(process),
        users=MemoryUserStore(process),
        inbox=MemoryInboxStore(process),
        attempts=MemoryAttemptStore(process),
        outbox=MemoryOutboxStore(process),
        leases=MemoryLeaseStore(process, lease_s=lease_s),
        rail_reads=MemoryRailReads(process),
        payments=MemoryPaymentBooks(process),
        ledger=MemoryLedgerStore(process),
        heads=MemoryHeads(process),
        overview=MemoryOverview(process),
    )
