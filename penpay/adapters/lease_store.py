"""Who owns a shard or a rail: leases by database time, and fences that change hands with them.

A node's name is claimed by a server lock in a session of its own. Whoever holds the claim takes over at once what an
earlier process of that name left behind; leases of other names are waited out.

Until commands travel between nodes, one node has everything or nothing: a shard here and a rail there would refuse
each other's business for ever. So nothing is taken and nothing extended while another node holds anything.
"""

import hashlib
import time
from contextlib import suppress

from penpay.adapters.database import Database
from penpay.adapters.mysql import Connection
from penpay.domain.errors import StoreError, Unavailable
from penpay.ports import ConnectionLost, Lease

LOCAL_SHARE = 0.8
"""The part of a lease after which we stop to believe in it: the rest is for a slow answer."""


class MySqlLeaseStore:
    """`penpay.ports.LeaseStore` on the database. `boot_id` is this process's own, `node` its lasting name."""

    def __init__(self, database: Database, *, node: str, boot_id: str, lease_s: float = 15.0) -> None:
        self._database = database
        self._queries = database.queries("leases")
        self._node = node
        self._boot_id = boot_id
        self._lease_ms = int(lease_s * 1000)
        self._claim: Connection | None = None
        self._lock = self._lock_name(database.prefix, node)

    @staticmethod
    def _lock_name(prefix: str, node: str) -> str:
        name = f"{prefix}node:{node}"
        # Server locks have at most 64 characters.
        return name if len(name) <= 64 else f"{prefix[:20]}{hashlib.sha256(name.encode()).hexdigest()[:40]}"

    async def claim_node(self) -> bool:
        """Take this node's name, or make sure that we still have it; False while another process holds it.

        To be called before the first `acquire`, and again with every renewal: after a restart of the database the
        claim is simply taken anew.
        """
        if self._claim is not None and self._claim.usable:
            with suppress(StoreError):
                if (await self._claim.rows(self._queries("holds_claim", lock=self._lock)))[0][0]:
                    return True
        self.drop_claim()
        self._claim = await Connection.open(self._database.dsn)
        try:
            taken: bool = (await self._claim.rows(self._queries("claim_node", lock=self._lock)))[0][0] == 1
        except ConnectionLost:
            self.drop_claim()
            raise Unavailable("database") from None
        if not taken:
            self.drop_claim()
        return taken

    def drop_claim(self) -> None:
        """Give the name back: the lock ends with its session."""
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    async def acquire(self, name: str) -> Lease | None:
        asked_s = time.monotonic()

        async def take(connection: Connection) -> int | None:
            # Looked at first without a lock: whoever stands by asks often.
            if await self._others(connection):
                return None
            # The leases first, the fence second, as everywhere: two takers meet at the leases.
            found = {row[0]: row[1:] for row in await connection.rows(self._queries("lock_leases"))}
            if name not in found or any(self._is_others(*row) for row in found.values()):
                return None
            owner, node, state, expired = found[name]
            is_own = owner == self._boot_id or (node == self._node and self._claim is not None and self._claim.usable)
            if not (state == "FREE" or expired or is_own):
                return None
            epoch = int((await connection.rows(self._queries("fence_epoch", name=name)))[0][0]) + 1
            await connection.query(self._queries("take_fence", name=name, owner=self._boot_id, epoch=epoch))
            query = self._queries(
                "take_lease", name=name, owner=self._boot_id, node=self._node, epoch=epoch, lease_ms=self._lease_ms
            )
            await connection.query(query)
            return epoch

        epoch = await self._database.transact(take)
        return None if epoch is None else Lease(name, epoch, self._deadline_s(asked_s))

    async def renew(self, lease: Lease) -> Lease | None:
        asked_s = time.monotonic()
        mine = {"name": lease.name, "owner": self._boot_id, "epoch": lease.epoch, "lease_ms": self._lease_ms}

        async def extend(connection: Connection) -> int:
            # Behind the lock: whoever took another lease before this one is seen, whoever comes later sees this one.
            await connection.rows(self._queries("lock_lease", name=lease.name))
            return 0 if await self._others(connection) else await connection.query(self._queries("renew", **mine))

        if not await self._database.transact(extend):
            return None
        return Lease(lease.name, lease.epoch, self._deadline_s(asked_s))

    async def _others(self, connection: Connection) -> bool:
        return bool(await connection.rows(self._queries("others", node=self._node)))

    def _is_others(self, _owner: str, node: str, state: str, expired: int) -> bool:
        return state == "OWNED" and node != self._node and not expired

    async def release(self, lease: Lease) -> None:
        """Safe to repeat. The fence keeps its owner: only the next one changes it."""
        await self._database.write(self._queries("release", name=lease.name, owner=self._boot_id, epoch=lease.epoch))

    async def leave(self) -> None:
        """Whatever is ours, also what a take that was given up took all the same: its COMMIT may be on its way."""

        async def free(connection: Connection) -> None:
            await connection.rows(self._queries("lock_leases"))
            await connection.query(self._queries("leave", owner=self._boot_id))

        await self._database.transact(free)

    def _deadline_s(self, asked_s: float) -> float:
        return asked_s + self._lease_ms / 1000 * LOCAL_SHARE
