"""The database server of a simulation: committed rows, row locks and sessions, shared by all nodes."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from penpay.domain.errors import Unavailable
from penpay.ports import Clock, ConnectionLost
from penpay.simulation.store.schema import Schema
from penpay.simulation.store.sessions import Name, Session, timed_out
from penpay.simulation.store.tables import Change, undone

Result = TypeVar("Result")
LOCK_WAIT_S = 5.0
"""`innodb_lock_wait_timeout` of our sessions."""
IDLE_S = 15.0
"""`idle_transaction_timeout`: a transaction whose owner is silent for so long is rolled back."""


class MemoryServer:
    """Everything that outlives a node. Time, also that of leases, is this server's own clock."""

    def __init__(self, *, shards: int, clock: Clock, installation_id: str = "0" * 26) -> None:
        self.clock = clock
        self.shards = shards
        self.installation_id = installation_id
        self.installed_at = clock.now()
        self.identity = "memory:1"
        """What a node sees of which server this is; another text is another server under the same address."""
        self.up = True
        self.schema = Schema(shards=shards, at=self.installed_at)
        self.data_keys: dict[str, bytes] = {}
        """Wrapped data keys by user: `penpay_users.data_keys`."""
        self.claims: dict[str, str] = {}
        """Boot id of the process that holds a node's name."""
        self.dead: set[str] = set()
        """Boot ids of processes that were killed."""
        self.sessions: dict[Session, None] = {}
        self.locks: dict[Name, Session] = {}
        self.queues: dict[Name, deque[tuple[Session, asyncio.Future[None]]]] = {}
        self.observers: list[Callable[[Sequence[Change]], None]] = []
        """Told of every commit, at once and before anybody can read it."""

    def now(self) -> datetime:
        """`UTC_TIMESTAMP(6)`."""
        return self.clock.now()

    # --- what befalls a server ---

    def stop(self) -> None:
        """Away: every connection is cut, open transactions are gone, committed rows stay."""
        self.up = False
        self.claims.clear()
        for session in list(self.sessions):
            session.kill()

    def start(self) -> None:
        """Back again."""
        self.up = True

    def restart(self) -> None:
        """Both at once: connections do not survive it."""
        self.stop()
        self.start()

    def kill_process(self, boot_id: str, *, notice_s: float = 0.0) -> None:
        """A node's process is gone. To be called before its tasks are cancelled.

        Nothing that its stores still do reaches a row. After `notice_s` of the loop's time (a cut cable is noticed
        later than a closed socket) its open transactions are rolled back and its name is free.
        """
        self.dead.add(boot_id)
        if notice_s:
            asyncio.get_running_loop().call_later(notice_s, self._forget, boot_id)
        else:
            self._forget(boot_id)

    def _forget(self, boot_id: str) -> None:
        self.claims = {node: owner for node, owner in self.claims.items() if owner != boot_id}
        for session in [one for one in self.sessions if one.owner == boot_id]:
            session.kill()

    # --- sessions ---

    def connect(self, boot_id: str) -> Session:
        """A session for a process. Raises `Unavailable` when there is nobody to talk to."""
        self.reachable(boot_id)
        return Session(self, boot_id)

    def reachable(self, boot_id: str) -> None:
        """Raise `Unavailable` when this process cannot talk to the server."""
        if not self.up or boot_id in self.dead:
            raise Unavailable("database")

    def committed(self, change: Callable[[list[Change]], Result]) -> Result:
        """Apply a transaction whole or not at all."""
        changes: list[Change] = []
        try:
            result = change(changes)
        except BaseException:
            undone(changes)
            raise
        for observer in self.observers:
            observer(changes)
        return result

    # --- locks ---

    def is_circle(self, session: Session, name: Name) -> bool:
        """Whether whoever holds this lock waits, directly or not, for a lock of this session."""
        holder = self.locks.get(name)
        while holder is not None and holder is not session:
            name_ = holder.waits_for
            holder = self.locks.get(name_) if name_ is not None else None
        return holder is session

    def patience(self, name: Name, granted: "asyncio.Future[None]") -> list[asyncio.TimerHandle]:
        """What may end a wait: we have waited for too long, or the holder was silent for too long."""
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(LOCK_WAIT_S, timed_out, granted)]
        left_s = self.locks[name].active_s + IDLE_S - self.clock.monotonic_s()
        if left_s < LOCK_WAIT_S:
            timers.append(loop.call_later(max(0.0, left_s), self._drop_silent, name))
        return timers

    def _drop_silent(self, name: Name) -> None:
        holder = self.locks.get(name)
        if holder is not None and self.clock.monotonic_s() - holder.active_s >= IDLE_S:
            holder.kill()

    def release(self, name: Name) -> None:
        """Hand a lock to the first who still waits for it."""
        queue = self.queues.get(name)
        while queue:
            session, granted = queue.popleft()
            if not granted.done() and not session.lost:
                self.locks[name] = session
                session.granted(name)
                granted.set_result(None)
                return
        del self.locks[name]

    def interrupt(self, session: Session) -> None:
        """Wake a session that was cut while it stood in line."""
        if session.waits_for is not None:
            for waiting, granted in self.queues[session.waits_for]:
                if waiting is session and not granted.done():
                    granted.set_exception(ConnectionLost(commit_sent=False))
