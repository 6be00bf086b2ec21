"""Batches made by hand, right or wrong, and handed to the ledger's store without its actor."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from actors.ledger_cache import Changes, LedgerCache
from actors.ledger_plan import Plan
from penpay.domain.incoming import taken_in
from penpay.domain.unit import UnitOfWork
from penpay.ports_ledger import Fence, Found, Heads, LedgerBatch, LedgerTransaction, TransactionHead, Wanted
from tests.contracts.store.stage import Process, Stage


async def owner_of(stage: Stage, *, node: str = "a", shard: int = 0) -> Process:
    """A process that holds the shard's lease."""
    process = stage.process(node)
    assert await process.leases.claim_node()
    assert await process.leases.acquire(f"shard/{shard}") is not None
    return process


@dataclass
class Known:
    """What a ledger believes about its shard. Empty: everything is new."""

    accounts: dict[str, tuple[int, int]] = field(default_factory=dict)
    transactions: dict[str, TransactionHead] = field(default_factory=dict)

    def cache(self) -> LedgerCache:
        cache = LedgerCache.of_size(1000)
        cache.take(Changes(self.accounts, self.transactions, {}, {}, {}, {}, {}, {}))
        return cache


def planned(store: Any, fence: Fence, units: list[UnitOfWork], *, heads: Heads, known: Known) -> LedgerBatch:
    """A batch as the ledger would plan it, if that were what it believed. Rejections are bugs of the test."""
    plan = Plan(known.cache(), Found(), heads, shard=0, epoch=fence.epoch)
    for unit in units:
        incoming = taken_in(unit)
        incoming.prepared = store.prepared(incoming)
        verdict = plan.add(incoming)
        assert verdict == "", verdict
    return plan.batch()


async def recorded(process: Process, *units: UnitOfWork) -> Fence:
    """Commit units one after the other, with everything known that must be; the fence as it is then."""
    fence = await process.ledger.take_fence(0)
    assert fence is not None
    for unit in units:
        async with process.ledger.transaction(0) as transaction:
            fence, known = await looked(transaction, unit)
            await transaction.commit(planned(process.ledger, fence, [unit], heads=fence.heads, known=known))
    async with process.ledger.transaction(0) as transaction:
        fence, _ = await transaction.open(Wanted())
    return fence


async def looked(transaction: LedgerTransaction, unit: UnitOfWork) -> tuple[Fence, Known]:
    """Lock the fence and look up what the unit touches."""
    incoming = taken_in(unit)
    ids = {id_ for posting in incoming.account_ids for id_ in posting}
    changed = {unit.transaction.row.id} if unit.transaction is not None else set()
    operations = {change.id for change in unit.operations}
    fence, found = await transaction.open(Wanted(accounts=ids, transactions=changed, operations=operations))
    return fence, _Operations(found.accounts, found.transactions, found)


@dataclass
class _Operations(Known):
    """Also what exists of operations."""

    found: Found = field(default_factory=Found)

    def cache(self) -> LedgerCache:
        cache = super().cache()
        cache.take(Changes({}, {}, self.found.operations, {}, {}, {}, {}, {}))
        return cache


def knowing(known: Known, **changes: Callable[[Any], Any]) -> Known:
    """The same beliefs, some of them wrong."""
    return replace(known, **{name: change(getattr(known, name)) for name, change in changes.items()})
