"""Keeps the lease of one shard. First child of its shard: when ownership ends, everything behind it stops."""

from collections.abc import Mapping
from typing import Any

import structlog

from actors.base import AsyncioActor
from actors.rail_lease import LeaseHolder
from penpay.domain.errors import Unavailable

log = structlog.get_logger()


class ShardLeaseActor(AsyncioActor):
    """Renews every `renew_s`. The database being away only lets the local deadline pass; a lost row ends the shard."""

    KIND = "lease"
    LEVEL = 1

    def __init__(self, holder: LeaseHolder, renew_s: float) -> None:
        super().__init__()
        self._holder = holder
        self._renew_s = renew_s
        self._problem = ""

    def observable_state(self) -> Mapping[str, object]:
        """Which lease, which epoch, and whether it is sure at this moment."""
        lease = self._holder.current()
        return {
            "lease": self._holder.name,
            "sure": lease is not None,
            "epoch": lease.epoch if lease else 0,
            "problem": self._problem,
        }

    async def on_start(self) -> None:
        """A shard that is restarted on purpose gave its lease back and takes it again."""
        self.timers.every("renew", self._renew_s, "renew")
        await self._keep(take=not self._holder.held)

    async def on_stop(self) -> None:
        """Last to stop in its shard: nobody writes any more, the next owner need not wait."""
        try:
            await self._holder.release()
        except Unavailable:
            log.warning("lease_not_released", lease=self._holder.name)

    async def on_receive(self, _message: Any) -> None:
        """Time to renew."""
        await self._keep(take=False)

    async def _keep(self, *, take: bool) -> None:
        try:
            lease = await (self._holder.take() if take else self._holder.extend())
        except Unavailable as error:
            self._problem = str(error)
            return
        self._problem = ""
        if lease is None:
            log.error("lease_lost", lease=self._holder.name)
            self.exit("lease_lost")
