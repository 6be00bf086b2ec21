"""Which node runs a rail: the lease, its keeper, and the deadline that everyone checks before the first byte."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from actors.base import AsyncioActor, Unavailable
from penpay.ports import Clock, Lease, LeaseStore

log = structlog.get_logger("penpay.rails")


class LeaseHolder:
    """The lease of one rail (`rail/deriv`, `rail/daraja`) as its actors share it.

    `current` is a plain look, made again just before sending. With the database away the lease stays ours and only
    its deadline passes; it is lost when a row says so.
    """

    def __init__(self, name: str, store: LeaseStore, clock: Clock) -> None:
        self.name = name
        self._store = store
        self._clock = clock
        self._lease: Lease | None = None
        self._anew = False
        """A sender has begun, and its new epoch is not in the database yet: the old one is nobody's any more."""
        self._turn = asyncio.Lock()

    def current(self) -> Lease | None:
        """The lease while it is ours for certain."""
        lease = self._lease
        return lease if lease is not None and not self._anew and self._clock.monotonic_s() < lease.deadline_s else None

    async def take(self) -> Lease | None:
        """Take the lease, or a new epoch of our own one; None while another node holds it. Raises `Unavailable`.

        A sender takes a new epoch when it starts: what its earlier incarnation left without an end is then found. When
        that fails nothing goes on under the old one, and `keep` takes the new one.
        """
        async with self._turn:
            try:
                lease = await self._store.acquire(self.name)
            except BaseException:
                self._anew = True
                raise
            self._anew = False
            if lease is not None:
                self._lease = lease
            return lease

    async def keep(self) -> Lease | None:
        """Extend the lease, or take it when it is free. Raises `Unavailable`."""
        async with self._turn:
            if self._lease is not None and not self._anew:
                self._lease = await self._store.renew(self._lease)
                if self._lease is not None:
                    return self._lease
                log.error("rail lease lost", lease=self.name)
            self._lease = await self._store.acquire(self.name)
            self._anew = False
            return self._lease

    @property
    def held(self) -> bool:
        """True until a row says that it went to somebody else; sending asks `current`, which is stricter."""
        return self._lease is not None

    async def extend(self) -> Lease | None:
        """Extend the lease and never take a new epoch; None when it is lost. Raises `Unavailable`."""
        async with self._turn:
            if self._lease is not None:
                self._lease = await self._store.renew(self._lease)
            return self._lease

    async def release(self) -> None:
        """Give it back, so that another node need not wait. Raises `Unavailable`."""
        async with self._turn:
            lease, self._lease = self._lease, None
            if lease is not None:
                await self._store.release(lease)


@dataclass(frozen=True, slots=True)
class _Keep:
    """Time to renew."""


class RailLeaseActor(AsyncioActor):
    """Keeps one rail's lease while its supervisor runs; stands by while another node has it.

    Constructor: `holder: LeaseHolder`, `renew_s: float`.
    """

    LEVEL = 1

    def __init__(self, holder: LeaseHolder, *, renew_s: float = 5.0) -> None:
        super().__init__()
        self._holder = holder
        self._renew_s = renew_s

    async def on_start(self) -> None:
        """Not having it is no failure: the rail stands by."""
        await self._keep()
        self.timers.every("keep", self._renew_s, _Keep())

    async def on_stop(self) -> None:
        """Runs after the rail's senders have stopped."""
        try:
            await self._holder.release()
        except Unavailable:
            log.warning("rail lease not released, it runs out by itself", lease=self._holder.name)

    async def on_receive(self, message: Any) -> Any:
        """Only its own timer speaks to it."""
        assert isinstance(message, _Keep), message
        await self._keep()

    async def _keep(self) -> None:
        try:
            await self._holder.keep()
        except Unavailable:
            # The deadline that everyone checks goes on running; no lease is given up without a row that says so.
            log.warning("rail lease not renewed", lease=self._holder.name)

    def observable_state(self) -> Mapping[str, object]:
        """Lease and epoch."""
        lease = self._holder.current()
        return {"lease": self._holder.name, "held": lease is not None, "epoch": lease.epoch if lease else 0}
