"""Leases in memory: by the server's clock, with fences that change hands with them."""

from datetime import timedelta

from penpay.ports import Lease
from penpay.simulation.store.ledger import fence_lock
from penpay.simulation.store.node import MemoryNode
from penpay.simulation.store.rows import LeaseRow
from penpay.simulation.store.sessions import Session
from penpay.simulation.store.tables import Change

LOCAL_SHARE = 0.8
"""The part of a lease after which we stop to believe in it: the rest is for a slow answer."""


class MemoryLeaseStore:
    """`penpay.ports.LeaseStore`, and the claim of a node's name. Raises `Unavailable`."""

    def __init__(self, node: MemoryNode, *, lease_s: float = 15.0) -> None:
        self._node = node
        self._lease = timedelta(milliseconds=int(lease_s * 1000))
        self._schema = node.server.schema

    async def claim_node(self) -> bool:
        """Take this node's name, or make sure that we still have it; False while another process holds it."""
        await self._node.look("leases.claim")
        holder = self._node.server.claims.setdefault(self._node.name, self._node.boot_id)
        return holder == self._node.boot_id

    def drop_claim(self) -> None:
        """Give the name back."""
        if self._holds_name():
            del self._node.server.claims[self._node.name]

    def _holds_name(self) -> bool:
        return self._node.server.claims.get(self._node.name) == self._node.boot_id

    async def acquire(self, name: str) -> Lease | None:
        asked_s = self._node.clock.monotonic_s()

        async def take(session: Session) -> int | None:
            # The leases first, the fence second, as everywhere: two takers meet at the leases.
            await self._node.weather.at("leases.acquire")
            if self._others():
                return None
            await session.lock(*(("leases", one) for one in sorted(self._schema.leases.rows)))
            row = self._schema.leases.get(name)
            if row is None or self._others() or not self._is_free(row):
                return None
            await session.lock(fence_lock(name))
            epoch = self._schema.fences.rows[name].epoch + 1
            await self._node.weather.at("leases.acquire.locked")
            session.commit(lambda changes: self._hand_over(name, epoch, changes))
            await self._node.weather.at("leases.acquire.done")
            return epoch

        epoch = await self._node.transact(take)
        return None if epoch is None else Lease(name, epoch, self._deadline_s(asked_s))

    def _is_free(self, row: LeaseRow) -> bool:
        is_own = row.owner == self._node.boot_id or (row.node == self._node.name and self._holds_name())
        return row.state == "FREE" or row.expires_at <= self._node.server.now() or is_own

    def _others(self) -> bool:
        """Whether another node holds anything: one node has everything or nothing."""
        now, mine = self._node.server.now(), self._node.name
        return any(row.state == "OWNED" and row.node != mine and row.expires_at > now for row in self._schema.leases)

    def _hand_over(self, name: str, epoch: int, changes: list[Change]) -> None:
        owner, until = self._node.boot_id, self._node.server.now() + self._lease
        fence = self._schema.fences.rows[name]
        self._schema.fences.change(name, fence._replace(owner=owner, epoch=epoch), changes)
        self._schema.leases.change(name, LeaseRow(name, self._node.name, owner, epoch, until, "OWNED"), changes)

    async def renew(self, lease: Lease) -> Lease | None:
        """Also after it expired, as long as nobody else took this one or any other."""
        asked_s = self._node.clock.monotonic_s()

        async def extend(session: Session) -> bool:
            await self._node.weather.at("leases.renew")
            await session.lock(("leases", lease.name))
            row = None if self._others() else self._mine(lease)

            def put(changes: list[Change]) -> None:
                if row is not None and row.state == "OWNED":
                    until = self._node.server.now() + self._lease
                    self._schema.leases.change(lease.name, row._replace(expires_at=until), changes)

            session.commit(put)
            await self._node.weather.at("leases.renew.done")
            return row is not None and row.state == "OWNED"

        is_ours = await self._node.transact(extend)
        return Lease(lease.name, lease.epoch, self._deadline_s(asked_s)) if is_ours else None

    async def release(self, lease: Lease) -> None:
        """Safe to repeat. The fence keeps its owner: only the next one changes it."""

        async def free(session: Session) -> None:
            await self._node.weather.at("leases.release")
            await session.lock(("leases", lease.name))
            row = self._mine(lease)

            def put(changes: list[Change]) -> None:
                if row is not None:
                    after = row._replace(state="FREE", expires_at=self._node.server.now())
                    self._schema.leases.change(lease.name, after, changes)

            session.commit(put)
            await self._node.weather.at("leases.release.done")

        await self._node.transact(free)

    async def leave(self) -> None:
        """Whatever is ours, also what a take that was given up took all the same."""

        async def free(session: Session) -> None:
            await self._node.weather.at("leases.leave")
            await session.lock(*(("leases", one) for one in sorted(self._schema.leases.rows)))
            ours = [row for row in self._schema.leases if (row.owner, row.state) == (self._node.boot_id, "OWNED")]

            def put(changes: list[Change]) -> None:
                for row in ours:
                    after = row._replace(state="FREE", expires_at=self._node.server.now())
                    self._schema.leases.change(row.name, after, changes)

            session.commit(put)
            await self._node.weather.at("leases.leave.done")

        await self._node.transact(free)

    def _mine(self, lease: Lease) -> LeaseRow | None:
        row = self._schema.leases.get(lease.name)
        return row if row is not None and (row.owner, row.epoch) == (self._node.boot_id, lease.epoch) else None

    def _deadline_s(self, asked_s: float) -> float:
        return asked_s + self._lease.total_seconds() * LOCAL_SHARE
